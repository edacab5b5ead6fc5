"""Every values file of charts/laravel/ci is rendered by both Helms, is valid for Kubernetes, and is as it was."""

import os
import pathlib
import re

import kubernetes_validate
import pytest
import yaml
from conftest import CHART, CI, CRDS, ROOT, helm, render, run, template, values_of, with_image

SNAPSHOTS = pathlib.Path(__file__).with_name("snapshots")
#: The oldest that Chart.yaml allows, and the newest that the validator knows.
KUBERNETES = ["1.29", "1.37"]


def test_lint(ci, major):
    told = run(helm(major), "lint", "--strict", CHART, "--values", ci)
    assert "1 chart(s) linted, 0 chart(s) failed" in told


@pytest.mark.parametrize("chart", [CHART, CRDS], ids=lambda path: path.name)
def test_lint_of_the_defaults(chart, major):
    assert "0 chart(s) failed" in run(helm(major), "lint", "--strict", chart)


def test_both_helms_render_the_same(ci):
    assert render(values_of(ci), major=3) == render(values_of(ci), major=4)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_accepts_it(ci, version):
    for one in render(values_of(ci)):
        # What is not Kubernetes' own is checked by podinit, and by a real API server.
        if not one["apiVersion"].startswith("podinit.dev/"):
            kubernetes_validate.validate(one, version, strict=True)


def test_snapshot(ci):
    """UPDATE_SNAPSHOTS=1 renews them."""
    made = template(values_of(ci))[1]
    path = SNAPSHOTS / ci.name.replace("-values", "")
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(made)
    assert path.exists() and path.read_text() == made, (
        f"{path} is stale: look at the difference, then UPDATE_SNAPSHOTS=1 make test-charts"
    )


def test_no_snapshot_without_values():
    assert {path.name for path in SNAPSHOTS.iterdir()} == {path.name.replace("-values", "") for path in CI}


def test_what_is_generated_is_fresh():
    run(os.environ.get("PYTHON", "python3"), ROOT / "charts/generate", "--check")


def test_crds_are_those_of_the_repository():
    made = {one["metadata"]["name"]: one for one in render({"labels": {"a": "b"}, "annotations": {"c": "d"}}, chart=CRDS)}
    for source in (ROOT / "crds").glob("*.yaml"):
        wanted = yaml.safe_load(source.read_text())
        one = made.pop(wanted["metadata"]["name"])
        metadata = one.pop("metadata")
        assert metadata["annotations"] == {"helm.sh/resource-policy": "keep", "c": "d"}
        assert metadata["labels"]["a"] == "b"
        assert one == {key: value for key, value in wanted.items() if key != "metadata"}
    assert made == {}


@pytest.mark.parametrize("release", ["shop", "laravel", "a.b", "s" * 53])
@pytest.mark.parametrize("mode", ["File", "ProcessSet"])
def test_names_are_labels(release, mode):
    """Of any release, also the longest that Helm allows; a Service and a Lease have 63 characters at the most."""
    values = with_image(mode=mode, autoscaling={"enabled": True}, networkPolicy={"enabled": True})
    for one in render(values, release=release):
        name = one["metadata"]["name"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name), name


def test_every_object_is_in_its_namespace_and_labelled(ci):
    for one in render(values_of(ci)):
        if "-extra" in one["metadata"]["name"] or "-text" in one["metadata"]["name"]:
            continue
        assert one["metadata"]["namespace"] == "apps"
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "shop"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_only_the_application_is_selected(ci):
    """The Service, the budget and the policy never take in the pods of the migration or of the test."""
    objects = render(values_of(ci))
    template_ = objects.one("Deployment")["spec"]["template"]
    for one in objects:
        spec = one.get("spec") or {}
        selector = {"Service": spec.get("selector"), "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}.get(
            one["kind"], (spec.get("selector") or {}).get("matchLabels") if isinstance(spec.get("selector"), dict) else None
        )
        if selector:
            assert selector.items() <= template_["metadata"]["labels"].items(), one["kind"]
            assert selector["app.kubernetes.io/component"] == "app", one["kind"]


def test_extra_objects_are_templates():
    objects = render(values_of(CHART / "ci/everything-values.yaml"))
    assert objects.one("ConfigMap", "shop-extra")["data"] == {"a": "b"}
    assert objects.one("ConfigMap", "shop-laravel-text")["data"] == {"a": "b"}


def test_environment_is_text():
    """Numbers and truth values as they are written, and not 1e+06."""
    env = {
        one["name"]: one
        for one in render(
            with_image(
                env={"A": 1000000, "B": False, "C": "x", "D": {"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}}
            )
        ).app()["env"]
    }
    assert [env[name]["value"] for name in "ABC"] == ["1000000", "false", "x"]
    assert env["D"]["valueFrom"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_ones_own_environment_wins_over_that_of_the_chart():
    env = {
        one["name"]: one
        for one in render(
            with_image(
                env={"REDIS_QUEUE_RETRY_AFTER": "7", "REDIS_PORT": "", "REDIS_HOST": "r"},
                redis={"enabled": True},
                replicaCount=1,
            )
        ).app()["env"]
    }
    assert env["REDIS_QUEUE_RETRY_AFTER"]["value"] == "7"
    assert env["REDIS_HOST"]["value"] == "r"
    assert env["REDIS_PORT"]["value"] == ""
