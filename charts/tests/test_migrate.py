"""The migration's Job, as podinit runs it: a stop does not cut it, and its exit code is what the Job goes by."""

import os
import signal
import subprocess
import time

import pytest
import yaml
from cluster import Network
from conftest import Objects, podinit, render, run, with_image

#: Stands for PHP: a migration that takes as long as the test likes, and dies on SIGTERM as PHP does.
PHP = """#!/bin/sh
echo "$@" > began
while [ ! -e go ]; do sleep 0.02; done
echo > migrated
exit $(cat go)
"""


class Job:
    """What the Job's container runs."""

    def __init__(self, place, network, **values):
        (place / "php").write_text(PHP)
        (place / "php").chmod(0o755)
        objects = Objects(render(with_image(app={"path": str(place), "php": str(place / "php")}, **values)))
        self.spec = objects.one("Job")["spec"]
        (place / "processset.yaml").write_text(objects.one("ConfigMap", "-migrate")["data"]["processset.yaml"])
        container = self.spec["template"]["spec"]["containers"][0]
        assert container["command"] == ["podinit", "-f", "/etc/podinit/processset.yaml"]
        env = {one["name"]: one["value"] for one in container["env"]}
        self.place = place
        self.process = subprocess.Popen(
            [*network.enter(), podinit(), "-f", place / "processset.yaml"],
            env={"PATH": os.environ["PATH"], "PODINIT_STATE_DIR": str(place), "PODINIT_SOCKET": str(place / "socket"), **env},
            stdout=open(place / "log", "w"),
            stderr=subprocess.STDOUT,
        )

    def log(self):
        return (self.place / "log").read_text()

    def wait(self, what, predicate):
        end = time.monotonic() + 60
        while not predicate():
            assert self.process.poll() is None and time.monotonic() < end, f"{what}\n{self.log()}"
            time.sleep(0.02)

    def go(self, code):
        (self.place / "new").write_text(str(code))
        (self.place / "new").rename(self.place / "go")

    def ended(self):
        return self.process.wait(60)


@pytest.fixture
def network():
    with Network() as network:
        yield network


@pytest.fixture
def job(tmp_path, network):
    jobs = []

    def start(**values):
        jobs.append(Job(tmp_path, network, **values))
        jobs[0].wait("it begins", lambda: (tmp_path / "began").exists())
        return jobs[0]

    yield start
    for one in jobs:
        one.process.kill()
        one.process.wait()
        (tmp_path / "go").write_text("0")


@pytest.mark.parametrize("code", [0, 3])
def test_the_job_goes_by_the_exit_code(job, code):
    one = job(migrate={"args": ["--isolated"]})
    assert (one.place / "began").read_text() == "artisan migrate --force --isolated\n"
    one.go(code)
    assert (one.ended() == 0) == (code == 0), one.log()
    # podinit tries nothing again: that is the Job's backoffLimit.
    assert one.log().count('"message":"started"') == 1, one.log()
    assert one.spec["backoffLimit"] == 0 and one.spec["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("code", [0, 3])
def test_a_stop_lets_it_end(job, code):
    """A drain of the node, an eviction, activeDeadlineSeconds, the next upgrade."""
    one = job()
    os.kill(one.process.pid, signal.SIGTERM)
    one.wait("a stop", lambda: "stopping on SIGTERM" in one.log())
    one.go(code)
    assert (one.ended() == 0) == (code == 0), one.log()
    assert (one.place / "migrated").exists(), one.log()
    assert "SIGKILL" not in one.log()




PROXY = {"name": "proxy", "image": "proxy", "restartPolicy": "Always"}
SHIPPER = {"name": "shipper", "image": "shipper"}


def made(**values):
    """The Job's pod, and the spec that podinit has in it."""
    objects = render(with_image(**values))
    spec = yaml.safe_load(objects.one("ConfigMap", "-migrate")["data"]["processset.yaml"])["spec"]
    return objects.one("Job")["spec"]["template"]["spec"], spec


def names(containers):
    return [one["name"] for one in containers]


def test_the_way_to_the_database_is_in_the_job_too(tmp_path):
    """Sidecars that are waited for and told to quit, native ones, and how the log looks."""
    sidecars = [
        {"name": "istio-proxy", "preset": "Istio"},
        {
            "name": "dapr",
            "startupProbe": {"tcpSocket": {"port": 3500}},
            "quitHttpPost": {"port": 3500, "path": "/q"},
            "quit": "OnCompletion",
        },
        {"name": "agent", "startupProbe": {"exec": {"command": ["true"]}}},
    ]
    pod, spec = made(
        sidecars=sidecars,
        logging={"format": "Text"},
        extraInitContainers=[PROXY],
        extraContainers=[{"name": "dapr", "image": "dapr"}, {"name": "agent", "image": "agent"}, SHIPPER],
    )
    assert spec["logging"] == {"format": "Text"}
    # One that cannot be told to quit is only waited for.
    assert spec["sidecars"] == [{**sidecars[0], "quit": "OnCompletion"}, sidecars[1], sidecars[2]]
    assert pod["initContainers"] == [PROXY]
    # A container that nobody ends would keep the Job from ending.
    assert names(pod["containers"]) == ["migrate", "dapr"]
    head = {"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": {"name": "m"}}
    (tmp_path / "processset.yaml").write_text(yaml.safe_dump({**head, "spec": spec}))
    told = run(podinit(), "check", "--grace", pod["terminationGracePeriodSeconds"], tmp_path / "processset.yaml")
    assert "warning" not in told, told


def test_the_job_may_have_sidecars_of_its_own():
    """Where nothing is injected into its pod it would wait for nobody."""
    for own in ([], [{"name": "other", "preset": "Linkerd"}]):
        _, spec = made(sidecars=[{"name": "istio-proxy", "preset": "Istio"}], migrate={"job": {"sidecars": own}})
        assert spec.get("sidecars", []) == [{**one, "quit": "OnCompletion"} for one in own]
    pod, spec = made()
    assert "sidecars" not in spec and "logging" not in spec and "initContainers" not in pod
    assert names(pod["containers"]) == ["migrate"]
