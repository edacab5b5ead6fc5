"""The supervisors and how each is told to run a set of services."""

import json
import shutil
import signal
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import stubs
from .errors import Failed


@dataclass(frozen=True)
class Service:
    """What the stub does, how many times, and fields that only podinit's spec has."""

    words: list[str]
    name: str = "a"
    copies: int = 1
    podinit: dict = field(default_factory=dict)

    def reporting_to(self, out: Path) -> "Service":
        """With the place for its reports, the stub's last argument."""
        return replace(self, words=[*self.words, str(out)])

    def command(self) -> list[str]:
        """The command line."""
        return [str(stubs.service()), *self.words]

    def instances(self) -> list[str]:
        """One name a copy."""
        return [f"{self.name}-{index}" for index in range(self.copies)]


class Candidate:
    """A supervisor: `command` writes its configuration into a folder and gives its command line."""

    name: str
    binaries: list[str] = []
    stop_signal = signal.SIGTERM
    stop_codes: tuple[int, ...] = (0,)

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        raise NotImplementedError

    def environment(self, _folder: Path) -> dict[str, str]:
        """What it needs beside the usual variables."""
        return {}

    @property
    def package(self) -> str:
        """Its Debian package."""
        return self.name

    def missing(self) -> bool:
        """Whether it is not installed."""
        return not all(shutil.which(binary) for binary in self.binaries)

    def version(self) -> str:
        """The version of its Debian package."""
        query = ["dpkg-query", "-W", "-f=${Version}", self.package]
        try:
            return subprocess.run(query, capture_output=True, text=True, check=False).stdout or "unknown"
        except FileNotFoundError:
            return "unknown"

    def bytes(self) -> int:
        """The size of its programs."""
        return sum(Path(shutil.which(binary)).resolve().stat().st_size for binary in self.binaries)


class Podinit(Candidate):
    """podinit with a ProcessSet; what a row does not ask for stays at its default."""

    name = "podinit"

    def __init__(self, binary: Path):
        self.binary = stubs.own_copy(binary)

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        processes = [
            {"name": service.name, "command": service.command()}
            | ({"replicas": service.copies} if service.copies > 1 else {})
            | service.podinit
            for service in services
        ]
        file = folder / "processset.yaml"
        spec = {
            "apiVersion": "podinit.dev/v1alpha1",
            "kind": "ProcessSet",
            "metadata": {"name": "bench"},
            "spec": {"processes": processes},
        }
        file.write_text(json.dumps(spec, indent=1))
        return [self.binary, "-f", file]

    def environment(self, folder: Path) -> dict[str, str]:
        """With all that it has by default; more than one of them may run."""
        return {
            "PODINIT_ADMIN_ADDR": "127.0.0.1:0",
            "PODINIT_SOCKET": str(folder / "podinit.sock"),
            "PODINIT_STATE_DIR": str(folder / "state"),
        }

    def version(self) -> str:
        answer = subprocess.run([self.binary, "version"], capture_output=True, text=True, check=False)
        said = answer.stdout.strip().splitlines()
        return said[0].removeprefix("podinit ") if said and answer.returncode == 0 else "unknown"

    def bytes(self) -> int:
        return self.binary.stat().st_size


class Folders(Candidate):
    """Supervisors with one folder a service, with a program `run` in it: the stub itself, which reads `args`."""

    def write(self, folder: Path, services: list[Service]) -> Path:
        """The folder of service folders."""
        scan = folder / "services"
        scan.mkdir()
        for service in services:
            for name in service.instances():
                (scan / name).mkdir()
                (scan / name / "run").symlink_to(stubs.service())
                (scan / name / "args").write_text(" ".join(service.words))
        return scan


class S6(Folders):
    name = "s6"
    binaries = ["s6-svscan", "s6-supervise", "s6-log"]

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        return ["s6-svscan", "-c", "2000", self.write(folder, services)]


class S6Logged(S6):
    """A logger beside the one service that passes each line on to standard output."""

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        command = super().command(folder, services)
        _logger(folder / "services" / "a-0" / "log", "exec s6-log -b 1")
        return command


class Runit(Folders):
    name = "runit"
    binaries = ["runsvdir", "runsv", "svlogd"]
    stop_signal = signal.SIGHUP
    stop_codes = (111,)

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        return ["runsvdir", self.write(folder, services)]


class RunitLogged(Runit):
    """svlogd writes to files only: one in the row's folder, never rotated."""

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        command = super().command(folder, services)
        logs = folder / "logs"
        logs.mkdir()
        (logs / "config").write_text("s0\n")
        _logger(folder / "services" / "a-0" / "log", f"exec svlogd -b 65536 {logs}")
        return command


def _logger(folder: Path, line: str) -> None:
    folder.mkdir()
    (folder / "run").write_text(f"#!/bin/sh\n{line}\n")
    (folder / "run").chmod(0o755)


class Supervisord(Candidate):
    name = "supervisord"
    package = "supervisor"
    binaries = ["supervisord"]
    stdout = "NONE"

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        text = [
            "[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\nminfds=8192\n"
            f"pidfile={folder}/pid\n"
        ]
        for service in services:
            text.append(
                f"[program:{service.name}]\ncommand={' '.join(service.command())}\n"
                f"process_name=%(program_name)s-%(process_num)d\nnumprocs={service.copies}\n"
                "autorestart=true\nstartretries=1000000\n"
                f"stdout_logfile={self.stdout}\nstdout_logfile_maxbytes=0\nstderr_logfile=NONE\n"
            )
        file = folder / "supervisord.conf"
        file.write_text("\n".join(text))
        return ["supervisord", "-c", file]


class SupervisordLogged(Supervisord):
    stdout = "/dev/stdout"


class Single(Candidate):
    """An init for one process."""

    def __init__(self, name: str, stop_codes: tuple[int, ...] = (0,)):
        self.name, self.binaries, self.stop_codes = name, [name], stop_codes

    def command(self, folder: Path, services: list[Service]) -> list[str | Path]:
        if len(services) != 1 or services[0].copies != 1:
            raise Failed(f"{self.name} runs one process")
        return [self.name, "--", *services[0].command()]
