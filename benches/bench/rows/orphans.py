"""3,000 processes without a parent that end in a burst: how many wait as zombies, and for how long."""

import os
import subprocess
from typing import NamedTuple

from .. import stubs
from ..candidates import Candidate, Runit, S6, Service, Single, Supervisord
from ..errors import Failed, Slow
from ..harness import Bench, Metric, at_most

ORPHANS = 3000


class Look(NamedTuple):
    """The children of PID 1 at one moment."""

    ns: int
    alive: int
    zombies: int


def measure(bench: Bench) -> list[Metric]:
    most = Metric("orphans", f"{ORPHANS:,} orphans, a stream: most zombies", "", targets=[at_most(50)], pick=max)
    after_stream = Metric("orphans", f"{ORPHANS:,} orphans, a stream: last exit to none", "ms", targets=[at_most(100)])
    at_once = Metric("orphans", f"{ORPHANS:,} orphans, one instant: most zombies", "", pick=max)
    after_all = Metric("orphans", f"{ORPHANS:,} orphans, one instant: last exit to none", "ms", targets=[at_most(100)])
    limit_s = 3 if bench.quick else 40
    rounds, seconds = (1, 1) if bench.quick else (7, 12)
    candidates = bench.with_podinit([S6(), Runit(), Supervisord(), Single("tini"), Single("dumb-init")])

    def stream(candidate: Candidate) -> dict[str, float]:
        looks, end = _watched(bench, candidate, "stream", limit_s)
        return _found(looks, end, most, after_stream, candidate)

    def burst(candidate: Candidate) -> dict[str, float]:
        looks, _ = _watched(bench, candidate, "burst", limit_s)
        if looks[0].alive < ORPHANS:
            raise Failed(f"{looks[0].alive} orphans came to PID 1")
        end = next(look.ns for look in looks if look.alive == looks[-1].alive)
        return _found(looks, end, at_once, after_all, candidate)

    return [
        *bench.interleave(candidates, [most, after_stream], rounds, stream, seconds),
        *bench.interleave(candidates, [at_once, after_all], rounds, burst, seconds),
    ]


def _found(looks: list[Look], end_ns: int, most: Metric, after: Metric, candidate: Candidate) -> dict[str, float]:
    zombies = max(look.zombies for look in looks)
    last = looks[-1]
    if last.zombies:
        most.samples.setdefault(candidate.name, []).append(zombies)
        raise Slow(f"{last.zombies:,} left after {(last.ns - end_ns) / 1e9:.0f} s")
    none = next(look.ns for look in looks if look.ns >= end_ns and not look.zombies)
    return {most.title: zombies, after.title: (none - end_ns) / 1e6}


def _watched(bench: Bench, candidate: Candidate, how: str, limit_s: int) -> tuple[list[Look], int]:
    """What the observer saw from the begin of the burst on, and when the service was done."""
    gate = bench.folder()
    os.mkfifo(gate)
    # Held open until the observer has it: with no writer the gate is open.
    held = os.open(gate, os.O_RDWR)
    with bench.life(candidate, [Service([how, str(ORPHANS), str(gate)])]) as life:
        life.reports(1, 30, "armed")
        command = [stubs.observer(), "zombies", str(life.pid), gate, str(limit_s)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as observer:
            observer.stdout.readline()
            os.close(held)
            observer.stdin.write("g")
            observer.stdin.flush()
            done_ns = life.reports(1, limit_s, "done")[0].ns if how == "stream" else 0
            said, _ = observer.communicate()
    looks = [Look(*map(int, line.split())) for line in said.splitlines()]
    if observer.returncode or not looks:
        raise Failed(f"the observer said: {said}")
    return looks, done_ns
