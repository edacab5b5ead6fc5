"""Pods with podinit on Debian: made, deleted, and what they said."""

import time

from cluster import Watch, within

DEFAULT_GRACE = 10
# What the kubelet needs until it begins to stop a container that has just begun (2 s), and it and kubectl until they have seen
# that it has ended (1 s). The exit code tells who ended it.
SEEN = 3


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


def container_of(namespace, name, container="main"):
    """What the kubelet says of it."""
    statuses = namespace.json("get", "pod", name)["status"]["containerStatuses"]
    return next(status for status in statuses if status["name"] == container)


def wait_restarted(namespace, name, seconds=40):
    """Waits until a pod's container was restarted and is ready: how it ended before."""

    def once():
        status = container_of(namespace, name)
        return status if status["restartCount"] == 1 and status["ready"] else None

    return within(seconds, "the container was restarted and is ready", once)["lastState"]["terminated"]


def sidecar(script, **more):
    return {
        "name": "proxy",
        "image": "podinit-debian:dev",
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        **more,
    }
