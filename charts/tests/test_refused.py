"""Values that are refused, each with what it says."""

import pytest
from conftest import render, template, with_image

A = {"name": "a", "command": ["a"]}
B = {"name": "b", "command": ["b"]}


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
        # What YAML may have made something else of: 0123 is 83, and 9007199254740993 another number.
        (with_image(env={"A": 83}), "/env/A"),
        (with_image(env={"A": False}), "want string"),
        ({"image": {"repository": "shop", "tag": 5349}}, "/image/tag"),
        (with_image(queues={"true": {}}), "true"),
        (with_image(queues={"null": {}}), "null"),
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
        # What would be taken, and never work.
        (
            with_image(extraProcesses=[{**A, "enabled": False}, {**B, "dependsOn": [{"name": "a"}]}]),
            "`b` depends on `a`, which is not enabled: say `optional: true`",
        ),
        (
            with_image(extraProcesses=[{**B, "dependsOn": [{"name": "nginx", "condition": "Completed"}]}]),
            "`b` waits for `nginx` to be Completed, and its restartPolicy is Always",
        ),
        (
            with_image(extraProcesses=[A, {**B, "dependsOn": [{"name": "a", "condition": "Exited", "optional": True}]}]),
            "`b` waits for `a` to be Exited, and its restartPolicy is Always",
        ),
        (
            with_image(web={"enabled": False}, queues={"default": None}, extraProcesses=[{**A, "enabled": False}]),
            "there is nothing to run",
        ),
        (with_image(extraProcesses=[{**A, "env": [{"name": "PODINIT_REVISION", "value": "x"}]}]), "/extraProcesses/0"),
        (with_image(extraInitProcesses=[{**A, "env": [{"name": "PODINIT_REVISION", "value": "x"}]}]), "/extraInitProcesses/0"),
        (
            with_image(extraProcesses=[{**A, "env": [{"name": "X", "value": "1"}, {"name": "X", "value": "2"}]}]),
            "`a` has the variable X twice",
        ),
        (with_image(web={"port": 9000}), "web.port: 9000 is the port of php-fpm"),
        (with_image(web={"port": 9001}), "web.port: 9001 is the port of php-fpm's status"),
        (with_image(web={"port": 9480}), "web.port: 9480 is adminPort's, too"),
        (with_image(adminPort=9001), "adminPort: 9001 is the port of php-fpm's status"),
        (with_image(redis={"enabled": True}, replicaCount=1, web={"port": 6379}), "web.port: 6379 is the port of redis"),
        (
            with_image(web={"enabled": False}, redis={"enabled": True}, replicaCount=1, adminPort=6379),
            "adminPort: 6379 is the port of redis",
        ),
        (
            with_image(extraProcesses=[{**A, "securityContext": {"runAsUser": 1000}}]),
            "`a` is to run as user 1000, and the pod runs as 33 (podSecurityContext.runAsUser)",
        ),
        (with_image(extraInitProcesses=[{**A, "securityContext": {"runAsUser": 0}}]), "`a` is to run as user 0"),
        (with_image(deployment={"maxSurge": 0}), "deployment: maxSurge and maxUnavailable are both 0"),
        (
            with_image(deployment={"maxSurge": "0%", "maxUnavailable": "0%"}),
            "deployment: maxSurge and maxUnavailable are both 0",
        ),
        (with_image(service={"nodePort": 30000}), "service.nodePort: a ClusterIP has none"),
        (with_image(service={"externalTrafficPolicy": "Local"}), "service.externalTrafficPolicy: a ClusterIP has none"),
        (with_image(writable={"x": {"path": "/etc/podinit"}}), "writable.x: /etc/podinit is the chart's own"),
        (with_image(writable={"x": {"path": "/run/podinit/"}}), "writable.x: /run/podinit is the chart's own"),
        (with_image(writable={"x": {"path": "/tmp"}}), "/tmp is mounted twice"),
        (
            with_image(extraVolumeMounts=[{"name": "x", "mountPath": "/app/storage/logs/"}]),
            "extraVolumeMounts: /app/storage/logs is mounted twice",
        ),
        (with_image(service={"extraPorts": [{"name": "http", "port": 81}]}), "service.extraPorts: the name `http` is taken"),
        (
            with_image(service={"extraPorts": [{"name": "a", "port": 81, "targetPort": 8080}]}),
            "service.extraPorts: 8080 is web.port's, too",
        ),
        (
            with_image(service={"extraPorts": [{"name": "a", "port": 81, "targetPort": 7000}, {"name": "b", "port": 7000}]}),
            "service.extraPorts: 7000 is there twice",
        ),
        (
            with_image(ingress={"enabled": True, "hosts": [{"host": "a", "paths": [{"path": "/", "port": "ws"}]}]}),
            "ingress.hosts: the Service has no port `ws`",
        ),
        (with_image(fullnameOverride="Shop_1"), "/fullnameOverride"),
        (with_image(fullnameOverride="123"), "/fullnameOverride"),
        (with_image(nameOverride="My App"), "/nameOverride"),
        (
            with_image(mode="ProcessSet", serviceAccount={"automount": False}),
            "serviceAccount.automount: podinit needs a token in mode ProcessSet",
        ),
        (with_image(app={"caches": ["::"]}), "/app/caches/0"),
        (with_image(app={"caches": [f"c{n}" for n in range(33)]}), "there are 33 init processes, and 32 at the most"),
        (with_image(queues={f"q{n}": {} for n in range(62)}), "there are 65 processes, and 64 at the most"),
        # Two that would be one.
        (
            with_image(queues={"default-1": {}}),
            "the name `queue-default-1` is also what a replica of `queue-default` is called: rename one of them",
        ),
        (
            with_image(extraProcesses=[A], extraInitProcesses=[{**B, "name": "a-0"}]),
            "the name `a-0` is also what a replica of `a`",
        ),
        (
            with_image(extraProcesses=[{**A, "maxReplicas": 3}], sidecars=[{"name": "a-2", "preset": "Istio"}]),
            "the name `a-2` is also what a replica of `a`",
        ),
        (
            with_image(sidecars=[{"name": "migrate", "preset": "Istio"}]),
            "the name `migrate` is taken twice",
        ),
        (with_image(directories=["a", "/app/a"]), "directories: /app/a is there twice"),
        (with_image(directories=[f"d{n}" for n in range(65)]), "/directories"),
        (with_image(queues={"default": {"queues": []}}), "/queues/default/queues"),
        # Init processes that would wait for ever, or for nobody.
        (
            with_image(extraInitProcesses=[{**A, "dependsOn": [{"name": "b"}]}, B]),
            "extraInitProcesses: `a`, `b` would wait for each other for ever (one without dependsOn waits for the one before it)",
        ),
        (
            with_image(
                mode="ProcessSet",
                extraInitProcesses=[
                    {**A, "dependsOn": [{"name": "b"}]},
                    {**B, "dependsOn": [{"name": "a"}, {"name": "migrate"}]},
                ],
            ),
            "extraInitProcesses: `a`, `b` would wait for each other",
        ),
        (
            with_image(extraInitProcesses=[{**A, "dependsOn": [{"name": "b"}]}]),
            "`a` depends on `b`, and there is no such init process",
        ),
        (
            with_image(extraInitProcesses=[{**A, "dependsOn": [{"name": "migrate"}]}]),
            "`a` depends on `migrate`, and there is no such init process: the migration is a Job in mode File",
        ),
        (
            with_image(extraInitProcesses=[{**A, "dependsOn": [{"name": "nginx", "optional": True}]}]),
            "`a` depends on `nginx`, which is no init process, and starts after all of those",
        ),
        (
            with_image(extraProcesses=[{**A, "dependsOn": [{"name": "config-cache", "optional": True}]}]),
            "`a` depends on `config-cache`, which is an init process: processes start after those anyway",
        ),
        (
            with_image(extraProcesses=[{**A, "dependsOn": [{"name": "p"}]}], sidecars=[{"name": "p", "preset": "Istio"}]),
            "`a` depends on `p`, which is a sidecar: everything starts after those anyway",
        ),
        (
            with_image(extraInitProcesses=[{**A, "enabled": False}, {**B, "dependsOn": [{"name": "a"}]}]),
            "`b` depends on `a`, which is not enabled",
        ),
        (with_image(extraProcesses=[{**A, "dependsOn": [{"name": "a"}]}]), "`a` depends on itself: remove that entry"),
        # A Service, an Ingress, volumes, accounts and budgets that Kubernetes would refuse, or that nobody wants.
        (
            with_image(
                web={"enabled": False},
                service={"extraPorts": [{"name": "ws", "port": 6001}]},
                ingress={"enabled": True, "hosts": [{"host": "a"}]},
            ),
            "ingress.hosts: the Service has no port `http`: say which one in `paths: [{path: /, port: ...}]`; it has ws",
        ),
        (
            with_image(
                web={"enabled": False},
                service={"extraPorts": [{"name": "ws", "port": 6001}]},
                ingress={"enabled": True, "hosts": [{"host": "a", "paths": [{"path": "/"}]}]},
            ),
            "ingress.hosts: the Service has no port `http`",
        ),
        (
            with_image(service={"extraPorts": [{"name": "a", "port": 80, "targetPort": 7000}]}),
            "service.extraPorts: the port 80 is that of service.port, too",
        ),
        (
            with_image(
                service={"extraPorts": [{"name": n, "port": 81, "targetPort": t} for n, t in (("a", 7000), ("b", 7001))]}
            ),
            "service.extraPorts: the port 81 is that of `a`, too",
        ),
        (with_image(extraVolumes=[{"name": "run", "emptyDir": {}}]), "extraVolumes: the name `run` is the chart's own"),
        (with_image(extraVolumes=[{"name": "podinit", "emptyDir": {}}]), "extraVolumes: the name `podinit` is the chart's own"),
        (
            with_image(extraVolumes=[{"name": "tmp", "emptyDir": {}}]),
            "extraVolumes: the name `tmp` is that of writable.tmp: take another, or say `tmp: null` there",
        ),
        (with_image(extraVolumes=[{"name": "a", "emptyDir": {}}] * 2), "extraVolumes: the name `a` is there twice"),
        (
            with_image(mode="ProcessSet", serviceAccount={"create": False}),
            "serviceAccount.name: the Role would be bound to the namespace's `default`",
        ),
        (
            with_image(podDisruptionBudget={"maxUnavailable": 0}),
            "podDisruptionBudget.maxUnavailable: with 0 no node that has one of the pods could ever be drained",
        ),
        (with_image(podDisruptionBudget={"maxUnavailable": "0%"}), "podDisruptionBudget.maxUnavailable: with 0"),
        (
            with_image(env={"A": "$(B)", "B": "$(A)", "C": "$(C) $$(A)"}),
            "env: A, B would wait for each other's $(NAME) for ever: write $$(NAME) for the text itself",
        ),
    ],
)
def test_refused(values, words, major):
    code, _, told = template(values, major)
    assert code != 0, "it was rendered"
    assert words in told.replace("\n", " "), told


#: Much like what is refused, and right.
TAKEN = [
    {"extraProcesses": [{**A, "enabled": False}, {**B, "dependsOn": [{"name": "a", "optional": True}]}]},
    {
        "extraProcesses": [
            {**A, "restartPolicy": "OnFailure"},
            {**B, "dependsOn": [{"name": "a", "condition": "Completed"}]},
        ]
    },
    {"extraProcesses": [{**A, "securityContext": {"runAsUser": 33}}]},
    {"extraProcesses": [{**A, "securityContext": {"runAsUser": 7}}], "podSecurityContext": {"runAsUser": None}},
    # php-fpm is not there.
    {"web": {"enabled": False}, "adminPort": 9000},
    {"deployment": {"maxSurge": 0, "maxUnavailable": "25%"}},
    {"service": {"type": "LoadBalancer", "nodePort": 30000, "externalTrafficPolicy": "Local"}},
    {"nameOverride": "1"},
    # A token that the pod's volumes have.
    {
        "mode": "ProcessSet",
        "serviceAccount": {"automount": False},
        "extraVolumeMounts": [{"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    },
    # No replica is called so.
    {"queues": {"default-01": {}, "default-1000": {}, "default-x": {}}},
    {"extraProcesses": [{**A, "maxReplicas": 2}, {**B, "name": "a-2"}]},
    {"extraInitProcesses": [A, {**B, "dependsOn": [{"name": "config-cache"}]}, {**B, "name": "c"}]},
    {"extraInitProcesses": [{**A, "dependsOn": [{"name": "migrate", "optional": True}]}]},
    {"extraInitProcesses": [{**A, "enabled": False}, {**B, "dependsOn": [{"name": "a", "optional": True}]}]},
    {"extraProcesses": [{**A, "dependsOn": [{"name": "b", "optional": True}]}]},
    # Nobody reads it.
    {
        "web": {"enabled": False},
        "service": {"extraPorts": [{"name": "ws", "port": 6001}]},
        "ingress": {"hosts": [{"host": "a"}]},
    },
    {
        "web": {"enabled": False},
        "service": {"extraPorts": [{"name": "ws", "port": 80, "targetPort": 6001}]},
        "ingress": {"enabled": True, "hosts": [{"host": "a", "paths": [{"path": "/", "port": "ws"}]}]},
    },
    {"writable": {"tmp": None}, "extraVolumes": [{"name": "tmp", "emptyDir": {}}]},
    {"mode": "ProcessSet", "serviceAccount": {"create": False, "name": "default"}},
    {"mode": "ProcessSet", "serviceAccount": {"create": False}, "rbac": {"create": False}},
    {"serviceAccount": {"create": False}},
    {"podDisruptionBudget": {"maxUnavailable": "1%"}},
    {"podDisruptionBudget": {"enabled": False, "maxUnavailable": 0}},
    {"env": {"A": "$$(B) $(A)", "B": "$(A) $(NOBODY"}},
]


@pytest.mark.parametrize("values", TAKEN, ids=range(len(TAKEN)))
def test_what_is_like_it_is_taken(values):
    render(with_image(**values))
