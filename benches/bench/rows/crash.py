"""A hundred processes that exit with 1 at once, again and again: the supervisor's own CPU time."""

import time
from contextlib import ExitStack

from .. import proc, stubs
from ..candidates import Candidate, Service
from ..harness import Bench, Metric, at_most
from ..life import Life

PROCESSES = 100
NASTY = {"restartBackoff": {"initial": "50ms", "factor": 1, "max": "50ms", "jitter": 0}}


def measure(bench: Bench) -> list[Metric]:
    default = _together(bench, "", bench.supervisors(), {}, [at_most(5)])
    nasty = _together(bench, ", 50 ms apart", [bench.podinit], NASTY, []) if bench.podinit else []
    return default + nasty


def _together(bench: Bench, how: str, candidates: list[Candidate], fields: dict, targets: list) -> list[Metric]:
    """All supervisors at once, each over a window of its own that begins when every process has run once."""
    cpu = Metric("crash", f"crash loop of {PROCESSES}{how}: CPU", "%", targets=targets)
    runs = Metric("crash", f"crash loop of {PROCESSES}{how}: runs", "/s")
    metrics, titles = [cpu, runs], [cpu.title, runs.title]
    seconds = 4 if bench.quick else 10
    service = Service(["fail"], copies=PROCESSES, podinit=fields)
    with ExitStack() as stack:
        windows = []
        for candidate in candidates:
            life = stack.enter_context(bench.life(candidate, [service]))
            life.reports(PROCESSES, 30)
            windows.append(_Window(life))
        for window in windows:
            while time.monotonic() < window.since + seconds:
                for each in windows:
                    each.count()
                time.sleep(0.02)
            bench.attempt(window.life.candidate, metrics, lambda: dict(zip(titles, window.used())))
    return metrics


class _Window:
    """What a supervisor has used since the window's begin."""

    def __init__(self, life: Life):
        self.life = life
        self._runs = 0
        self._own = proc.supervisors(life.pid, stubs.service())
        self._before = proc.cpu_ns(self._own)
        self.since = time.monotonic()

    def count(self) -> None:
        """Takes the reports of new runs, so that no run waits for a reader."""
        self._runs += len(self.life.reports(0, 0))

    def used(self) -> tuple[float, float]:
        """Percent of a core; runs a second."""
        self.count()
        seconds = time.monotonic() - self.since
        return (proc.cpu_ns(self._own) - self._before) / seconds / 1e7, self._runs / seconds
