"""The chart's life: install, test, upgrade, rollback, uninstall; from a file and from a ProcessSet. The namespace is a
`restricted` one, so nothing needs root, a capability or a writable root."""

import json
import time
from datetime import datetime, timezone

import pytest

from cluster import ROOT, is_ready, names, podinit_of, run, within

CHART = ROOT / "charts/laravel"
TRIAL = CHART / "ci/trial-values.yaml"
APP = "app.kubernetes.io/name=laravel"


def install(namespace, *more):
    namespace.helm("install", "shop", CHART, "--values", TRIAL, "--timeout", "60s", *more)


def ready_pods(namespace, count, seconds, what):
    def found():
        pods = namespace.pods(APP)
        # None that is on its way out.
        return pods if len(pods) == count and all(map(is_ready, pods)) else None

    return within(seconds, what, found)


def install_set(namespace):
    """Two pods that follow a ProcessSet, once they are ready."""
    install(namespace, "--set", "mode=ProcessSet", "--set", "replicaCount=2", "--set", "redis.perPod=true")
    return names(ready_pods(namespace, 2, 90, "two ready pods"))


def counted(namespace, seconds):
    """Waits until the set's status has both."""
    def both():
        return namespace.json("get", "pset", "shop-laravel")["status"]["pods"]["ready"] == 2

    within(seconds, "the status counts both", both)


@pytest.mark.deadline(240)
def test_install_upgrade_rollback_uninstall(namespace, capsys):
    began = time.monotonic()
    install(namespace)
    (first,) = ready_pods(namespace, 1, 60, "a ready pod")
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\nfrom `helm install` to a ready pod: {took:.1f} s")
    assert took <= 10
    assert first["spec"]["automountServiceAccountToken"] is False
    namespace.helm("test", "shop", "--timeout", "60s")

    namespace.helm("upgrade", "shop", CHART, "--values", TRIAL, "--set", "queues.default.replicas=2", "--wait", timeout=150)
    (second,) = ready_pods(namespace, 1, 60, "a pod of the new spec")
    assert second["metadata"]["name"] != first["metadata"]["name"]
    pod = second["metadata"]["name"]
    namespace.wait_line(pod, 30, "two workers", lambda line: line.get("instance") == "queue-default-1")

    namespace.helm("rollback", "shop", "1", "--wait", timeout=150)
    (third,) = ready_pods(namespace, 1, 60, "a pod of the old spec")
    instances = {line.get("instance") for line in namespace.lines(third["metadata"]["name"])}
    assert "queue-default-0" in instances
    assert "queue-default-1" not in instances

    namespace.helm("uninstall", "shop")
    within(60, "all pods are gone", lambda: namespace.pods(APP) == [])


def test_any_user_and_nothing_to_write_to(namespace):
    """As OpenShift does it: a user id that no image knows."""
    install(namespace, "--set", "podSecurityContext.runAsUser=12345", "--set", "podSecurityContext.runAsGroup=0")
    (pod,) = ready_pods(namespace, 1, 60, "a ready pod")
    name = pod["metadata"]["name"]
    user = namespace.kubectl("exec", name, "--", "php", "-r", "echo posix_getuid(), ' ', @touch('/app/x') ? 'writes' : 'reads';")
    assert user == "12345 reads"


@pytest.mark.deadline(300)
def test_a_process_set_reaches_running_pods(namespace, crds, capsys):
    pods = install_set(namespace)
    counted(namespace, 30)

    def queue_at():
        processes = namespace.json("get", "pset", "shop-laravel")["spec"]["processes"]
        return next(at for at, one in enumerate(processes) if one["name"] == "queue-default")

    path = f"/spec/processes/{queue_at()}/replicas"
    patch = json.dumps([{"op": "add", "path": path, "value": 2}])
    began = datetime.now(timezone.utc)
    namespace.kubectl("patch", "pset", "shop-laravel", "--type", "json", "--patch", patch)
    lines = [namespace.wait_started(pod, "queue-default-1", 10) for pod in pods]
    # The node's clock is this machine's.
    took = max((datetime.fromisoformat(line["time"]) - began).total_seconds() for line in lines)
    with capsys.disabled():
        print(f"\nfrom a changed ProcessSet to a new run in both pods: {took:.1f} s")
    assert took <= 2
    assert names(namespace.pods(APP)) == pods, "no pod was replaced"

    def workers_ready():
        processes = [one for report in namespace.json("get", "prep")["items"] for one in report["status"]["processes"]]
        return [one["ready"] for one in processes if one["name"] == "queue-default"]

    within(20, "both reports have it", lambda: workers_ready() == [2, 2])

    # Without its rights podinit goes on, and says what it misses.
    namespace.kubectl("delete", "rolebinding", "--all")
    for pod in pods:
        namespace.wait_line(pod, 90, "the missing right", lambda line: "forbidden" in line.get("message", ""))
    assert all(map(is_ready, namespace.pods(APP)))
    namespace.helm("uninstall", "shop", "--wait", timeout=150)


@pytest.mark.deadline(300)
def test_another_pod_follows_a_holder_of_the_lease_that_dies(namespace, crds, capsys):
    install_set(namespace)

    def holder():
        return namespace.json("get", "lease", "shop-laravel-podinit")["spec"].get("holderIdentity")

    first = within(60, "a pod holds the Lease", holder)
    pod = first.split(".")[0]
    there = namespace.json("get", "pod", pod)
    began = time.monotonic()
    # Frozen, it cannot give it up, whatever it is told before the kubelet kills it.
    run("docker", "exec", there["spec"]["nodeName"], "kill", "-STOP", podinit_of(there))
    namespace.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    second = within(60, "another one holds it", lambda: (now := holder()) != first and now)
    with capsys.disabled():
        print(f"\nfrom the death of the Lease's holder to the next one: {time.monotonic() - began:.1f} s")
    assert second.split(".")[0] in names(namespace.pods(APP))
    ready_pods(namespace, 2, 90, "two ready pods again")
    counted(namespace, 60)


def test_the_files_of_the_readme_are_accepted(namespace, crds):
    namespace.kubectl("apply", "--filename", ROOT / "examples/web-and-queue.yaml")
    namespace.kubectl("apply", "--filename", ROOT / "examples/rbac.yaml")
    assert "processes" in namespace.kubectl("explain", "processset.spec")
