"""kill -9 of a service that has been up for more than 10 s, to the first instruction of its next run."""

import os
import signal
import time

from .. import proc, stubs
from ..errors import Failed
from ..harness import Bench, Metric, at_most, below
from ..life import Life

READY_S = 10.5
SLOW_MS = 500
ENOUGH_OF_SLOW = 3


def measure(bench: Bench) -> list[Metric]:
    """Each service once: a second kill soon after the first is a failing service's, and podinit backs off."""
    metric = Metric("restart", "restart after kill -9", "ms", targets=[at_most(3), below("runit")])
    count = 5 if bench.quick else 20
    lives = list(bench.standing(count).wait(READY_S))
    victims = {life: _services(life, count) for life in lives}
    for index in range(count):
        for life in lives:
            victim = victims[life][index]
            if index < ENOUGH_OF_SLOW or not _slow(metric, life):
                bench.attempt(life.candidate, [metric], lambda: {metric.title: _restart(life, victim)})
        lives.append(lives.pop(0))
    return [metric]


def _slow(metric: Metric, life: Life) -> bool:
    """Whether a restart takes this one seconds, as known so far."""
    return max(metric.samples.get(life.candidate.name, [0])) > SLOW_MS


def _services(life: Life, count: int) -> list[int]:
    own = set(proc.supervisors(life.pid, stubs.service()))
    found = [pid for pid in proc.in_namespace(life.pid) if pid not in own]
    if len(found) != count:
        raise Failed(f"{life.candidate.name} runs {len(found)} of {count} services")
    return found


def _restart(life: Life, victim: int) -> float:
    killed = time.monotonic_ns()
    os.kill(victim, signal.SIGKILL)
    (report,) = life.reports(1, 10)
    return (report.ns - killed) / 1e6
