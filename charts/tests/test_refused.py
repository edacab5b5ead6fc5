"""Values that are refused, each with what it says."""

import pytest
from conftest import template, with_image

A = {"name": "a", "command": ["a"]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        # What is missing, or no value at all.
        ({}, "image.repository: which image?"),
        ({"image": {"repository": "shop"}}, "image.tag: which version of the image?"),
        (with_image(mode="file"), "/mode"),
        (with_image(replicas=3), "'replicas' not allowed"),
        (with_image(web={"timeout": 3}), "'timeout' not allowed"),
        (with_image(queues={"default": {"retries": 3}}), "'retries' not allowed"),
        (with_image(queues={"Mail": {}}), "Mail"),
        (with_image(gracePeriodSeconds="60s"), "/gracePeriodSeconds"),
        (with_image(gracePeriodSeconds=2), "/gracePeriodSeconds"),
        (with_image(app={"path": "app"}), "/app/path"),
        (with_image(web={"port": 80}), "/web/port"),
        (with_image(image={"repository": "shop", "digest": "1234"}), "/image/digest"),
        # One value is behind all times.
        (with_image(env={"PODINIT_TERMINATION_GRACE_PERIOD_SECONDS": "90"}), "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS"),
        (with_image(probes={"liveness": {"terminationGracePeriodSeconds": 5}}), "terminationGracePeriodSeconds"),
        (
            with_image(probes={"readiness": {"periodSeconds": 3, "failureThreshold": 2}}),
            "probes.readiness: it needs 6 s to fail (periodSeconds x failureThreshold), and the drain ends after 5 s (drainSeconds)",
        ),
        # What `podinit check` refuses.
        (
            with_image(gracePeriodSeconds=10, drainSeconds=5),
            "gracePeriodSeconds: 10 leaves no time for requests after a drain of 5 s; at least 11 would, or lower drainSeconds",
        ),
        (with_image(gracePeriodSeconds=30, drainSeconds=31), "drainSeconds: 31 is more than gracePeriodSeconds, which is 30"),
        (
            with_image(web={"requestSeconds": 60}),
            "gracePeriodSeconds: the longest chain of the stop needs 127 s: drain 5 s + nginx 61 s + php-fpm 61 s; but 60 leaves 58 s. Raise gracePeriodSeconds to at least 129",
        ),
        (
            with_image(queues={"default": {"timeout": 90}}),
            "gracePeriodSeconds: the longest chain of the stop needs 92 s: queue-default 92 s; but 60 leaves 58 s. Raise gracePeriodSeconds to at least 94",
        ),
        (with_image(queues={"mail": {"timeout": 90, "replicas": 3}}), "queue-mail 92 s"),
        (with_image(horizon={"enabled": True, "timeout": 120}), "horizon 122 s"),
        (with_image(web={"enabled": False}, extraProcesses=[{**A, "terminationGracePeriodSeconds": 70}]), "drain 5 s + a 70 s"),
        (
            with_image(
                hooks={"preStop": [{"name": "x", "exec": {"command": ["x"]}, "timeoutSeconds": 20}]},
                queues={"default": {"timeout": 40}},
            ),
            "preStop hooks 20 s + queue-default 42 s",
        ),
        (with_image(extraProcesses=[{"name": "nginx", "command": ["x"]}]), "the name `nginx` is taken twice"),
        (with_image(extraInitProcesses=[{"name": "config-cache", "command": ["x"]}]), "the name `config-cache` is taken twice"),
        (
            with_image(extraProcesses=[{**A, "dependsOn": [{"name": "php"}]}]),
            "`a` depends on `php`, and there is no such process",
        ),
        (
            with_image(extraProcesses=[{**A, "dependsOn": [{"name": "queue-default"}]}]),
            "`a` is Serving and depends on `queue-default`, which is Background",
        ),
        (
            with_image(
                extraProcesses=[
                    {**A, "dependsOn": [{"name": "b"}]},
                    {"name": "b", "command": ["b"], "dependsOn": [{"name": "a"}]},
                ]
            ),
            "depends on itself",
        ),
        (with_image(extraProcesses=[{**A, "comand": ["a"]}]), "'comand' not allowed"),
        (with_image(extraProcesses=[{"name": "a"}]), "command"),
        (with_image(extraProcesses=[{**A, "priority": 3}]), "/extraProcesses/0"),
        (with_image(extraProcesses=[{**A, "stopSignal": "QUIT"}]), "stopSignal"),
        (with_image(sidecars=[{"name": "p", "preset": "istio"}]), "preset"),
        # What would not be so.
        (
            with_image(extraInitProcesses=[{**A, "scope": "Set"}]),
            "extraInitProcesses: `a` has scope Set, which needs rights at the API server: mode ProcessSet",
        ),
        (with_image(redis={"enabled": True}), "redis.enabled: each of several pods would have a redis of its own"),
        (
            with_image(mode="ProcessSet", networkPolicy={"enabled": True, "egress": {"enabled": True}}),
            "networkPolicy.egress.apiServerCIDRs: podinit has to reach the API server",
        ),
        (with_image(ingress={"enabled": True}), "ingress.hosts: which host?"),
        (
            with_image(ingress={"enabled": True, "hosts": [{"host": "a"}]}, web={"enabled": False}),
            "ingress.enabled: there is nothing to reach without web.enabled",
        ),
        (
            with_image(autoscaling={"enabled": True, "minReplicas": 20}),
            "autoscaling.minReplicas: 20 is more than maxReplicas, which is 10",
        ),
        (with_image(autoscaling={"enabled": True, "targetCPUUtilizationPercentage": None}), "autoscaling: by what?"),
        (with_image(web={"enabled": False}, queues={"default": {"enabled": False}}), "there is nothing to run"),
        (with_image(writable={"run": {"path": "/run/podinit"}}), "run"),
    ],
)
def test_refused(values, words, major):
    code, _, told = template(values, major)
    assert code != 0, "it was rendered"
    assert words in told.replace("\n", " "), told
