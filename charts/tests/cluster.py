"""A real API server on the loopback: etcd and kube-apiserver of kind-e2e/build, as tests/support/cluster.rs starts them."""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from conftest import ROOT, run

#: Starting takes seconds on a quiet machine.
UP = 120


def die_with_parent():
    """A test that is killed leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Network:
    """A network namespace with nothing but a loopback, for as long as the process lives that holds it."""

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-ec", "ip link set lo up; echo up; exec sleep infinity"],
            stdout=subprocess.PIPE,
            preexec_fn=die_with_parent,
        )
        assert self.holder.stdout.readline() == b"up\n", "no network namespace: as root, with iproute2 and util-linux installed"
        return self

    def __exit__(self, *_):
        self.holder.kill()
        self.holder.wait()

    def enter(self):
        """What comes before a command that is to run in it."""
        return ["nsenter", "--net", f"--target={self.holder.pid}"]


class Cluster:
    def __init__(self, network=None):
        #: Before each command.
        self.enter = network.enter() if network else []
        programs = os.environ.get("KUBERNETES_PROGRAMS") or run(ROOT / "kind-e2e/build", "--folder").strip()
        self.programs = pathlib.Path(programs)
        assert (self.programs / "kube-apiserver").exists(), f"no Kubernetes in {programs}: build it with `make kubernetes`"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="podinit-charts-"))
        # An address of this process's own: no port has to be found.
        self.host = f"127.65.{os.getpid() >> 8 & 255}.{max(1, os.getpid() & 255)}"
        self.children = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            child.kill()
            child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def file(self, name):
        return str(self.dir / name)

    def spawn(self, name, *arguments):
        log = open(self.dir / f"{name}.log", "w")
        self.children.append(
            subprocess.Popen(
                [*self.enter, self.programs / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )
        )

    def certificates(self):
        """A certificate of a CA's own: what podinit speaks TLS with takes no CA for a server."""
        run("openssl", "genrsa", "-out", self.file("accounts.key"), "2048")
        run("openssl", "rsa", "-in", self.file("accounts.key"), "-pubout", "-out", self.file("accounts.pub"))
        (self.dir / "server.ext").write_text(f"subjectAltName=IP:{self.host}\nbasicConstraints=CA:FALSE\n")
        new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        run(*new, "-x509", "-subj", "/CN=ca", "-keyout", self.file("ca.key"), "-out", self.file("ca.crt"))
        run(*new, "-subj", "/CN=server", "-keyout", self.file("server.key"), "-out", self.file("server.csr"))
        run(
            "openssl",
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            self.file("server.csr"),
            "-CA",
            self.file("ca.crt"),
            "-CAkey",
            self.file("ca.key"),
            "-CAcreateserial",
            "-extfile",
            self.file("server.ext"),
            "-out",
            self.file("server.crt"),
        )

    def start(self):
        self.certificates()
        (self.dir / "tokens.csv").write_text('admin-token,admin,admin,"system:masters"\n')
        store, peer = f"unix://{self.dir}/etcd.sock", f"unix://{self.dir}/peer.sock"
        self.spawn(
            "etcd",
            "--data-dir",
            self.file("etcd"),
            "--unsafe-no-fsync",
            "--log-level",
            "warn",
            "--listen-client-urls",
            store,
            "--advertise-client-urls",
            store,
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--initial-cluster",
            f"default={peer}",
        )
        self.spawn(
            "kube-apiserver",
            "--etcd-servers",
            store,
            "--bind-address",
            self.host,
            "--advertise-address",
            self.host,
            "--secure-port",
            "6443",
            "--tls-cert-file",
            self.file("server.crt"),
            "--tls-private-key-file",
            self.file("server.key"),
            "--token-auth-file",
            self.file("tokens.csv"),
            "--authorization-mode",
            "RBAC",
            "--service-cluster-ip-range",
            "10.0.0.0/24",
            "--service-account-issuer",
            "https://kubernetes.default.svc",
            "--service-account-key-file",
            self.file("accounts.pub"),
            "--service-account-signing-key-file",
            self.file("accounts.key"),
            "--disable-admission-plugins",
            "ServiceAccount",
            "--endpoint-reconciler-type",
            "none",
            "--cert-dir",
            self.file("certs"),
        )
        # Helm and kubectl know it by this file alone.
        self.config = self.file("kubeconfig")
        pathlib.Path(self.config).write_text(f"""apiVersion: v1
kind: Config
current-context: all
clusters: [{{name: all, cluster: {{server: "https://{self.host}:6443", certificate-authority: {self.file("ca.crt")}}}}}]
users: [{{name: all, user: {{token: admin-token}}}}]
contexts: [{{name: all, context: {{cluster: all, user: all}}}}]
""")
        end = time.monotonic() + UP
        while True:
            done = subprocess.run(
                [*self.enter, self.programs / "kubectl", "get", "--raw", "/readyz"],
                env=self.env(),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            if done.stdout == "ok":
                return
            dead = [child.args[0] for child in self.children if child.poll() is not None]
            assert not dead and time.monotonic() < end, (
                f"{dead} {done.stderr}\n{(self.dir / 'kube-apiserver.log').read_text()[-4000:]}"
            )
            time.sleep(0.2)

    def env(self):
        """Nothing of the caller's own configuration."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.dir), "KUBECONFIG": self.config}

    def kubectl(self, *arguments, code=0, stdin=None):
        return run(*self.enter, self.programs / "kubectl", *arguments, env=self.env(), code=code, stdin=stdin)
