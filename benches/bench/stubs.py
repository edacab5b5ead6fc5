"""The two C programs of the harness, compiled once into target/bench."""

import shutil
import subprocess
from pathlib import Path

from .errors import Failed

BENCHES = Path(__file__).resolve().parent.parent
CACHE = BENCHES.parent / "target" / "bench"


def _compiled(name: str) -> Path:
    source, binary = BENCHES / "stub" / f"{name}.c", CACHE / name
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return binary
    if not shutil.which("gcc"):
        raise Failed("gcc is missing: apt-get install gcc libc6-dev")
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O3", "-static", "-Wall", "-Wextra", "-o", binary, source], check=True)
    return binary


def service() -> Path:
    """The service that all supervisors run."""
    return _compiled("service")


def observer() -> Path:
    """Launcher, zombie counter and log sink."""
    return _compiled("observer")


def own_copy(binary: Path) -> Path:
    """A copy that no other process of this machine has mapped, so that its pages are counted in full."""
    CACHE.mkdir(parents=True, exist_ok=True)
    copy = CACHE / "podinit"
    copy.unlink(missing_ok=True)
    shutil.copy2(binary, copy)
    return copy
