"""The command line, and one run from its first row to its verdict."""

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from . import machine, stubs, table
from .candidates import Candidate, Podinit, Runit, S6, Single, Supervisord
from .cgroup import OwnGroup
from .errors import Failed, Slow
from .harness import Bench, Metric
from .rows import ROWS

RESULT = stubs.BENCHES.parent / "target" / "bench.json"


def main() -> int:
    """0: measured; 1: a measurement failed, or with --check a target was missed; 2: cannot run here."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        podinit = _podinit(arguments.podinit)
    except Failed as failed:
        print(f"benches/run: {failed}", file=sys.stderr)
        return 2
    about = {"quick": arguments.quick, "machine": machine.described(), "versions": _versions(podinit)}
    metrics: list[Metric] = []
    with OwnGroup() as group, Bench(podinit, arguments.quick) as bench:
        about["machine"]["own CPU group"] = group.taken
        print(_heading(about), flush=True)
        for row in arguments.only or ROWS:
            metrics += _measured(bench, row)
    about["machine"]["load at the end"] = machine.load()
    table.write_json(RESULT, about, metrics, bench.failures)
    print(f"\n{table.markdown(metrics)}\n")
    for failure in bench.failures:
        print(f"failed: {failure}")
    verdicts = [metric.met() for metric in metrics]
    met, missed = verdicts.count(True), verdicts.count(False)
    print(f"targets: {met} met, {missed} missed")
    return 1 if bench.failures or (arguments.check and missed) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benches/run", description="Measures podinit beside its peers.")
    parser.add_argument("podinit", nargs="?", type=Path, help="the binary; without it the peers alone are measured")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for CI: under 90 s")
    parser.add_argument("--only", action="append", choices=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser


def _podinit(binary: Path | None) -> Podinit | None:
    """Refuses to start where something is missing."""
    if os.geteuid() != 0:
        raise Failed("root is needed: every supervisor is PID 1 of its own namespaces")
    missing = [peer.name for peer in _peers() if peer.missing()]
    if missing:
        packages = " ".join(peer.package for peer in _peers() if peer.missing())
        raise Failed(f"missing: {', '.join(missing)}. apt-get install --no-install-recommends {packages}")
    stubs.service(), stubs.observer()
    if binary is None:
        return None
    if not os.access(binary, os.X_OK) or not binary.is_file():
        raise Failed(f"{binary} is no program")
    return Podinit(binary)


def _peers() -> list[Candidate]:
    return [S6(), Runit(), Supervisord(), Single("tini"), Single("dumb-init")]


def _versions(podinit: Podinit | None) -> dict[str, str]:
    return {candidate.name: candidate.version() for candidate in ([podinit] if podinit else []) + _peers()}


def _heading(about: dict) -> str:
    here, versions = about["machine"], about["versions"]
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    group = "a CPU group of its own" if here["own CPU group"] else "no CPU group of its own: expect noise"
    return f"{here['cores']} cores ({here['cpu']}), Linux {here['kernel']}, load {here['load']}, {group}\n{said}"


def _measured(bench: Bench, row: str) -> list[Metric]:
    start = time.monotonic()
    try:
        metrics = ROWS[row](bench)
    except (Failed, Slow) as failed:
        bench.failures.append(f"{row}: {failed}")
        metrics = []
    print(f"{row}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return metrics
