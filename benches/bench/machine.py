"""Where the numbers come from."""

import os
import platform
from pathlib import Path


def described() -> dict[str, object]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "kernel": platform.release(),
        "load": load(),
    }


def load() -> float:
    """The load of the last minute: above a few tenths at the start, somebody else is using the machine."""
    return round(os.getloadavg()[0], 2)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
