"""A thousand processes: until all are up, and from TERM until PID 1 has ended."""

from ..candidates import Candidate, Service
from ..harness import Bench, Metric, at_most

PROCESSES = 1000


def measure(bench: Bench) -> list[Metric]:
    up = Metric("thousand", f"{PROCESSES:,} processes: all up", "ms", targets=[at_most(2000)])
    stop = Metric("thousand", f"{PROCESSES:,} processes: TERM to exit", "ms", targets=[at_most(1000)])
    limit_s = 5 if bench.quick else 60

    def once(candidate: Candidate) -> dict[str, float]:
        with bench.life(candidate, [Service(["up"], copies=PROCESSES)]) as life:
            last = max(life.reports(PROCESSES, limit_s), key=lambda report: report.ns)
            up.samples.setdefault(candidate.name, []).append(life.ms_since_exec(last))
            return {stop.title: life.stop(limit_s)}

    rounds, seconds = (1, 5) if bench.quick else (5, 20)
    return bench.interleave(bench.supervisors(), [up, stop], rounds, once, seconds)
