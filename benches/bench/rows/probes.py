"""A thousand instances, each probed every second: the supervisor's own CPU time. Nobody else has probes of this kind."""

import time

from .. import proc, stubs
from ..candidates import Service
from ..harness import Bench, Metric, at_most

INSTANCES = 1000
PORT = 8199
SETTLED_S = 4


def measure(bench: Bench) -> list[Metric]:
    if not bench.podinit:
        return []
    return [_probed(bench, how, handler) for how, handler in [("TCP", "tcpSocket"), ("HTTP", "httpGet")]]


def _probed(bench: Bench, how: str, handler: str) -> Metric:
    """Counted once all are ready; the server's time and that of the probed processes is not in it."""
    cpu = Metric("probes", f"{INSTANCES:,} {how} probes a second: CPU", "%", targets=[at_most(10)])
    probe = {handler: {"port": PORT}, "periodSeconds": 1, "failureThreshold": 10}
    services = [
        Service(["serve", str(PORT)], name="server"),
        Service(["up"], name="a", copies=INSTANCES, podinit={"readinessProbe": probe}),
    ]
    seconds = 5 if bench.quick else 10
    with bench.life(bench.podinit, services) as life:
        life.reports(INSTANCES + 1, 30)
        time.sleep(SETTLED_S)
        own = proc.supervisors(life.pid, stubs.service())

        def used() -> dict[str, float]:
            before, since = proc.cpu_ns(own), time.monotonic()
            time.sleep(seconds)
            return {cpu.title: (proc.cpu_ns(own) - before) / (time.monotonic() - since) / 1e7}

        bench.attempt(bench.podinit, [cpu], used)
    return cpu
