"""A pod is gone inside its grace, by its own exit, whenever it is deleted; and what else ends a container."""

import json
import re

import pytest

from cluster import ROOT, Log, Watch, is_ready, podinit_of, processes, stop_of, within
from pods import (
    DEFAULT_GRACE,
    IN_INIT,
    SEEN,
    STARTING,
    STUBBORN,
    WEB,
    container_of,
    delete,
    header,
    pod,
    sidecar,
    wait_restarted,
)


def in_init(namespace):
    namespace.wait_started("shop", "migrate")


def starting(namespace):
    namespace.wait_started("shop", "web-0")


def ready(namespace):
    namespace.wait_ready("shop")


def draining(namespace):
    """It was deleted once already, and the kubelet has seen that it is unready now."""
    namespace.wait_ready("shop")
    namespace.kubectl("delete", "pod", "shop", "--wait=false")
    namespace.kubectl("wait", "--for=condition=Ready=false", "pod/shop", "--timeout=30s")


# What the termination message says shows which phase it was: what was stopped, and whether there was a drain.
@pytest.mark.parametrize(
    "spec, phase, code, stopped",
    [
        (IN_INIT, in_init, 143, ["migrate"]),
        (STARTING, starting, 0, ["drain", "web-0"]),
        (WEB, ready, 0, ["drain", "web-0", "queue-0"]),
        (WEB.replace("drain: 3s", "drain: 6s"), draining, 0, ["drain", "web-0", "queue-0"]),
    ],
    ids=["in an init process", "starting", "ready", "draining"],
)
def test_a_pod_is_gone_in_time_in_every_phase(namespace, spec, phase, code, stopped):
    namespace.apply(pod("shop", spec))
    phase(namespace)
    assert is_ready(namespace.json("get", "pod", "shop")) == (phase is ready)
    took, ends = delete(namespace, "shop")
    terminated = ends["main"]
    assert took <= DEFAULT_GRACE + SEEN, took
    assert terminated["exitCode"] == code, terminated
    assert re.findall(r"^(drain|\w+(?:-\d)?): ", terminated["message"], re.MULTILINE) == stopped
    used, killed = stop_of(terminated)
    assert used < DEFAULT_GRACE
    assert killed == []


def test_kubectl_describe_tells_how_a_pod_has_stopped(namespace):
    """A finalizer keeps the pod, so that there is something to describe once its container has ended."""
    made = pod("shop", WEB)
    made["items"][1]["metadata"]["finalizers"] = ["podinit.dev/check"]
    namespace.apply(made)
    try:
        namespace.wait_ready("shop")
        namespace.kubectl("delete", "pod", "shop", "--wait=false")
        within(30, "its end", lambda: container_of(namespace, "shop")["state"]["terminated"])
        told = namespace.kubectl("describe", "pod", "shop")
    finally:
        namespace.kubectl("patch", "pod", "shop", "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    state = told[told.index("State:") : told.index("Exit Code:")]
    assert re.search(r"State: +Terminated\n +Reason: +Completed\n +Message: +exit code 0: stopped by SIGTERM\n", state), told
    assert re.search(r"^ *used 3\.\ds of 8\.0s \(grace 10\.0s from PODINIT_\w+\)$", state, re.MULTILINE), told
    assert re.search(r"^ *web-0: asked 3\.\ds, SIGTERM 3\.\ds, exited ", state, re.MULTILINE), told


def test_what_ignores_its_stop_is_killed_by_podinit_and_not_by_the_kubelet(namespace):
    namespace.apply(pod("shop", STUBBORN, grace=6))
    namespace.wait_ready("shop")
    took, ends = delete(namespace, "shop")
    terminated = ends["main"]
    assert took <= 6 + SEEN, took
    assert terminated["exitCode"] == 124, terminated
    assert stop_of(terminated)[1] == ["deaf-0"]


def test_a_longer_grace_than_the_specs_is_not_used(namespace):
    namespace.apply(pod("shop", STUBBORN, grace=5))
    namespace.wait_ready("shop")
    took, ends = delete(namespace, "shop", "--grace-period=60")
    terminated = ends["main"]
    assert took <= 5 + SEEN, took
    assert terminated["exitCode"] == 124, terminated


def test_a_shorter_grace_is_the_kubelets_to_enforce(namespace):
    """podinit may not read its own Pod, so it does not know of it."""
    namespace.apply(pod("shop", STUBBORN, grace=30))
    namespace.wait_ready("shop")
    took, ends = delete(namespace, "shop", "--grace-period=4")
    assert 4 <= took <= 4 + SEEN, took
    assert ends["main"]["exitCode"] == 137, ends


def test_a_shorter_grace_is_kept_where_podinit_may_read_its_pod(namespace, crds):
    """With the rights of the example, so in a pod that follows a ProcessSet."""
    namespace.apply((ROOT / "examples/rbac.yaml").read_text())
    namespace.apply(header("shop") + STUBBORN)
    made = pod(
        "shop",
        STUBBORN,
        grace=30,
        serviceAccountName="shop",
        automountServiceAccountToken=True,
        container={"args": ["--processset", "shop"]},
    )
    namespace.apply(made)
    namespace.wait_ready("shop")
    with Log(namespace, "shop") as log:
        took, ends = delete(namespace, "shop", "--grace-period=6")
        report = log.wait_line(5, "the report", lambda line: "report" in line)["report"]
    terminated = ends["main"]
    assert took <= 6 + SEEN, took
    assert terminated["exitCode"] == 124, terminated
    assert stop_of(terminated)[1] == ["deaf-0"]
    assert report["deadlineSource"] == "metadata.deletionTimestamp", report
    assert report["graceSource"] == "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", report
    assert report["usedSeconds"] < 6, report


def test_a_grace_of_nothing_leaves_nothing(namespace):
    """The kubelet gives 2 s then, and podinit does not know of it."""
    namespace.apply(pod("shop", STUBBORN, grace=60))
    namespace.wait_ready("shop")
    there = namespace.json("get", "pod", "shop")
    assert podinit_of(there)
    namespace.kubectl("delete", "pod", "shop", "--grace-period=0", "--force")
    within(10, "none of its processes is on the node", lambda: not processes(there))


def test_a_liveness_probe_of_the_kubelet_restarts_the_container(namespace):
    """Here it looks at a file that the test takes away."""
    spec = "  shutdown: {drain: 0s}\n  processes: [{name: web, command: [sh, -c, 'touch /tmp/alive; exec sleep infinity']}]\n"
    alive = {"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 2}
    namespace.apply(pod("shop", spec, container={"livenessProbe": alive}))
    namespace.wait_ready("shop")
    namespace.kubectl("exec", "shop", "--", "rm", "/tmp/alive")
    terminated = wait_restarted(namespace, "shop")
    assert terminated["exitCode"] == 0, terminated
    assert stop_of(terminated)[1] == []


def test_a_native_sidecar_lives_longer_than_podinit(namespace):
    proxy = sidecar("trap 'exit 0' TERM; while :; do sleep 0.2; done", restartPolicy="Always")
    namespace.apply(pod("shop", WEB, initContainers=[proxy]))
    namespace.wait_ready("shop")
    _, ends = delete(namespace, "shop")
    assert ends["main"]["exitCode"] == 0, ends
    assert ends["main"]["finishedAt"] <= ends["proxy"]["finishedAt"], ends


def test_shared_process_namespaces_are_no_danger(namespace):
    """podinit is not process 1 then, and ends only what is its own: as it is told to by a neighbour, then with the pod."""
    neighbour = sidecar("exec sleep infinity")
    namespace.apply(pod("shop", WEB, shareProcessNamespace=True, beside=[neighbour]))
    namespace.wait_ready("shop")
    there = namespace.json("get", "pod", "shop")
    before = [pid for pid, command in processes(there).items() if command == "sleep infinity"]
    assert len(before) == 3, "the neighbour, web and queue"
    kill = "for one in /proc/[0-9]*; do grep -qs '^podinit$' $one/comm && kill ${one#/proc/}; done; true"
    namespace.kubectl("exec", "shop", "--container=proxy", "--", "sh", "-c", kill)
    terminated = wait_restarted(namespace, "shop")
    assert terminated["exitCode"] == 0, terminated
    assert container_of(namespace, "shop", "proxy")["restartCount"] == 0
    assert len(set(before) & set(processes(there))) == 1, "only the neighbour's process is still there"
    took, ends = delete(namespace, "shop")
    assert ends["main"]["exitCode"] == 0, ends
    assert took <= DEFAULT_GRACE + SEEN, took


def test_an_eviction_is_a_stop_as_any_other(namespace):
    namespace.apply(pod("shop", WEB))
    namespace.wait_ready("shop")
    watch = Watch(namespace, "app=shop").begun()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "shop"}}
    namespace.kubectl(
        "create", "--raw", f"/api/v1/namespaces/{namespace.name}/pods/shop/eviction", "-f", "-", text=json.dumps(eviction)
    )
    ((_, _, terminated),) = within(20, "the pod is gone", watch.ended)
    watch.stop()
    assert terminated["exitCode"] == 0, terminated
    assert stop_of(terminated)[1] == []


def test_a_job_with_a_sidecar_of_the_old_kind_completes(namespace):
    """The sidecar ends when it is told to, at a port that podinit posts to."""
    listen = (
        "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => 9000, Listen => 5, ReuseAddr => 1) or die; "
        "while ($c = $s->accept) { $line = <$c>; print $c \"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n\"; close $c; "
        "exit 0 if $line =~ /^POST .quit/ }'"
    )
    spec = """\
  sidecars:
    - name: proxy
      startupProbe: {httpGet: {path: /ready, port: 9000}, periodSeconds: 1}
      quit: OnCompletion
      quitHttpPost: {path: /quit, port: 9000}
  processes: [{name: task, command: [echo, done], restartPolicy: Never, traffic: Background}]
"""
    made = pod("shop", spec, beside=[sidecar(listen)], restartPolicy="Never")
    made["items"][1] = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "shop"},
        "spec": {"backoffLimit": 0, "template": {"spec": made["items"][1]["spec"]}},
    }
    namespace.apply(made)

    def complete():
        told = namespace.json("get", "job", "shop")["status"]
        if told.get("failed"):
            raise AssertionError(namespace.kubectl("logs", "job/shop", "--all-containers"))
        return any((one["type"], one["status"]) == ("Complete", "True") for one in told.get("conditions", []))

    within(60, "the Job is complete", complete)
    assert namespace.json("get", "job", "shop")["status"]["succeeded"] == 1
