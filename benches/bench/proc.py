"""What /proc says about a supervisor's own processes."""

import os
from collections.abc import Iterator
from pathlib import Path


def in_namespace(pid1: int) -> Iterator[int]:
    """Host pids of all processes in the PID namespace whose first process is `pid1`."""
    wanted = os.readlink(f"/proc/{pid1}/ns/pid")
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.readlink(f"/proc/{name}/ns/pid") == wanted:
                    yield int(name)
            except OSError:
                continue


def supervisors(pid1: int, service: Path) -> list[int]:
    """The supervisor's own processes: all that run something else than the service."""
    return [pid for pid in in_namespace(pid1) if _exe(pid) not in ("", str(service))]


def _exe(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def inner_pid(pid: int) -> int:
    """The pid that the process has in its own namespace."""
    return int(_field(f"/proc/{pid}/status", "NSpid").split()[-1])


def switches(pids: list[int]) -> int:
    """Context switches of all threads so far: each wake-up is followed by one."""
    return sum(
        int(_field(status, f"{kind}voluntary_ctxt_switches"))
        for status in _thread_files(pids, "status")
        for kind in ("", "non")
    )


def cpu_ns(pids: list[int]) -> int:
    """CPU time of all threads so far, in nanoseconds."""
    total = 0
    for schedstat in _thread_files(pids, "schedstat"):
        try:
            total += int(Path(schedstat).read_text().split()[0])
        except OSError:
            continue
    return total


def memory_kib(pids: list[int], field: str) -> int:
    """The sum of a field of smaps_rollup: `Pss` or `Pss_Anon`."""
    return sum(int(_field(f"/proc/{pid}/smaps_rollup", field).split()[0]) for pid in pids)


def peak_kib(pid: int) -> int:
    """The most memory that was ever resident."""
    return int(_field(f"/proc/{pid}/status", "VmHWM").split()[0])


def _thread_files(pids: list[int], name: str) -> Iterator[str]:
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            yield f"/proc/{pid}/task/{thread}/{name}"


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise KeyError(f"{name} in {path}")
