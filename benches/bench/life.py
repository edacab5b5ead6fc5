"""One life of a supervisor: PID 1 of its own PID, mount and network namespaces, from exec to exit."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from . import stubs
from .candidates import Candidate, Service
from .errors import Failed, Slow

POLL_S = 0.005
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


class Report(NamedTuple):
    """A line of a service: what, by which pid of its namespace, when."""

    what: str
    pid: int
    ns: int


class Life:
    """Starts the supervisor; `close` (or the end of the `with`) ends it in any case.

    Times are taken by the launcher and the services themselves, so the harness looks only every 5 ms and does not
    compete with what it measures.
    """

    def __init__(self, candidate: Candidate, folder: Path, services: list[Service], stdout: IO | int | None = None):
        self.candidate = candidate
        self.folder = folder
        self.out = folder / "out"
        self.log = folder / "log"
        folder.mkdir(parents=True)
        os.mkfifo(self.out)
        # Read and write: the FIFO has a reader before the first service and no end after the last.
        self._reports = _Lines(os.open(self.out, os.O_RDWR | os.O_NONBLOCK))
        command = candidate.command(folder, [service.reporting_to(self.out) for service in services])
        read, write = os.pipe()
        os.set_blocking(read, False)
        self._launcher_lines = _Lines(read)
        self._said: dict[str, list[str]] = {}
        with open(self.log, "wb") as log:
            self._launcher = subprocess.Popen(
                [stubs.observer(), "launch", str(write), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log if stdout is None else stdout,
                stderr=log,
                pass_fds=[write],
                env=ENV | candidate.environment(folder),
                cwd="/",
                start_new_session=True,
            )
        os.close(write)
        self.stdout = self._launcher.stdout
        try:
            self.pid = int(self._from_launcher("pid", 10)[0])
            self.exec_ns = int(self._from_launcher("exec", 10)[0])
        except (Failed, Slow):
            self._launcher.kill()
            self.close()
            raise

    def __enter__(self) -> "Life":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reports(self, count: int, within_s: float, what: str = "up") -> list[Report]:
        """Waits for that many reports of the services."""
        found: list[Report] = []
        end = time.monotonic() + within_s
        while True:
            for words in self._reports.read():
                if words[0] == what:
                    found.append(Report(words[0], int(words[1]), int(words[2])))
            if len(found) >= count:
                return found
            if self._launcher.poll() is not None:
                raise Failed(f"{self.candidate.name} ended early: {self._last_words()}")
            if time.monotonic() > end:
                raise Slow(f"{len(found)} of {count} in {within_s:.0f} s")
            time.sleep(POLL_S)

    def ms_since_exec(self, report: Report) -> float:
        """How long after the supervisor's exec that was."""
        return (report.ns - self.exec_ns) / 1e6

    def stop(self, within_s: float) -> float:
        """Asks PID 1 to stop; milliseconds until it has ended."""
        asked = time.monotonic_ns()
        os.kill(self.pid, self.candidate.stop_signal)
        at, status = self._from_launcher("exit", within_s)
        code = os.waitstatus_to_exitcode(int(status))
        if code not in self.candidate.stop_codes:
            raise Failed(f"{self.candidate.name} ended with {code}: {self._last_words()}")
        return (int(at) - asked) / 1e6

    def close(self) -> None:
        """Ends PID 1, and with it all processes of the namespace."""
        if self._launcher.poll() is None:
            with suppress(ProcessLookupError, AttributeError):
                os.kill(self.pid, signal.SIGKILL)
        self._launcher.wait()
        if self.stdout:
            self.stdout.close()
        self._reports.close()
        self._launcher_lines.close()

    def _from_launcher(self, what: str, within_s: float) -> list[str]:
        end = time.monotonic() + within_s
        while True:
            self._said |= {words[0]: words[1:] for words in self._launcher_lines.read()}
            if what in self._said:
                return self._said[what]
            if self._launcher_lines.ended:
                raise Failed(f"{self.candidate.name} did not start: {self._last_words()}")
            if time.monotonic() > end:
                raise Slow(f"> {within_s:.0f} s")
            time.sleep(POLL_S)

    def _last_words(self) -> str:
        return " / ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])


class _Lines:
    """Whole lines, as words, from a descriptor that does not block."""

    def __init__(self, fd: int):
        self._fd = fd
        self._rest = b""
        self.ended = False

    def read(self) -> list[list[str]]:
        """The lines that have come since the last call."""
        lines: list[bytes] = []
        while True:
            try:
                some = os.read(self._fd, 65536)
            except BlockingIOError:
                break
            if not some:
                self.ended = True
                break
            *whole, self._rest = (self._rest + some).split(b"\n")
            lines += whole
        return [line.decode().split() for line in lines]

    def close(self) -> None:
        os.close(self._fd)
