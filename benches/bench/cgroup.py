"""A CPU control group of our own.

In a pod, a supervisor and its services share one group. Outside, the kernel's autogroups may give each session a share
of its own, and every compiler that runs beside the benchmark would count as much as all of it.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


class OwnGroup:
    """Moves this process, and with it all it starts, into a group with the greatest weight there is.

    Where that cannot be, it stays where it is; `taken` says which.
    """

    def __enter__(self) -> "OwnGroup":
        self._group: Path | None = None
        for parent, file, weight in ((ROOT / "cpu", "cpu.shares", 262144), (ROOT, "cpu.weight", 10000)):
            group = parent / f"podinit-bench.{os.getpid()}"
            try:
                if not (parent / "cgroup.procs").exists():
                    continue
                group.mkdir()
                self._group = group
                (group / file).write_text(str(weight))
                (group / "cgroup.procs").write_text(str(os.getpid()))
                return self
            except OSError:
                self._remove()
        return self

    @property
    def taken(self) -> bool:
        return self._group is not None

    def _remove(self) -> None:
        """The last processes may still be on their way out."""
        for _ in range(100):
            with suppress(OSError):
                if self._group:
                    self._group.rmdir()
                self._group = None
                return
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        if self._group:
            (self._group.parent / "cgroup.procs").write_text(str(os.getpid()))
            self._remove()
