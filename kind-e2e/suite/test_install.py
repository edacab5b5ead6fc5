"""The chart's life: install, test, upgrade, rollback, uninstall; from a file and from a ProcessSet. The namespace is a
`restricted` one, so nothing needs root, a capability or a writable root."""

import json
import os
import re
import time
from datetime import datetime, timezone

import pytest

from cluster import ROOT, is_ready, names, podinit_of, run, within
from shop import APP

CHART = ROOT / "charts/laravel"
TRIAL = CHART / "ci/trial-values.yaml"


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


def process_set(namespace):
    return namespace.json("get", "pset", "shop-laravel")


def wait_pods(namespace, seconds, **counts):
    """Waits until the set's status counts so many."""

    def found():
        told = process_set(namespace)["status"]["pods"]
        return all(told[kind] == count for kind, count in counts.items())

    within(seconds, f"the status has {counts}", found)


def counted(namespace, seconds):
    """Waits until the set's status has both."""
    wait_pods(namespace, seconds, ready=2)


def change(namespace, operation, path, value):
    patch = json.dumps([{"op": operation, "path": path, "value": value}])
    namespace.kubectl("patch", "pset", "shop-laravel", "--type", "json", "--patch", patch)


def position(namespace, process):
    processes = process_set(namespace)["spec"]["processes"]
    return next(at for at, one in enumerate(processes) if one["name"] == process)


def condition(namespace, kind):
    conditions = process_set(namespace)["status"]["conditions"]
    return next((one["status"], one["reason"]) for one in conditions if one["type"] == kind)


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

    path = f"/spec/processes/{position(namespace, 'queue-default')}/replicas"
    began = datetime.now(timezone.utc)
    change(namespace, "add", path, 2)
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


def wait_described(namespace, kind, name, *wanted):
    """Waits until `kubectl describe` says all of it; Events come a moment after conditions."""
    return within(
        30, f"describe {kind} {name}: {wanted}",
        lambda: not [text for text in wanted if text not in namespace.kubectl("describe", kind, name)],
    )  # fmt: skip


@pytest.mark.deadline(300)
def test_describe_says_what_failed_and_why(namespace, crds):
    """As docs/kubernetes.md shows it: a process that fails for good, then a spec that is refused. Nothing that ran is touched."""
    pods = install_set(namespace)
    counted(namespace, 30)
    limit = {"restartBackoff": {"initial": "100ms"}, "restartLimit": {"count": 3, "window": "1m"}}
    reports = {"name": "reports", "command": ["false"], "traffic": "Background", **limit}
    # Else the second pod would wait for the first one to be well.
    change(namespace, "add", "/spec/rollout", {"maxUnavailable": "100%"})
    change(namespace, "add", "/spec/processes/-", reports)
    wait_pods(namespace, 60, degraded=2)
    told = ["in 2 pods a process failed for good", "2 of 2 pods are ready", "Warning  Degraded"]
    wait_described(namespace, "pset", "shop-laravel", *told)
    for pod in pods:
        why = "reports-0: exit code 1: more than 3 failures (restartLimit)"
        wait_described(namespace, "prep", f"{pod}.app", why)
        wait_described(namespace, "pod", pod, f"reports-0: failed for good: {why.removeprefix('reports-0: ')}")

    # nginx waits for php-fpm.
    change(namespace, "add", f"/spec/processes/{position(namespace, 'php-fpm')}/dependsOn", [{"name": "nginx"}])
    namespace.kubectl("wait", "--for=condition=Accepted=False", "pset/shop-laravel", "--timeout=60s")
    wait_described(namespace, "pset", "shop-laravel", "dependency cycle", "Warning  FailedUpdate")
    within(60, "no pod takes it", lambda: condition(namespace, "Progressing") == ("False", "Refused"))
    assert condition(namespace, "Ready") == ("True", "AllReady")
    assert names(namespace.pods(APP)) == pods
    assert [container["restartCount"] for pod in namespace.pods(APP) for container in pod["status"]["containerStatuses"]] == [0, 0]


def test_podinit_that_follows_a_process_set_is_small(namespace, crds, capsys):
    """The pages of its program count in part only where other pods run it, so what is resident is the bound."""
    install(namespace, "--set", "mode=ProcessSet")
    (pod,) = ready_pods(namespace, 1, 60, "a ready pod")
    wait_pods(namespace, 30, ready=1)
    rollup = namespace.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/smaps_rollup")
    used = {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in re.findall(r"^(\w+): +(\d+) kB$", rollup, re.MULTILINE)}
    with capsys.disabled():
        print(f"\npodinit in ProcessSet mode, MB: PSS {used['Pss']:.1f}, RSS {used['Rss']:.1f}, anonymous {used['Anonymous']:.1f}")
    assert 0.5 <= used["Pss"] <= used["Rss"] <= 12, rollup


def readme_commands():
    """The commands of README.md that ask for a cluster: `make` is what runs this, and kind-e2e/docker-test has Docker's."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.split()[0] not in ("make", "docker")]


def test_the_commands_of_the_readme(namespace, tmp_path):
    """As they are written, in a cluster that knows no ProcessSets yet. Only the example's image is another one."""
    run("kubectl", "delete", "crd", "processsets.podinit.dev", "processreports.podinit.dev", "--ignore-not-found")
    (tmp_path / "helm").symlink_to(os.environ["HELM"])
    config = tmp_path / "kubeconfig"
    config.write_text(run("kubectl", "config", "view", "--raw", "--flatten"))
    run("kubectl", "--kubeconfig", config, "config", "set-context", "--current", f"--namespace={namespace.name}")
    commands = readme_commands()
    assert [" ".join(command.split()[:2]) for command in commands] == ["helm install", "helm install", "kubectl apply"]
    for command in commands:
        if "example.com/shop" in command:
            # All that the pod of that image needs, and the image: the last `--set` counts.
            command += f" --values {TRIAL} --set image.repository=podinit-laravel,image.tag=dev,image.pullPolicy=Never"
        environment = [f"KUBECONFIG={config}", f"PATH={tmp_path}:{os.environ['PATH']}"]
        run("env", f"--chdir={ROOT}", *environment, "bash", "-euo", "pipefail", "-c", command)
    ready_pods(namespace, 1, 60, "a ready pod of `helm install shop`")
    assert namespace.json("get", "processset", "shop")["spec"]["processes"]
    account = f"--as=system:serviceaccount:{namespace.name}:shop"
    assert namespace.kubectl("auth", "can-i", "watch", "processsets.podinit.dev/shop", account).strip() == "yes"
    assert "processes" in namespace.kubectl("explain", "processset.spec")
