"""Five services: from exec of PID 1 to the fifth one's first instruction, and from TERM to the end of PID 1."""

import time

from ..candidates import Candidate
from ..harness import Bench, Metric, below, five

# supervisord calls a service running after one second; asked earlier it stops another way.
HOLD_S = 1.2


def measure(bench: Bench) -> list[Metric]:
    up = Metric("up", "five services up", "ms", targets=[below("s6")])
    stop = Metric("up", "TERM to exit, five services", "ms", targets=[below("s6")])

    def once(candidate: Candidate) -> dict[str, float]:
        with bench.life(candidate, five()) as life:
            last = max(life.reports(5, 20), key=lambda report: report.ns)
            time.sleep(HOLD_S)
            return {up.title: life.ms_since_exec(last), stop.title: life.stop(20)}

    rounds, seconds = (3, 4) if bench.quick else (15, 45)
    return bench.interleave(bench.supervisors(), [up, stop], rounds, once, seconds)
