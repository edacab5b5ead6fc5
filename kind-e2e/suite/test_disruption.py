"""What pods stand on is taken away under load: the API server in the middle of a rolling update, kubelet and containerd,
a node."""

import json
from datetime import datetime, timezone

import pytest

from cluster import ROOT, Watch, is_ready, names, podinit_of, processes, run, stop_of, within
from shop import APP, DRAIN, address, install, jobs_settled

pytestmark = pytest.mark.alone

WORKER = "podinit-e2e-worker"
CONTROL_PLANE = "podinit-e2e-control-plane"
MAIN_PIDS = "systemctl show --property=MainPID --value containerd kubelet"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"


def on(node, script):
    return run("docker", "exec", node, "bash", "-c", script)


def settled(namespace, told):
    """Nothing of what the clients sent is lost or was done twice."""
    sent = told["dispatched"]
    assert told["failures"] == []
    assert sent > 0
    assert jobs_settled(namespace, "shop-laravel", sent, 60) == {"runs": sent, "jobs": sent, "done": sent}


def hold(namespace, pods, finalizers):
    """Keeps pods readable when they have ended, or lets them go."""
    for name in pods:
        patch = json.dumps({"metadata": {"finalizers": finalizers}})
        namespace.kubectl("patch", "pod", name, "--type=merge", "--patch", patch, check=finalizers is not None)


def gets_connections(pod):
    """Whether the proxy of the worker sends it new ones: each endpoint that gets some has such a rule."""
    return f"--to-destination {pod['status']['podIP']}:" in on(WORKER, "iptables-save --table nat")


def leaving(namespace, old):
    """Waits for an old pod that is on its way out."""

    def found():
        pods = [pod for pod in namespace.pods(APP) if pod["metadata"]["name"] in old]
        return next((pod for pod in pods if "deletionTimestamp" in pod["metadata"]), None)

    return within(60, "an old pod leaves", found)


def begin_anew(what):
    """Of the cluster's own. What follows the API server finds out up to half a minute late that there is one again."""
    run("kubectl", "--namespace", "kube-system", "rollout", "restart", what)
    run("kubectl", "--namespace", "kube-system", "rollout", "status", what, "--timeout=90s")


@pytest.fixture
def names_again():
    """The next test's Services would have no name until CoreDNS knows of them."""
    yield
    begin_anew("deployment/coredns")


def pause(namespace, deployment):
    """Its rolling update goes no further, as it stands in the API and as its controller knows."""
    namespace.kubectl("rollout", "pause", deployment)

    def seen():
        told = namespace.json("get", deployment)
        return told["status"]["observedGeneration"] == told["metadata"]["generation"]

    within(5, "the controller knows of the pause", seen)


def updated(namespace, old):
    """The pods of the newer template."""
    return [pod for pod in namespace.pods(APP) if pod["metadata"]["name"] not in old]


@pytest.mark.deadline(300)
def test_the_api_server_is_away_in_the_middle_of_a_rolling_update(namespace, crds, shared, load, names_again):
    """The pod that is on its way out ends in time without it, the others go on, and the update once it is back. In ProcessSet
    mode, so podinit has something to ask it for. The update goes on when kube-proxy follows the API server again: it would send
    connections to a pod that leaves before, for longer than that one drains."""
    install(namespace, "--set", "mode=ProcessSet")
    old = names(namespace.pods(APP))
    within(10, "both get connections", lambda: all(map(gets_connections, namespace.pods(APP))))
    clients = load(address(namespace, "shop-laravel"))
    hold(namespace, old, ["podinit.dev/check"])
    try:
        namespace.kubectl("rollout", "restart", "deployment/shop-laravel")
        pod = leaving(namespace, old)
        pause(namespace, "deployment/shop-laravel")
        within(5, "it gets no new connections", lambda: not gets_connections(pod))
        assert podinit_of(pod)
        on(CONTROL_PLANE, f"mv {MANIFEST} /root/ && pkill -KILL kube-apiserver")
        try:
            within(20, "podinit has ended", lambda: not processes(pod))
            with pytest.raises(AssertionError):
                namespace.pods(APP)
        finally:
            on(CONTROL_PLANE, f"mv /root/{MANIFEST.rpartition('/')[2]} {MANIFEST}")
        within(60, "the API server answers", lambda: namespace.pods(APP))
        begin_anew("daemonset/kube-proxy")
        within(30, "the new pods get connections", lambda: all(map(gets_connections, updated(namespace, old))))
        namespace.kubectl("rollout", "resume", "deployment/shop-laravel")
        namespace.kubectl("rollout", "status", "deployment/shop-laravel", "--timeout=120s", timeout=130)

        def ended():
            states = [namespace.json("get", "pod", name)["status"]["containerStatuses"][0]["state"] for name in old]
            return [state["terminated"] for state in states]

        for terminated in within(60, "both old pods have ended", ended):
            assert terminated["exitCode"] == 0, terminated
    finally:
        hold(namespace, old, None)
    assert [is_ready(pod) for pod in updated(namespace, old)] == [True, True]
    settled(namespace, clients.end())


def youngest(namespace):
    """For how many seconds each of its containers has run at least. The nodes' clock is this machine's."""
    statuses = [status for pod in namespace.pods() for status in pod["status"]["containerStatuses"]]
    began = [status["state"]["running"]["startedAt"] for status in statuses if "running" in status["state"]]
    return (datetime.now(timezone.utc) - datetime.fromisoformat(max(began))).total_seconds()


def test_kubelet_and_containerd_begin_anew_under_running_pods(namespace, shared, load):
    install(namespace)
    pods = namespace.pods(APP)
    before = [podinit_of(pod) for pod in pods]
    clients = load(address(namespace, "shop-laravel"))
    # Those that began in the 10 s before its own start are new ones to a kubelet: unready until it has probed them.
    within(30, "all containers are older than 10 s", lambda: youngest(namespace) > 12)
    # systemd starts again what was killed. What is the main process's alone, so that no container loses its shim.
    for how in ["restart", "kill --signal=KILL --kill-who=main"]:
        old = on(WORKER, MAIN_PIDS).split()
        on(WORKER, f"systemctl {how} containerd kubelet")
        within(30, "both are new", lambda: not {"0", *old} & set(on(WORKER, MAIN_PIDS).split()))
        for pod in pods:
            exec_ = ["exec", pod["metadata"]["name"], "--", "true"]
            within(60, "exec works again", lambda: namespace.kubectl(*exec_) == "")
    # A restart that the kubelet thinks necessary comes with its first look at its pods, which is before they are Ready again.
    within(60, "the pods are Ready", lambda: all(map(is_ready, namespace.pods(APP))))
    after = namespace.pods(APP)
    assert names(after) == names(pods)
    assert [status["restartCount"] for pod in after for status in pod["status"]["containerStatuses"]] == [0, 0]
    assert [podinit_of(pod) for pod in pods] == before
    settled(namespace, clients.end())


@pytest.fixture
def nodes():
    """That are not as they were, until the end."""
    yield
    run("kubectl", "uncordon", WORKER, CONTROL_PLANE)


def test_a_node_is_drained_and_the_other_one_takes_over(namespace, nodes, load):
    """As the PodDisruptionBudget allows it, one pod at a time. Each has a database of its own, so that it may be anywhere."""
    more = {
        "replicaCount": 2,
        "drainSeconds": DRAIN,
        "redis.perPod": True,
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
        # So that no other pods are drained.
        "podLabels": {"drained-by": namespace.name},
    }
    run("kubectl", "cordon", CONTROL_PLANE)
    sets = [word for key, value in more.items() for word in ["--set-json", f"{key}={json.dumps(value)}"]]
    install(namespace, *sets, values=ROOT / "charts/laravel/ci/trial-values.yaml")
    run("kubectl", "uncordon", CONTROL_PLANE)
    assert nodes_of(namespace) == [WORKER, WORKER]
    watch = Watch(namespace, APP).begun()
    clients = load(address(namespace, "shop-laravel"), "--no-jobs")
    selector = f"--pod-selector=drained-by={namespace.name}"
    run("kubectl", "drain", WORKER, selector, "--delete-emptydir-data", "--timeout=120s", timeout=130)
    assert CONTROL_PLANE in nodes_of(namespace)
    within(60, "two ready pods on the other node", lambda: nodes_of(namespace) == [CONTROL_PLANE, CONTROL_PLANE])
    told = clients.end()
    ended = [one for one in watch.ended() if one[1] == "app"]
    watch.stop()
    assert told["failures"] == []
    assert told["sent"] > 500, "too few requests to show much"
    assert len(ended) == 2
    for name, _, terminated in ended:
        assert terminated["exitCode"] == 0, (name, terminated)
        assert stop_of(terminated)[1] == [], (name, terminated)


def nodes_of(namespace):
    """Of its ready pods."""
    return sorted(pod["spec"]["nodeName"] for pod in namespace.pods(APP) if is_ready(pod))
