"""The cluster as its users see it: kubectl, Helm, and what happened to pods.

Standard library only. What is here knows nothing of a single test.
"""

import json
import os
import re
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}


class Failed(AssertionError):
    """A command failed, or what was waited for did not come."""


def run(*command, timeout=120, check=True, text=None):
    """The standard output of a command."""
    done = subprocess.run(
        [str(word) for word in command], input=text, capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def within(seconds, what, found):
    """Waits until `found()` gives something true, and gives it. What fails on the way is told at the end."""
    end, last = time.monotonic() + seconds, ""
    while True:
        try:
            result = found()
            if result:
                return result
            last = f"last: {result!r}"
        except (Failed, KeyError, IndexError, TypeError, ValueError) as error:
            last = f"last: {error}"
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}; {last}")
        time.sleep(0.1)


class Namespace:
    """One namespace, of one test."""

    def __init__(self, name):
        self.name = name
        labels = [f"{key}={value}" for key, value in RESTRICTED.items()]
        run("kubectl", "create", "namespace", name)
        run("kubectl", "label", "namespace", name, *labels)
        # No pod can be made before it is there.
        within(60, "the service account `default`", lambda: self.kubectl("get", "serviceaccount", "default"))

    def kubectl(self, *args, **more):
        return run("kubectl", "--namespace", self.name, *args, **more)

    def json(self, *args):
        return json.loads(self.kubectl(*args, "-o", "json"))

    def apply(self, manifest):
        self.kubectl("apply", "--filename", "-", text=manifest if isinstance(manifest, str) else json.dumps(manifest))

    def helm(self, *args, **more):
        return run(os.environ["HELM"], "--namespace", self.name, *args, **more)

    def pods(self, selector=""):
        """The pods that are there, those that are on their way out too."""
        return self.json("get", "pods", "--selector", selector)["items"]

    def wait_ready(self, pod, seconds=60):
        self.kubectl("wait", "--for=condition=Ready", f"pod/{pod}", f"--timeout={seconds}s", timeout=seconds + 30)

    def lines(self, pod):
        """What podinit and the processes of a pod have written: a list of records."""
        text = self.kubectl("logs", pod, check=False)
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_line(self, pod, seconds, what, holds):
        return within(seconds, what, lambda: next(filter(holds, self.lines(pod)), None))

    def wait_started(self, pod, instance, seconds=30):
        return self.wait_line(pod, seconds, f"{instance} has started", started(instance))

    def delete(self):
        run("kubectl", "delete", "namespace", self.name, "--wait=false")


def processes(pod):
    """What runs of a pod, seen from its node: {pid there: command}, without the sandbox's own `pause`."""
    script = (
        'for group in $(grep -ls "$0" /proc/[0-9]*/cgroup); do '
        'at=${group%/cgroup}; echo "${at#/proc/} $(tr "\\0" " " <"$at/cmdline")"; done 2>/dev/null; true'
    )
    # As systemd writes it in the names of its slices.
    uid = pod["metadata"]["uid"].replace("-", "_")
    lines = run("docker", "exec", pod["spec"]["nodeName"], "sh", "-c", script, uid).splitlines()
    found = (line.strip().partition(" ") for line in lines)
    return {pid: command for pid, _, command in found if command != "/pause"}


def podinit_of(pod):
    """Its pid there, once it is the only one."""
    return within(20, "one podinit", lambda: only(pid for pid, command in processes(pod).items() if is_podinit(command)))


def is_podinit(command):
    return command.split(" ")[0].rpartition("/")[2] == "podinit"


def only(found):
    found = list(found)
    return found[0] if len(found) == 1 else None


def started(instance):
    """Whether a record says so."""
    return lambda line: line.get("instance") == instance and line.get("message") == "started"


def names(pods):
    return sorted(pod["metadata"]["name"] for pod in pods)


def is_ready(pod):
    conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True"


def stop_of(terminated):
    """What podinit's termination message says of the stop: (seconds used, whom it killed)."""
    message = terminated["message"]
    used = re.search(r"^used ([\d.]+)(ms|s) of ", message, re.MULTILINE)
    if not used:
        raise Failed(f"no report of a stop: {terminated}")
    killed = re.findall(r"^(\S+): .*SIGKILL", message, re.MULTILINE)
    return float(used[1]) / (1000 if used[2] == "ms" else 1), killed


class Log:
    """Follows what a pod writes, to its end."""

    def __init__(self, namespace, pod):
        self.records = []
        self.process = subprocess.Popen(
            ["kubectl", "--namespace", namespace.name, "logs", "--follow", pod], stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.records.append(json.loads(line))

    def wait_line(self, seconds, what, holds):
        return within(seconds, what, lambda: next(filter(holds, list(self.records)), None))

    def __enter__(self):
        within(20, "the log is followed", lambda: self.records)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Watch:
    """Follows the pods of a namespace, so that what became of one is known after it is gone."""

    def __init__(self, namespace, selector=""):
        self.pods = {}
        self.asked = {}  # when each was told to go
        self.gone = set()
        self.lock = threading.Lock()
        self.process = subprocess.Popen(
            ["kubectl", "--namespace", namespace.name, "get", "pods", "--selector", selector, "--watch"]
            + ["--output-watch-events", "--output", "json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self.follow, daemon=True).start()

    def follow(self):
        for line in self.process.stdout:
            event = json.loads(line)
            pod = event["object"]
            meta = pod["metadata"]
            with self.lock:
                self.pods[meta["uid"]] = pod
                # The first counts: at the end the kubelet deletes it with a grace of 0, and the deadline is then.
                if "deletionTimestamp" in meta and meta["uid"] not in self.asked:
                    grace = timedelta(seconds=meta.get("deletionGracePeriodSeconds", 0))
                    self.asked[meta["uid"]] = datetime.fromisoformat(meta["deletionTimestamp"]) - grace
                if event["type"] == "DELETED":
                    self.gone.add(meta["uid"])

    def ended(self):
        """Pods that are gone: (name, container, what the kubelet said of its end)."""
        return [(pod["metadata"]["name"], container, terminated) for pod, container, terminated in self.ends()]

    def took(self):
        """For each container that ended in a pod that is gone: (name of the pod, container, seconds from the request to delete
        the pod to its end). The API server has whole seconds."""
        return [
            (pod["metadata"]["name"], container, (datetime.fromisoformat(end["finishedAt"]) - asked).total_seconds())
            for pod, container, end in self.ends()
            if end and (asked := self.asked.get(pod["metadata"]["uid"]))
        ]

    def ends(self):
        with self.lock:
            gone = [self.pods[uid] for uid in self.gone]
        return [
            (pod, status["name"], status["state"].get("terminated"))
            for pod in gone
            for kind in ["containerStatuses", "initContainerStatuses"]
            for status in pod["status"].get(kind, [])
        ]

    def begun(self):
        """Waits until it has seen a pod."""
        within(20, "the watch has begun", lambda: self.pods)
        return self

    def restarts(self):
        """Restarts of containers, of all pods that were there."""
        with self.lock:
            pods = list(self.pods.values())
        return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", []))

    def stop(self):
        self.process.kill()
        self.process.wait()
