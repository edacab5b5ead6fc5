"""The chart's life: install, test, upgrade, rollback, uninstall; from a file and from a ProcessSet. The namespace is a
`restricted` one, so nothing needs root, a capability or a writable root."""

import json
import os
import re
import time
from datetime import datetime, timezone

import pytest

from cluster import ROOT, is_ready, names, podinit_of, run, within
from pods import WEB, header
from shop import APP, HERE

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


def upgrade(namespace, *more):
    namespace.helm("upgrade", "shop", CHART, "--values", TRIAL, "--set", "drainSeconds=1", *more, "--wait", timeout=150)


def back_by_upgrade(namespace):
    upgrade(namespace, "--set", "mode=File")


def back_by_rollback(namespace):
    namespace.helm("rollback", "shop", "1", "--wait", timeout=150)


def follows_a_set(namespace, pod):
    """Whether the pod does. It has a token then, else none; and there is a set, else none."""
    follows = "--processset" in pod["spec"]["containers"][0]["args"]
    assert pod["spec"]["automountServiceAccountToken"] is follows
    sets = run("kubectl", "--namespace", namespace.name, "get", "processsets", "--output", "name").split()
    assert sets == ["processset.podinit.dev/shop-laravel"] * follows
    return follows


@pytest.mark.parametrize(
    "before, after, back",
    [("File", "File", back_by_rollback), ("ProcessSet", "ProcessSet", back_by_rollback), ("File", "ProcessSet", back_by_upgrade)],
    ids=["File", "ProcessSet", "from File to ProcessSet and back"],
)
@pytest.mark.deadline(240)
def test_install_upgrade_rollback_uninstall(namespace, crds, before, after, back, figure):
    """With a short drain: what is waited for here is that of the old pods."""
    began = time.monotonic()
    install(namespace, "--set", "drainSeconds=1", "--set", f"mode={before}")
    (first,) = ready_pods(namespace, 1, 60, "a ready pod")
    took = time.monotonic() - began
    figure(f"from `helm install` in mode {before} to a ready pod: {took:.1f} s")
    assert took <= 10
    assert follows_a_set(namespace, first) is (before == "ProcessSet")
    namespace.helm("test", "shop", "--timeout", "60s")

    upgrade(namespace, "--set", f"mode={after}", "--set", "queues.default.replicas=2")
    (second,) = ready_pods(namespace, 1, 60, "a pod of the new spec")
    assert second["metadata"]["name"] != first["metadata"]["name"]
    assert follows_a_set(namespace, second) is (after == "ProcessSet")
    pod = second["metadata"]["name"]
    namespace.wait_line(pod, 30, "two workers", lambda line: line.get("instance") == "queue-default-1")
    if after == "ProcessSet":
        wait_pods(namespace, 30, ready=1, updated=1)

    back(namespace)
    (third,) = ready_pods(namespace, 1, 60, "a pod of the old spec")
    assert third["metadata"]["name"] != second["metadata"]["name"]
    assert follows_a_set(namespace, third) is (before == "ProcessSet")
    if before == "ProcessSet":
        wait_pods(namespace, 30, ready=1, updated=1)
    instances = {line.get("instance") for line in namespace.lines(third["metadata"]["name"])}
    assert "queue-default-0" in instances
    assert "queue-default-1" not in instances

    namespace.helm("uninstall", "shop")
    within(60, "all pods are gone", lambda: namespace.pods(APP) == [])


def test_any_user_and_nothing_to_write_to(namespace):
    """As OpenShift does it: a user id that no image knows. In /var/tmp it may write, and no volume is mounted there, so that
    what refuses is the read-only root."""
    install(namespace, "--set", "podSecurityContext.runAsUser=12345", "--set", "podSecurityContext.runAsGroup=0")
    (pod,) = ready_pods(namespace, 1, 60, "a ready pod")
    name = pod["metadata"]["name"]
    mode, touch = "decoct(fileperms('/var/tmp') & 07777)", "@touch('/var/tmp/x') ? 'writes' : 'reads'"
    told = namespace.kubectl("exec", name, "--", "php", "-r", f"echo posix_getuid(), ' ', {mode}, ' ', {touch};")
    assert told == "12345 1777 reads"


@pytest.mark.deadline(300)
def test_a_process_set_reaches_running_pods(namespace, crds, figure):
    pods = install_set(namespace)
    counted(namespace, 30)

    # As a user does it: get, edit, apply. Of what the server has, such a file has neither the status nor a version.
    told = process_set(namespace)
    made = {key: told[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": told["metadata"]["name"]}}
    made["spec"]["processes"][position(namespace, "queue-default")]["replicas"] = 2
    began = datetime.now(timezone.utc)
    namespace.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", text=json.dumps(made))
    lines = [namespace.wait_started(pod, "queue-default-1", 10) for pod in pods]
    # The node's clock is this machine's.
    took = max((datetime.fromisoformat(line["time"]) - began).total_seconds() for line in lines)
    figure(f"from a changed ProcessSet to a new run in both pods: {took:.1f} s")
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
def test_another_pod_follows_a_holder_of_the_lease_that_dies(namespace, crds, figure):
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
    figure(f"from the death of the Lease's holder to the next one: {time.monotonic() - began:.1f} s")
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


def test_podinit_that_follows_a_process_set_is_small(namespace, crds, figure):
    """The pages of its program count in part only where other pods run it, so what is resident is the bound."""
    install(namespace, "--set", "mode=ProcessSet")
    (pod,) = ready_pods(namespace, 1, 60, "a ready pod")
    wait_pods(namespace, 30, ready=1)
    rollup = namespace.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/proc/1/smaps_rollup")
    used = {name: int(kilobytes) * 1024 / 1e6 for name, kilobytes in re.findall(r"^(\w+): +(\d+) kB$", rollup, re.MULTILINE)}
    figure(f"podinit in ProcessSet mode, MB: PSS {used['Pss']:.1f}, RSS {used['Rss']:.1f}, anonymous {used['Anonymous']:.1f}")
    assert 0.5 <= used["Pss"] <= used["Rss"] <= 12, rollup


def test_the_deployment_of_the_page(namespace, crds):
    """That of docs/kubernetes.md as it is, but for its image, with the rights of the example and a set of that name."""
    page = (ROOT / "docs/kubernetes.md").read_text()
    (deployment,) = re.findall(r"^```yaml\n(apiVersion: apps/v1\nkind: Deployment\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    namespace.apply((ROOT / "examples/rbac.yaml").read_text())
    namespace.apply(header("shop") + WEB)
    # It has no file, so the pod begins with the API server's version or not at all.
    namespace.apply(deployment.replace("image: shop:1\n", "image: podinit-debian:dev\n"))
    namespace.kubectl("rollout", "status", "deployment/shop", "--timeout=60s")
    (pod,) = namespace.pods("app=shop")

    def reported():
        return namespace.json("get", "prep", f"{pod['metadata']['name']}.main")["status"]

    told = within(20, "its report says that it is ready", lambda: (status := reported())["ready"] == "2/2" and status)
    assert {one["name"] for one in told["processes"]} == {"web", "queue"}
    kept = ["exec", pod["metadata"]["name"], "--", "cat", "/run/podinit/processset.json"]
    within(20, "the last good spec is kept", lambda: "web" in namespace.kubectl(*kept))


def readme_blocks(language, mark=""):
    """Those of README.md in a language, with that mark right above them."""
    found = re.findall(rf"^{mark}```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert found, (language, mark)
    return found


def readme_commands():
    """The commands of README.md that ask for a cluster: `make` is what runs this, and kind-e2e/docker-test has Docker's."""
    lines = "".join(readme_blocks("sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.split()[0] not in ("make", "docker")]


@pytest.mark.alone
def test_the_commands_of_the_readme(namespace, shared, tmp_path):
    """As they are written, with the values that are written, in a cluster that knows no ProcessSets yet. What is put in their
    place by values.yaml of the suite: the example's image, with php-fpm as Debian calls it, and for `data` its SQLite file and
    the redis of `shared`."""
    run("kubectl", "delete", "crd", "processsets.podinit.dev", "processreports.podinit.dev", "--ignore-not-found")
    (tmp_path / "helm").symlink_to(os.environ["HELM"])
    for name in ("charts", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    config = tmp_path / "kubeconfig"
    config.write_text(run("kubectl", "config", "view", "--raw", "--flatten"))
    run("kubectl", "--kubeconfig", config, "config", "set-context", "--current", f"--namespace={namespace.name}")
    (values,) = readme_blocks("text", "<!-- file: values.yaml -->\n")
    (tmp_path / "values.yaml").write_text(values)
    commands = readme_commands()
    assert [" ".join(command.split()[:2]) for command in commands] == [
        "kubectl create",
        "helm install",
        "helm install",
        "kubectl apply",
    ]
    for command in commands:
        if "values.yaml" in command:
            command += f" --values {HERE / 'values.yaml'}"
        environment = [f"KUBECONFIG={config}", f"PATH={tmp_path}:{os.environ['PATH']}"]
        run("env", f"--chdir={tmp_path}", *environment, "bash", "-euo", "pipefail", "-c", command)
    pods = ready_pods(namespace, 2, 60, "the ready pods of `helm install shop`")
    told = namespace.kubectl("exec", names(pods)[0], "--", "sh", "-c", "echo $APP_ENV $APP_KEY $DB_PASSWORD")
    assert re.fullmatch(r"production base64:[\w+/]{43}= \S+\n", told), told
    assert namespace.json("get", "processset", "shop")["spec"]["processes"]
    account = f"--as=system:serviceaccount:{namespace.name}:shop"
    assert namespace.kubectl("auth", "can-i", "watch", "processsets.podinit.dev/shop", account).strip() == "yes"
    assert "processes" in namespace.kubectl("explain", "processset.spec")
