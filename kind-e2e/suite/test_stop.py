"""A pod is gone inside its grace, by its own exit, whenever it is deleted; and what else ends a container."""

import json
import time

import pytest

from cluster import Failed, Watch, started, stop_of, within

DEFAULT_GRACE = 10
# What the kubelet and kubectl need after podinit has ended, until they have seen it. The exit code tells who ended the container.
SEEN = 1.5


def pod(name, spec, grace=DEFAULT_GRACE, **more):
    """A pod of podinit on Debian with this ProcessSet's spec; `more` is laid over the pod's spec."""
    container = {
        "name": "main",
        "image": "podinit-debian:dev",
        "imagePullPolicy": "Never",
        "args": ["-f", "/etc/podinit/processset.yaml"],
        "env": [{"name": "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", "value": str(grace)}],
        "startupProbe": {"httpGet": {"path": "/startupz", "port": 9480}, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9480}, "periodSeconds": 1, "failureThreshold": 1},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": 9480}, "periodSeconds": 1},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "spec", "mountPath": "/etc/podinit"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    container.update(more.pop("container", {}))
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name},
                "data": {"processset.yaml": header(name) + spec},
            },
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": grace,
                    "automountServiceAccountToken": False,
                    "restartPolicy": "Always",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65534,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container, *more.pop("beside", [])],
                    "volumes": [{"name": "spec", "configMap": {"name": name}}, {"name": "tmp", "emptyDir": {}}],
                    **more,
                },
            },
        ],
    }


def header(name):
    return f"apiVersion: podinit.dev/v1alpha1\nkind: ProcessSet\nmetadata: {{name: {name}}}\nspec:\n"


WEB = """\
  shutdown: {drain: 3s}
  processes:
    - {name: web, command: [sleep, infinity]}
    - {name: queue, command: [sleep, infinity], traffic: Background, dependsOn: [{name: web}]}
"""
IN_INIT = WEB + "  initProcesses: [{name: migrate, command: [sleep, '60']}]\n"
STARTING = WEB.replace("[sleep, infinity]}", "[sleep, infinity], startupProbe: {exec: {command: ['false']}, failureThreshold: 99}}", 1)
# It ends neither by itself nor by SIGTERM.
STUBBORN = "  shutdown: {drain: 0s}\n  processes: [{name: deaf, command: [sh, -c, 'trap \"\" TERM; while :; do sleep 1; done']}]\n"


def delete(namespace, name, *args):
    """Deletes a pod: (seconds until it was gone, what the kubelet said of the end of each container)."""
    watch = Watch(namespace, f"app={name}").begun()
    began = time.monotonic()
    namespace.kubectl("delete", "pod", name, *args, timeout=90)
    took = time.monotonic() - began
    # The watch may be told a moment after the command is.
    ended = within(5, "the end of the pod is seen", watch.ended)
    watch.stop()
    return took, {container: end for _, container, end in ended}


def said(message):
    return lambda line: line.get("source") == "podinit" and line.get("message", "").startswith(message)


@pytest.mark.parametrize(
    "spec, phase",
    [(IN_INIT, "migrate"), (STARTING, "web-0"), (WEB, None)],
    ids=["in an init process", "starting", "ready"],
)
def test_a_pod_is_gone_in_time_in_every_phase(namespace, spec, phase):
    namespace.apply(pod("shop", spec))
    if phase:
        namespace.wait_started("shop", phase)
    else:
        namespace.wait_ready("shop")
    took, ends = delete(namespace, "shop")
    terminated = ends["main"]
    assert took <= DEFAULT_GRACE + SEEN, took
    assert terminated["exitCode"] in (0, 143), terminated
    used, killed = stop_of(terminated)
    assert used < DEFAULT_GRACE
    assert killed == []


def test_a_second_delete_while_it_drains_shortens_nothing_that_is_done(namespace):
    namespace.apply(pod("shop", WEB))
    namespace.wait_ready("shop")
    namespace.kubectl("delete", "pod", "shop", "--wait=false")
    namespace.wait_line("shop", 10, "the stop has begun", said("stopping on"))
    took, ends = delete(namespace, "shop")
    terminated = ends["main"]
    assert took <= DEFAULT_GRACE + SEEN, took
    assert terminated["exitCode"] == 0, terminated


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


def test_a_grace_of_nothing(namespace):
    namespace.apply(pod("shop", STUBBORN))
    namespace.wait_ready("shop")
    began = time.monotonic()
    namespace.kubectl("delete", "pod", "shop", "--grace-period=0", "--force")
    assert time.monotonic() - began < DEFAULT_GRACE


def test_a_liveness_probe_of_the_kubelet_restarts_the_container(namespace):
    """Here it looks at a file that the test takes away."""
    spec = "  shutdown: {drain: 0s}\n  processes: [{name: web, command: [sh, -c, 'touch /tmp/alive; exec sleep infinity']}]\n"
    alive = {"exec": {"command": ["test", "-e", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 2}
    namespace.apply(pod("shop", spec, container={"livenessProbe": alive}))
    namespace.wait_ready("shop")
    namespace.kubectl("exec", "shop", "--", "rm", "/tmp/alive")
    (status,) = within(
        40,
        "the container was restarted",
        lambda: [one for one in namespace.json("get", "pod", "shop")["status"]["containerStatuses"] if one["restartCount"] == 1],
    )
    assert status["lastState"]["terminated"]["exitCode"] == 0, status
    namespace.wait_ready("shop")


def test_a_process_that_is_killed_is_restarted_alone(namespace):
    """As the kernel does it when memory is short."""
    namespace.apply(pod("shop", WEB))
    namespace.wait_ready("shop")
    line = namespace.wait_started("shop", "web-0", 10)
    namespace.kubectl("exec", "shop", "--", "sh", "-c", f"kill -9 {line['pid']}")
    within(20, "another run", lambda: sum(map(started("web-0"), namespace.lines("shop"))) == 2)
    namespace.wait_ready("shop")
    status = namespace.json("get", "pod", "shop")["status"]["containerStatuses"][0]
    assert status["restartCount"] == 0


def sidecar(script, **more):
    return {
        "name": "proxy",
        "image": "podinit-debian:dev",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **more,
    }


def test_a_native_sidecar_lives_longer_than_podinit(namespace):
    proxy = sidecar("trap 'exit 0' TERM; while :; do sleep 0.2; done", restartPolicy="Always")
    namespace.apply(pod("shop", WEB, initContainers=[proxy]))
    namespace.wait_ready("shop")
    _, ends = delete(namespace, "shop")
    assert ends["main"]["exitCode"] == 0, ends
    assert ends["main"]["finishedAt"] <= ends["proxy"]["finishedAt"], ends


def test_shared_process_namespaces_are_no_danger(namespace):
    """podinit is not process 1 then, and ends only what is its own."""
    neighbour = sidecar("exec sleep infinity")
    namespace.apply(pod("shop", WEB, shareProcessNamespace=True, beside=[neighbour]))
    namespace.wait_ready("shop")
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
    made = pod("shop", spec, beside=[sidecar(listen)])
    made["items"][1]["spec"]["restartPolicy"] = "Never"
    namespace.apply(made)

    def phase():
        told = namespace.json("get", "pod", "shop")["status"]["phase"]
        if told == "Failed":
            raise Failed(namespace.kubectl("logs", "shop", "--all-containers"))
        return told == "Succeeded"

    within(60, "the pod has succeeded", phase)
