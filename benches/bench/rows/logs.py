"""One service writes numbered lines of 100 bytes as fast as it can: until all have come out of PID 1's stdout."""

import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from .. import proc, stubs
from ..candidates import Candidate, Podinit, RunitLogged, S6Logged, Service, SupervisordLogged
from ..errors import Failed, Slow
from ..harness import Bench, Metric, above, at_least, at_most
from ..life import Life

LINE = 100
LIMIT_S = 120
FORMATS = ("Json", "Text", "Raw")


class Arrived(NamedTuple):
    """What the sink has seen: when the last byte came, numbered lines, newlines, bytes, numbers out of order."""

    ns: int
    lines: int
    newlines: int
    bytes: int
    wrong: int


def measure(bench: Bench) -> list[Metric]:
    lines = (50 if bench.quick else 400) * 1_000_000 // LINE
    speeds = {
        "Json": Metric("logs", "logs: Json (peers: plain)", "MB/s", targets=[at_least(200), above("s6")]),
        "Text": Metric("logs", "logs: Text", "MB/s"),
        "Raw": Metric("logs", "logs: Raw", "MB/s", targets=[at_least(1000)]),
    }
    lost = Metric("logs", "logs: lines lost or out of order", "", targets=[at_most(0)], pick=max)
    peak = Metric("logs", "logs: peak RSS", "MB", pick=max)

    def once(candidate: Candidate) -> dict[str, float]:
        if isinstance(candidate, Cat):
            return {speeds["Raw"].title: _cat(lines)}
        format_name = candidate.format if isinstance(candidate, Format) else "Json"
        fields = {"logging": {"format": format_name}}
        with bench.life(candidate, [Service(["lines", str(lines)], podinit=fields)], stdout=subprocess.PIPE) as life:
            started, arrived = _to_file(life, lines) if isinstance(candidate, RunitLogged) else _to_pipe(life, lines)
            kib = sum(map(proc.peak_kib, proc.supervisors(life.pid, stubs.service())))
        return {
            speeds[format_name].title: _speed(lines, started, arrived),
            lost.title: abs(lines - arrived.lines) + arrived.wrong + max(0, lines - arrived.newlines),
            peak.title: kib / 1024,
        }

    peers = [S6Logged(), RunitLogged(), SupervisordLogged(), Cat()]
    own = [Format(bench.podinit, name) for name in FORMATS] if bench.podinit else []
    rounds, seconds = (2, 2) if bench.quick else (5, 30)
    return bench.interleave(own + peers, [*speeds.values(), lost, peak], rounds, once, seconds)


class Format(Candidate):
    """podinit with one of its formats."""

    name = "podinit"

    def __init__(self, podinit: Podinit, format_name: str):
        self.command, self.environment = podinit.command, podinit.environment
        self.stop_codes, self.format = podinit.stop_codes, format_name


class Cat(Candidate):
    """No supervisor, `cat` in its place: what these two pipes can carry here at all."""

    name = "cat"


def _speed(lines: int, started_ns: int, arrived: Arrived) -> float:
    return lines * LINE * 1e3 / (arrived.ns - started_ns)


def _sink(lines: int, source) -> subprocess.Popen:
    return subprocess.Popen([stubs.observer(), "sink", str(lines)], stdin=source, stdout=subprocess.PIPE, text=True)


def _arrived(sink: subprocess.Popen) -> Arrived:
    try:
        said, _ = sink.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        sink.kill()
        sink.communicate()
        raise Slow(f"> {LIMIT_S} s") from None
    words = said.split()
    if words[:1] != ["sink"]:
        raise Failed("the sink ended early")
    return Arrived(*map(int, words[1:]))


def _to_pipe(life: Life, lines: int) -> tuple[int, Arrived]:
    sink = _sink(lines, life.stdout)
    (start,) = life.reports(1, 20)
    return start.ns, _arrived(sink)


def _to_file(life: Life, lines: int) -> tuple[int, Arrived]:
    """svlogd: the file is read after it has all bytes."""
    (start,) = life.reports(1, 20)
    file = life.folder / "logs" / "current"
    end = time.monotonic() + LIMIT_S
    while not file.exists() or file.stat().st_size < lines * LINE:
        if time.monotonic() > end:
            raise Slow(f"> {LIMIT_S} s")
        time.sleep(0.002)
    complete = time.monotonic_ns()
    with file.open("rb") as source:
        return start.ns, _arrived(_sink(lines, source))._replace(ns=complete)


def _cat(lines: int) -> float:
    """The service, cat and the sink on two pipes."""
    reports, inner, outer = os.memfd_create("reports"), os.pipe(), os.pipe()
    out = Path(f"/proc/{os.getpid()}/fd/{reports}")
    service = subprocess.Popen([stubs.service(), "lines", str(lines), out], stdout=inner[1])
    cat = subprocess.Popen(["cat"], stdin=inner[0], stdout=outer[1])
    sink = _sink(lines, outer[0])
    for fd in inner + outer:
        os.close(fd)
    try:
        arrived = _arrived(sink)
        return _speed(lines, int(out.read_text().split()[2]), arrived)
    finally:
        service.terminate()
        service.wait()
        cat.wait()
        os.close(reports)
