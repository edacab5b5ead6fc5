"""Pods that pass `restricted`, on a root that is read-only; and what else a pod is made of."""

import re

import pytest
import yaml
from conftest import CHART, render, template, values_of, with_image

#: Volumes that `restricted` allows.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def test_restricted(ci):
    """Each demand of the Pod Security Standard `restricted`, for the application, the migration and the test."""
    values = values_of(ci)
    for name, pod in render(values).pods():
        for field in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            assert not pod.get(field), f"{name}: {field}"
        for volume in pod.get("volumes", []):
            assert set(volume) - {"name"} <= VOLUMES, f"{name}: {volume}"
        whole = pod["securityContext"]
        assert whole["runAsNonRoot"] is True, name
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert whole.get("runAsUser") != 0, name
        assert not {"sysctls", "seLinuxOptions", "windowsOptions"} & set(whole), name
        containers = pod["containers"] + pod.get("initContainers", [])
        assert containers
        for one in containers:
            own = one["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            # Not asked for by `restricted`; by us.
            assert own["readOnlyRootFilesystem"] is True, name
            assert not own.get("privileged") and not own.get("runAsUser") and "procMount" not in own, name
            for port in one.get("ports", []):
                assert "hostPort" not in port, name


def test_any_user():
    """A namespace may give users of its own."""
    pod = render(values_of(CHART / "ci/workers-values.yaml")).one("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_all_that_is_written_is_mounted():
    """What nginx, php-fpm, redis, Laravel and podinit write is in an emptyDir."""
    objects = render(values_of(CHART / "ci/trial-values.yaml"))
    mounts = {one["mountPath"] for one in objects.app()["volumeMounts"] if not one.get("readOnly")}
    assert mounts == {"/run/podinit", "/tmp", "/app/storage/framework", "/app/storage/logs", "/app/bootstrap/cache"}
    volumes = {volume["name"]: volume for volume in objects.one("Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert all("emptyDir" in volumes[one["name"]] for one in objects.app()["volumeMounts"] if not one.get("readOnly"))
    written = [
        line.split()[1].rstrip(";")
        for line in objects.config()["nginx.conf"].splitlines()
        if "_temp_path" in line or line.startswith("pid ")
    ]
    written += [line.split()[1] for line in objects.config()["redis.conf"].splitlines() if line.startswith("dir ")]
    written += [one["path"] for one in objects.spec()["directories"]]
    assert len(written) == 10
    for path in written:
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path


def test_paths_follow_that_of_the_application():
    objects = render(with_image(app={"path": "/srv/shop/"}))
    assert {"/srv/shop/storage/logs", "/srv/shop/bootstrap/cache"} <= {
        one["mountPath"] for one in objects.app()["volumeMounts"]
    }
    assert "root /srv/shop/public;" in objects.config()["nginx.conf"]
    assert objects.app()["workingDir"] == "/srv/shop/"


def test_a_directory_can_be_taken_away():
    objects = render(with_image(writable={"logs": None, "cache": {"path": "/var/cache", "sizeLimit": "1Gi"}}))
    mounts = {one["mountPath"] for one in objects.app()["volumeMounts"]}
    assert "/app/storage/logs" not in mounts and "/var/cache" in mounts
    volumes = {one["name"]: one for one in objects.one("Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert volumes["cache"]["emptyDir"] == {"sizeLimit": "1Gi"}


def test_services_of_the_namespace_do_not_become_variables(ci):
    """REDIS_PORT=tcp://10.0.0.7:6379 of a Service named redis is none of Laravel's."""
    for name, pod in render(values_of(ci)).pods():
        assert pod["enableServiceLinks"] is False, name


def test_workers_alone():
    objects = render(values_of(CHART / "ci/workers-values.yaml"))
    assert not {"Service", "Ingress", "Pod", "Job"} & objects.kinds()
    assert set(objects.processes()) == {"queue-default", "queue-mail"}
    assert set(objects.config()) == {"processset.yaml"}
    assert [port["name"] for port in objects.app()["ports"]] == ["admin"]


def test_scaling():
    one = render(with_image(replicaCount=1))
    assert "PodDisruptionBudget" not in one.kinds()
    many = render(with_image(replicaCount=3))
    assert many.one("Deployment")["spec"]["replicas"] == 3
    assert many.one("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    scaled = render(with_image(replicaCount=1, autoscaling={"enabled": True}))
    # Helm and the autoscaler would fight over the number.
    assert "replicas" not in scaled.one("Deployment")["spec"]
    assert (
        scaled.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == scaled.one("Deployment")["metadata"]["name"]
    )
    assert "PodDisruptionBudget" in scaled.kinds()


def test_a_rollout_never_has_fewer_pods():
    strategy = render(with_image()).one("Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("mode", ["File", "ProcessSet"])
def test_network_policy(mode):
    made = {"enabled": True, "egress": {"enabled": True, "apiServerCIDRs": ["10.0.0.1/32"]}}
    spec = render(with_image(mode=mode, networkPolicy=made)).one("NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    # Everybody may reach nginx, and nobody podinit's port.
    assert spec["ingress"] == [{"ports": [{"port": "http"}]}]
    api = {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 443}, {"port": 6443}]}
    assert spec["egress"][0] == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert spec["egress"][1:] == ([api] if mode == "ProcessSet" else [])
    spec = render(with_image(mode=mode, networkPolicy={"enabled": True, "admin": [{"podSelector": {}}]})).one("NetworkPolicy")[
        "spec"
    ]
    assert spec["policyTypes"] == ["Ingress"] and "egress" not in spec
    assert spec["ingress"][1] == {"ports": [{"port": "admin"}], "from": [{"podSelector": {}}]}


def test_the_test_may_reach_what_it_tests():
    """Whoever else may not."""
    peer = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    objects = render(with_image(networkPolicy={"enabled": True, "http": [peer]}))
    first, second = objects.one("NetworkPolicy")["spec"]["ingress"][0]["from"]
    assert first == peer
    assert second["podSelector"]["matchLabels"].items() <= objects.one("Pod")["metadata"]["labels"].items()


def test_migration():
    job = render(with_image()).one("Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    # Nothing of the release is there when it runs first.
    pod = job["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "default"
    (config,) = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
    made = render(with_image()).one("ConfigMap", config)
    assert made["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert pod["containers"][0]["command"] == ["podinit", "-f", "/etc/podinit/processset.yaml"]
    spec = yaml.safe_load(made["data"]["processset.yaml"])["spec"]
    assert "processes" not in spec and spec["initProcesses"][0]["command"] == ["php", "artisan", "migrate", "--force"]
    # Laravel starts in no place without them.
    assert spec["directories"] == render(with_image()).spec()["directories"]
    inits = {one["name"]: one for one in render(with_image(mode="ProcessSet")).spec()["initProcesses"]}
    assert inits["migrate"]["scope"] == "Set"
    assert inits["migrate"]["command"] == ["php", "artisan", "migrate", "--force"]
    for mode in ("File", "ProcessSet"):
        objects = render(with_image(mode=mode, migrate={"scope": "Pod"}))
        assert "Job" not in objects.kinds()
        assert "scope" not in objects.spec()["initProcesses"][-1]
        objects = render(with_image(mode=mode, migrate={"enabled": False}))
        assert "Job" not in objects.kinds()
        assert [one["name"] for one in objects.spec()["initProcesses"]] == ["config-cache"]
    assert "Job" not in render(with_image(mode="ProcessSet")).kinds()


def test_the_pod_of_the_migration_has_labels_of_its_own():
    """A policy or an identity may go by them. It has none of the application's, which a Service of one's own may go by."""
    values = with_image(
        commonLabels={"part-of": "shop", "team": "all"},
        podLabels={"team": "web", "serves": ""},
        migrate={"job": {"podLabels": {"team": "data", "db": "yes"}}},
    )
    objects = render(values)
    labels = {kind: objects.one(kind)["spec"]["template"]["metadata"]["labels"] for kind in ("Job", "Deployment")}
    own = {name: {key: of[key] for key in of if "/" not in key} for name, of in labels.items()}
    assert own == {
        "Deployment": {"part-of": "shop", "team": "web", "serves": ""},
        "Job": {"part-of": "shop", "team": "data", "db": "yes"},
    }
    for selector in (
        objects.one("Service")["spec"]["selector"],
        objects.one("Deployment")["spec"]["selector"]["matchLabels"],
        objects.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels["Deployment"].items()
        assert not selector.items() <= labels["Job"].items()
    # Nor may they be made to.
    for label in selector:
        assert template(with_image(migrate={"job": {"podLabels": {label: "app"}}}))[0] != 0, label


def test_the_memory_holds_what_runs_in_it():
    """At its largest: on most nodes all of the container dies where the limit is reached."""
    objects = render(with_image())
    limits = objects.app()["resources"]["limits"]
    assert limits["memory"].endswith("Mi") and set(limits) == {"memory"}
    children = int(re.search(r"^pm.max_children = (\d+)$", objects.config()["php-fpm.conf"], re.MULTILINE)[1])
    workers = [one for name, one in objects.processes().items() if name.startswith("queue-")]
    assert all("--memory=128" in one["command"] for one in workers)
    # PHP's memory_limit and opcache.memory_consumption; what is beside them has a quarter of a GB.
    scripts = 128 * (children + sum(one["replicas"] for one in workers))
    assert int(limits["memory"].removesuffix("Mi")) >= scripts + 128 + 256
    # What a node has to set aside is less.
    assert int(objects.app()["resources"]["requests"]["memory"].removesuffix("Mi")) <= 256


OCTANE = {
    "web": {"enabled": False},
    "extraProcesses": [{"name": "octane", "command": ["octane"], "readinessProbe": {"httpGet": {"port": 8000}}}],
    "service": {"extraPorts": [{"name": "http", "port": 80, "targetPort": 8000}]},
}


def test_a_server_of_ones_own_has_a_service():
    """Octane in place of nginx and php-fpm."""
    values = with_image(**OCTANE, ingress={"enabled": True, "hosts": [{"host": "a"}]}, networkPolicy={"enabled": True})
    objects = render(values)
    assert set(objects.processes()) == {"octane", "queue-default"}
    assert objects.one("Service")["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    assert {"name": "http", "containerPort": 8000} in objects.app()["ports"]
    backend = {"service": {"name": "shop-laravel", "port": {"name": "http"}}}
    assert objects.one("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"] == backend
    assert objects.one("NetworkPolicy")["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]


def test_a_server_beside_nginx_has_a_port():
    """Reverb, which browsers speak to by itself."""
    values = with_image(
        extraProcesses=[{"name": "reverb", "command": ["reverb"], "readinessProbe": {"tcpSocket": {"port": 6001}}}],
        service={"extraPorts": [{"name": "reverb", "port": 6001}]},
        ingress={"enabled": True, "hosts": [{"host": "a"}, {"host": "ws", "paths": [{"path": "/", "port": "reverb"}]}]},
        networkPolicy={"enabled": True, "http": [{"podSelector": {}}]},
    )
    objects = render(values)
    assert objects.one("Service")["spec"]["ports"] == [
        {"name": "http", "port": 80, "targetPort": "http"},
        {"name": "reverb", "port": 6001, "targetPort": "reverb"},
    ]
    assert {"name": "reverb", "containerPort": 6001} in objects.app()["ports"]
    rules = objects.one("Ingress")["spec"]["rules"]
    assert [rule["http"]["paths"][0]["backend"]["service"]["port"]["name"] for rule in rules] == ["http", "reverb"]
    (rule,) = objects.one("NetworkPolicy")["spec"]["ingress"]
    assert rule["ports"] == [{"port": "http"}, {"port": "reverb"}] and {"podSelector": {}} in rule["from"]
