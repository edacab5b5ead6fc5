"""The charts in a real API server: what Kubernetes itself takes, what stays of earlier revisions, what an uninstall leaves."""

import itertools
import json

import pytest
from cluster import Cluster
from conftest import CHART, CRDS, ROOT, helm, run, values_of, with_image

NUMBERS = itertools.count()
#: No kubelet runs the hooks' pods, so a release that has some would wait for them for ever.
NO_HOOKS = {"migrate": {"enabled": False}, "tests": {"enabled": False}}


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        for file in sorted((ROOT / "crds").glob("*.yaml")):
            # As the chart makes them; a release of them is in a test of its own.
            cluster.kubectl("apply", "--server-side", "-f", file)
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        yield cluster


@pytest.fixture
def namespace(cluster):
    """One in which only `restricted` pods are allowed, as the API server sees it."""
    name = f"charts-{next(NUMBERS)}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl(
        "label",
        "namespace",
        name,
        "pod-security.kubernetes.io/enforce=restricted",
        "pod-security.kubernetes.io/warn=restricted",
    )
    return name


def helms(cluster, major, namespace, *arguments, values=None, code=0):
    given = ["--values", "-"] if values is not None else []
    return run(
        helm(major), "--namespace", namespace, *arguments, *given, stdin=json.dumps(values), env=cluster.env(), code=code
    )


def names(cluster, namespace, kind):
    return set(cluster.kubectl("get", kind, "-n", namespace, "-o", "jsonpath={.items[*].metadata.name}").split())


def test_the_server_takes_it(ci, major, cluster, namespace):
    told = helms(cluster, major, namespace, "install", "shop", CHART, "--dry-run=server", values=values_of(ci))
    notes = told.partition("\nNOTES:\n")[2]
    assert f"A stop has {values_of(ci).get('gracePeriodSeconds', 60)} s:" in notes
    # What one would type next is there, and nothing that the release has not.
    assert f"kubectl -n {namespace} rollout status deployment/shop" in notes
    assert ("helm -n" in notes) == (values_of(ci).get("web", {}).get("enabled", True))
    assert "%!" not in notes and "<no value>" not in notes, notes


def test_every_object_is_taken_without_a_warning(ci, cluster, namespace):
    """Each one as kubectl would create it, with a check of every field. Helm's dry run does not send them."""
    made = run(helm(4), "--namespace", namespace, "template", "shop", CHART, "--values", ci)
    if "runtimeClassName" in made:
        # Admission asks for it.
        cluster.kubectl(
            "apply",
            "-f",
            "-",
            stdin='{"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"}',
        )
        cluster.kubectl(
            "apply",
            "-f",
            "-",
            stdin='{"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "web"}, "value": 1}',
        )
    done = run(
        "sh",
        "-c",
        'exec "$@" 2>&1',
        "sh",
        cluster.programs / "kubectl",
        "create",
        "--validate=strict",
        "--dry-run=server",
        "-n",
        namespace,
        "-f",
        "-",
        stdin=made,
        env=cluster.env(),
    )
    assert "Warning" not in done, done
    assert "deployment.apps/" in done


@pytest.mark.parametrize("mode", ["File", "ProcessSet"])
def test_install_upgrade_rollback_uninstall(mode, major, cluster, namespace):
    """ConfigMaps of earlier revisions stay for a while, and an uninstall leaves nothing."""

    def values(children):
        return with_image(mode=mode, configHistory=2, phpFpm={"children": children}, **NO_HOOKS)

    def mounted():
        return cluster.kubectl(
            "get",
            "deployment",
            "shop-laravel",
            "-n",
            namespace,
            "-o",
            'jsonpath={.spec.template.spec.volumes[?(@.name=="podinit")].configMap.name}',
        )

    helms(cluster, major, namespace, "install", "shop", CHART, values=values(1))
    seen = [mounted()]
    for children in (2, 3, 4):
        helms(cluster, major, namespace, "upgrade", "shop", CHART, values=values(children))
        seen.append(mounted())
        assert len(set(seen)) == len(seen)
        kept = names(cluster, namespace, "configmap") - {"kube-root-ca.crt"}
        assert {seen[-1], seen[-2]} <= kept and len(kept) == min(3, len(seen)), (seen, kept)
    # An upgrade that changes nothing keeps them too.
    helms(cluster, major, namespace, "upgrade", "shop", CHART, values=values(4))
    assert mounted() == seen[-1] and seen[-1] in names(cluster, namespace, "configmap")
    # Back by an upgrade: pods of both can start.
    helms(cluster, major, namespace, "upgrade", "shop", CHART, values=values(2))
    assert mounted() == seen[1]
    assert {seen[1], seen[-1]} <= names(cluster, namespace, "configmap")
    helms(cluster, major, namespace, "upgrade", "shop", CHART, values=values(4))
    # Back by a rollback: those of the pods that run could not. docs/laravel.md says so.
    helms(cluster, major, namespace, "rollback", "shop", "2")
    assert mounted() == seen[1]
    assert seen[1] in names(cluster, namespace, "configmap")
    assert seen[-1] not in names(cluster, namespace, "configmap")
    if mode == "ProcessSet":
        revision = cluster.kubectl("get", "processset", "shop-laravel", "-n", namespace, "-o", "jsonpath={.spec.revision}")
        env = cluster.kubectl(
            "get",
            "deployment",
            "shop-laravel",
            "-n",
            namespace,
            "-o",
            'jsonpath={.spec.template.spec.containers[0].env[?(@.name=="PODINIT_REVISION")].value}',
        )
        assert revision == env
    helms(cluster, major, namespace, "uninstall", "shop")
    assert names(cluster, namespace, "configmap,deployment,service,role,rolebinding,poddisruptionbudget,processset") <= {
        "kube-root-ca.crt"
    }


def test_crds_are_installed_upgraded_and_kept(major, cluster, namespace):
    """Those of kubectl are taken over; an uninstall deletes none."""
    force = ["--force-conflicts"] if major == 4 else []
    helms(cluster, major, namespace, "install", "podinit-crds", CRDS, "--take-ownership", *force)
    helms(cluster, major, namespace, "upgrade", "podinit-crds", CRDS, *force, values={"labels": {"a": f"helm{major}"}})
    labels = json.loads(cluster.kubectl("get", "crd", "processsets.podinit.dev", "-o", "json"))["metadata"]["labels"]
    assert labels["a"] == f"helm{major}"
    helms(cluster, major, namespace, "uninstall", "podinit-crds")
    assert (
        cluster.kubectl("get", "crd", "processsets.podinit.dev", "processreports.podinit.dev", "-o", "name").count(
            "podinit.dev"
        )
        == 2
    )


def replicas(cluster, namespace):
    return int(cluster.kubectl("get", "deployment", "shop-laravel", "-n", namespace, "-o", "jsonpath={.spec.replicas}"))


def test_an_upgrade_leaves_the_number_of_pods_to_the_autoscaler(major, cluster, namespace):
    """Not for a moment is it 1, which is what the API server makes of nothing."""
    scaling = {"enabled": True, "minReplicas": 10, "maxReplicas": 20}

    def helm_(verb, tag, **values):
        image = {"repository": "example.com/shop", "tag": tag}
        helms(cluster, major, namespace, verb, "shop", CHART, values={**NO_HOOKS, "image": image, **values})

    helm_("install", "1", replicaCount=10)
    # From a number of before, also from one that is out of bounds.
    helm_("upgrade", "2", autoscaling={**scaling, "minReplicas": 12})
    assert replicas(cluster, namespace) == 12
    # Before the autoscaler has changed it.
    helm_("upgrade", "3", autoscaling=scaling)
    assert replicas(cluster, namespace) == 12
    # As the autoscaler does it.
    cluster.kubectl("scale", "deployment", "shop-laravel", "-n", namespace, "--replicas=17")
    helm_("upgrade", "4", autoscaling=scaling)
    assert replicas(cluster, namespace) == 17
    helm_("upgrade", "5", autoscaling=scaling)
    assert replicas(cluster, namespace) == 17
    # Bounds that it is out of now are the autoscaler's business, and no conflict.
    helm_("upgrade", "6", autoscaling={**scaling, "maxReplicas": 15})
    assert replicas(cluster, namespace) == (15 if major == 3 else 17)
    cluster.kubectl("scale", "deployment", "shop-laravel", "-n", namespace, "--replicas=15")
    helm_("upgrade", "7", autoscaling={**scaling, "maxReplicas": 15})
    assert replicas(cluster, namespace) == 15


def test_a_release_that_scales_from_the_start(major, cluster, namespace):
    values = with_image(autoscaling={"enabled": True, "minReplicas": 3}, **NO_HOOKS)
    helms(cluster, major, namespace, "install", "shop", CHART, values=values)
    # Nothing serves yet; the autoscaler's first look makes it minReplicas.
    assert replicas(cluster, namespace) == 1
    cluster.kubectl("scale", "deployment", "shop-laravel", "-n", namespace, "--replicas=7")
    helms(cluster, major, namespace, "upgrade", "shop", CHART, values={**values, "podAnnotations": {"a": "b"}})
    assert replicas(cluster, namespace) == 7


def test_an_edit_of_the_processset_and_the_next_upgrade(major, cluster, namespace):
    """As docs/laravel.md has it."""

    def upgrade(verb, replicas, tag, *more, code=0):
        image, queues = {"repository": "shop", "tag": tag}, {"default": {"replicas": replicas}}
        values = {**NO_HOOKS, "mode": "ProcessSet", "image": image, "queues": queues}
        return helms(cluster, major, namespace, verb, "shop", CHART, *more, values=values, code=code)

    def processes():
        made = json.loads(cluster.kubectl("get", "processset", "shop-laravel", "-n", namespace, "-o", "json"))
        return {process["name"]: process for process in made["spec"]["processes"]}

    def edit(replicas):
        at = list(processes()).index("queue-default")
        patch = [{"op": "replace", "path": f"/spec/processes/{at}/replicas", "value": replicas}]
        what = ["processset", "shop-laravel", "-n", namespace, "--type=json", "--patch", json.dumps(patch)]
        # Whom the API server takes it to be from, as with `kubectl edit`.
        cluster.kubectl("patch", *what, "--field-manager=kubectl-edit")

    def state():
        path = "jsonpath={.spec.template.spec.containers[0].image}"
        image = cluster.kubectl("get", "deployment", "shop-laravel", "-n", namespace, "-o", path)
        return image, processes()["queue-default"]["replicas"]

    upgrade("install", 1, "1")
    edit(3)
    # With the same in the values.
    upgrade("upgrade", 3, "2")
    assert state() == ("shop:2", 3)
    # Without it.
    edit(4)
    if major == 3:
        upgrade("upgrade", 3, "3")
        assert state() == ("shop:3", 4)
    else:
        told = upgrade("upgrade", 3, "3", code=1)
        assert 'conflict with "kubectl-edit"' in told, told
        # The Deployment is written by then.
        assert state() == ("shop:3", 4)
        upgrade("upgrade", 3, "3", "--force-conflicts")
        assert state() == ("shop:3", 3)


def test_a_first_install_that_fails_leaves_its_job(major, cluster, namespace):
    """docs/laravel.md says so, and what helps. No kubelet is there to run it, so it takes too long."""
    values = with_image(tests={"enabled": False})
    hook = {"job.batch/shop-laravel-migrate"}

    def left():
        return set(cluster.kubectl("get", "job,configmap", "-n", namespace, "-o", "name").split())

    told = helms(cluster, major, namespace, "install", "shop", CHART, "--timeout", "3s", values=values, code=1)
    assert {3: "timed out waiting for the condition", 4: "context deadline exceeded"}[major] in told
    assert left() == hook
    helms(cluster, major, namespace, "uninstall", "shop")
    assert left() == hook
    # Without it the next installation does the same.
    uid = cluster.kubectl("get", "job", "shop-laravel-migrate", "-n", namespace, "-o", "jsonpath={.metadata.uid}")
    helms(cluster, major, namespace, "install", "shop", CHART, "--timeout", "3s", values=values, code=1)
    assert uid != cluster.kubectl("get", "job", "shop-laravel-migrate", "-n", namespace, "-o", "jsonpath={.metadata.uid}")
    helms(cluster, major, namespace, "uninstall", "shop")
    cluster.kubectl("delete", "job", "shop-laravel-migrate", "-n", namespace)
    assert left() == set()
