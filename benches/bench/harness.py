"""Rounds, samples and verdicts: what all rows share."""

import itertools
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from .candidates import Candidate, Podinit, Runit, S6, Service, Supervisord
from .errors import Failed, Slow
from .life import Life

Samples = dict[str, list[float]]
Verdict = tuple[str, Callable[[dict[str, float]], bool]]
ERRORS = (Failed, OSError, KeyError)
SHM = Path("/dev/shm")


@dataclass
class Metric:
    """A line of the table: samples and remarks by candidate, and what podinit has to reach."""

    row: str
    title: str
    unit: str
    samples: Samples = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    targets: list[Verdict] = field(default_factory=list)
    pick: Callable[[list[float]], float] = statistics.median

    def numbers(self) -> dict[str, float]:
        """One number a candidate: the median of its samples, or the worst where that is promised."""
        return {name: self.pick(values) for name, values in self.samples.items() if values}

    def met(self) -> bool | None:
        """None where there is no target or podinit was not measured."""
        numbers = self.numbers()
        if not self.targets or ("podinit" not in numbers and "podinit" not in self.remarks):
            return None
        return "podinit" in numbers and all(holds(numbers) for _, holds in self.targets)


def at_most(limit: float) -> Verdict:
    return f"<= {limit:g}", lambda numbers: numbers["podinit"] <= limit


def at_least(limit: float) -> Verdict:
    return f">= {limit:g}", lambda numbers: numbers["podinit"] >= limit


def below(peer: str) -> Verdict:
    return f"below {peer}", lambda numbers: peer not in numbers or numbers["podinit"] < numbers[peer]


def above(peer: str) -> Verdict:
    return f"above {peer}", lambda numbers: peer not in numbers or numbers["podinit"] > numbers[peer]


class Bench:
    """One run: its candidates, its scratch space, its failures."""

    def __init__(self, podinit: Podinit | None, quick: bool):
        self.podinit = podinit
        self.quick = quick
        self.failures: list[str] = []
        self._scratch = Path(tempfile.mkdtemp(prefix="podinit-bench.", dir=SHM if SHM.is_dir() else None))
        self._numbers = itertools.count()
        self._open = ExitStack()
        self._standing: dict[int, Standing] = {}

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def with_podinit(self, peers: list[Candidate]) -> list[Candidate]:
        return ([self.podinit] if self.podinit else []) + peers

    def supervisors(self) -> list[Candidate]:
        """Those that run several services."""
        return self.with_podinit([S6(), Runit(), Supervisord()])

    def folder(self) -> Path:
        """A new folder's path, in memory."""
        return self._scratch / str(next(self._numbers))

    def life(self, candidate: Candidate, services: list[Service], **options) -> Life:
        return Life(candidate, self.folder(), services, **options)

    def attempt(self, candidate: Candidate, metrics: list[Metric], measure: Callable[[], dict[str, float]]) -> bool:
        """One measurement: a number for each metric (by title), or a remark in its place. Tried twice."""
        found: dict[str, float] = {}
        try:
            found = self._tried(measure) or measure()
        except Slow as slow:
            remark = str(slow)
        except ERRORS as error:
            remark = "failed"
            self.failures.append(f"{metrics[0].row}: {candidate.name}: {error}")
        for metric in metrics:
            if metric.title in found:
                metric.samples.setdefault(candidate.name, []).append(found[metric.title])
            elif not found:
                metric.remarks[candidate.name] = remark
        return bool(found)

    def _tried(self, measure: Callable[[], dict[str, float]]) -> dict[str, float] | None:
        """A full process table, say, is the machine's failure, and most likely over soon."""
        try:
            return measure()
        except ERRORS as error:
            print(f"once more after: {error}", file=sys.stderr)
            return None

    def interleave(
        self,
        candidates: list[Candidate],
        metrics: list[Metric],
        rounds: int,
        measure: Callable[[Candidate], dict[str, float]],
        seconds_each: float = 30,
    ) -> list[Metric]:
        """Rounds in which all candidates take turns, each round beginning with another one.

        A candidate that failed, or used its seconds up, gets no further round.
        """
        left = dict.fromkeys(candidates, seconds_each)
        for number in range(rounds):
            first = number % len(candidates)
            for candidate in candidates[first:] + candidates[:first]:
                if left[candidate] <= 0:
                    continue
                start = time.monotonic()
                if not self.attempt(candidate, metrics, lambda: measure(candidate)):
                    left[candidate] = 0
                left[candidate] -= time.monotonic() - start
        return metrics

    def standing(self, count: int) -> "Standing":
        """Sets of that many services that stay up, one a supervisor; rows that want the same share them."""
        if count not in self._standing:
            services = [Service(["up"], f"s{index}") for index in range(count)]
            lives = [self._open.enter_context(self.life(candidate, services)) for candidate in self.supervisors()]
            for life in lives:
                life.reports(count, 20)
            self._standing[count] = Standing(lives, time.monotonic())
        return self._standing[count]


@dataclass
class Standing:
    """Sets of services at rest, since when."""

    lives: list[Life]
    since: float

    def wait(self, seconds: float) -> list[Life]:
        """The lives, once all services have been up that long."""
        time.sleep(max(0.0, self.since + seconds - time.monotonic()))
        return self.lives


def five() -> list[Service]:
    """Five services that end at once when asked to."""
    return [Service(["up"], name) for name in "abcde"]
