"""The size of the programs, and whether podinit is static."""

from .. import elf
from ..candidates import Runit, S6, Single
from ..harness import Bench, Metric, at_most

MB = 1_000_000


def measure(bench: Bench) -> list[Metric]:
    bare = "static, stripped", lambda _: elf.is_static_and_stripped(bench.podinit.binary)
    metric = Metric("size", "binary", "MB", targets=[at_most(12), bare])
    metric.remarks["supervisord"] = "Python"
    for candidate in [*bench.with_podinit([S6(), Runit()]), Single("tini"), Single("dumb-init")]:
        bench.attempt(candidate, [metric], lambda: {metric.title: candidate.bytes() / MB})
    return [metric]
