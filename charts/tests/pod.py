"""The rendered pod, run for real without a cluster: podinit as PID 1 of namespaces of its own, as the user and on the read-only
root that the chart says, with the ConfigMap and the emptyDirs where it says."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import time

from conftest import ROOT, podinit

#: Everything is up in seconds on a quiet machine.
UP = 60

#: What a container runtime does. $R is the root to be, on a tmpfs: this machine's programs and configuration, the application,
#: and nothing that can be written but what is mounted last.
SCRIPT = r"""
set -euo pipefail
mount -t tmpfs -o mode=0755 tmpfs "$R"
mkdir -p "$R"/{usr,etc,proc,dev,tmp,run,var/lib/nginx,var/log/nginx}
for link in bin sbin lib lib64; do [[ ! -L /$link ]] || cp -P "/$link" "$R/"; done
mount --rbind /usr "$R/usr"
mount --rbind /dev "$R/dev"
mount -t proc proc "$R/proc"
cp -a /etc/. "$R/etc/"
mkdir -p "$R/etc/podinit" "$R$APP"
cp -r "$SOURCE/." "$R$APP/"
cp "$CONFIG"/* "$R/etc/podinit/"
cp "$PODINIT" "$R/podinit"
if [[ $ACCOUNT ]]; then
  mkdir -p "$R/var/run/secrets/kubernetes.io/serviceaccount"
  cp "$ACCOUNT"/* "$R/var/run/secrets/kubernetes.io/serviceaccount/"
fi
for path in $WRITABLE; do mkdir -p "$R$path"; done
mount -o remount,ro,bind "$R/usr"
mount -o remount,ro "$R"
for path in $WRITABLE; do mount -t tmpfs -o mode=1777 tmpfs "$R$path"; done
"""


class Pod:
    """`network` is where it runs; `account` a folder with what is mounted for its service account; `fields` what the downward API
    says of it; `env` what the kubelet adds."""

    def __init__(self, objects, network, account="", fields=None, env=None):
        self.objects, self.network, self.account = objects, network, account
        self.fields, self.added = fields or {}, env or {}
        self.dir = tempfile.TemporaryDirectory(prefix="podinit-charts-", dir="/var/tmp")

    def __enter__(self):
        app, pod = self.objects.app(), self.objects.one("Deployment")["spec"]["template"]["spec"]
        place = pathlib.Path(self.dir.name)
        (place / "root").mkdir()
        (place / "config").mkdir()
        for name, text in self.objects.config().items():
            (place / "config" / name).write_text(text)
        user, group = pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]
        assert app["securityContext"]["readOnlyRootFilesystem"] is True
        # What an image would have in its environment, then the container's own.
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", **self.added}
        for one in app["env"]:
            env[one["name"]] = one["value"] if "value" in one else self.fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
        last = [
            "chroot",
            str(place / "root"),
            "/usr/bin/setpriv",
            f"--reuid={user}",
            f"--regid={group}",
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
            "--no-new-privs",
            "/usr/bin/env",
            "-i",
            "-C",
            app["workingDir"],
            *[f"{key}={value}" for key, value in env.items()],
            "/podinit",
            *app["args"],
        ]
        script = SCRIPT + "exec " + shlex.join(last) + "\n"
        self.log = place / "log"
        self.process = subprocess.Popen(
            [*self.network.enter(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script],
            env={
                "PATH": os.environ["PATH"],
                "R": str(place / "root"),
                "CONFIG": str(place / "config"),
                "PODINIT": podinit(),
                "APP": app["workingDir"],
                "ACCOUNT": str(self.account),
                # Wherever the example keeps it.
                "SOURCE": str(next((ROOT / "examples/laravel").glob("**/artisan")).parent),
                "WRITABLE": " ".join(sorted(one["mountPath"] for one in app["volumeMounts"] if not one.get("readOnly"))),
            },
            stdin=subprocess.DEVNULL,
            stdout=open(self.log, "w"),
            stderr=subprocess.STDOUT,
        )
        return self

    def __exit__(self, *_):
        # --kill-child: whatever is in the namespaces goes with it.
        self.process.kill()
        self.process.wait()
        self.dir.cleanup()

    def pid(self):
        """podinit's, as it is seen from here."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else None

    def inside(self, *command):
        """Runs a command in the pod's network; exit code and output."""
        done = subprocess.run([*self.network.enter(), *command], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    def get(self, path, *more, port=8080):
        """Status and body."""
        _, told = self.inside("curl", "-s", "-m", "30", "-w", "\n%{http_code}", *more, f"http://127.0.0.1:{port}{path}")
        body, _, status = told.rpartition("\n")
        return int(status or 0), body

    def wait(self, what, predicate):
        """Until it holds; with the pod's log if it never does."""
        end = time.monotonic() + UP
        while not predicate():
            assert self.process.poll() is None and time.monotonic() < end, (
                f"{what}: {self.process.poll()}\n{self.log.read_text()[-8000:]}"
            )
            time.sleep(0.05)

    def ready(self):
        self.wait("ready", lambda: self.pid() and self.get("/readyz", port=9480)[0] == 200)

    def term(self):
        os.kill(self.pid(), signal.SIGTERM)

    def ended(self):
        """Exit code and the report of the stop."""
        code = self.process.wait(60)
        text = self.log.read_text()
        reports = [json.loads(line)["report"] for line in text.splitlines() if line.startswith("{") and '"report"' in line]
        assert reports, text
        return code, reports[-1]
