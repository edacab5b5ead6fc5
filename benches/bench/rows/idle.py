"""Five idle services without probes: wake-ups and memory of the supervisor's own processes."""

import time

from .. import proc, stubs
from ..harness import Bench, Metric, at_most

SETTLED_S = 3


def measure(bench: Bench) -> list[Metric]:
    wakeups = Metric("idle", "idle: wake-ups", "/s", targets=[at_most(0)])
    anonymous = Metric("idle", "idle: anonymous PSS", "MB", targets=[at_most(2)])
    whole = Metric("idle", "idle: PSS", "MB", targets=[at_most(6)])
    metrics = [wakeups, anonymous, whole]
    seconds = 5 if bench.quick else 10

    lives = bench.standing(5).wait(SETTLED_S)
    own = [proc.supervisors(life.pid, stubs.service()) for life in lives]
    before = [proc.switches(pids) for pids in own]
    time.sleep(seconds)
    for life, pids, switches in zip(lives, own, before):
        bench.attempt(
            life.candidate,
            metrics,
            lambda: {
                wakeups.title: (proc.switches(pids) - switches) / seconds,
                anonymous.title: proc.memory_kib(pids, "Pss_Anon") / 1024,
                whole.title: proc.memory_kib(pids, "Pss") / 1024,
            },
        )
    return metrics
