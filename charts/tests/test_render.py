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


@pytest.mark.parametrize("chart", [CHART, CRDS], ids=lambda path: path.name)
def test_the_readme_has_every_value(chart):
    """In a row of its own, or in that of what it is part of."""
    rows = set(re.findall(r"^\| `([\w.-]+)` \|", (chart / "README.md").read_text(), re.MULTILINE))

    def missing(values, path=()):
        for name, value in values.items():
            at = (*path, name)
            if ".".join(at) not in rows:
                yield from missing(value, at) if isinstance(value, dict) and value else [".".join(at)]

    assert rows and not list(missing(values_of(chart / "values.yaml")))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("b_c: 1", "values.yaml:3: expected `key: value`, or it has no row in the README: b_c: 1"),
        ("a1: 1", "values.yaml:3: `a1` has no comment that says what it is"),
    ],
)
def test_a_value_without_a_row_is_an_error(line, words, tmp_path):
    """Of the README, which charts/generate makes: here in a tree of its own."""
    for folder in ("charts/podinit-crds/templates", "charts/laravel", "crds", "schemas"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("charts/generate", "charts/laravel/values.schema.json", "charts/laravel/README.md", "CHANGELOG.md"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    for file in (ROOT / "schemas").glob("*.json"):
        (tmp_path / "schemas" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "charts/laravel/values.yaml").write_text(f"# One.\na: 1\n{line}\n")
    assert words in run(os.environ.get("PYTHON", "python3"), tmp_path / "charts/generate", code=1)


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


def test_numbers_are_as_they_are_written():
    """And not 1e+06."""
    queues = {
        "default": {"sleep": 10000000, "backoff": [1000000, 5], "memory": 1000000, "maxJobs": 1000000},
        "a": {"sleep": 0.25, "backoff": 1000000},
        "b": {"sleep": 0, "backoff": []},
    }
    processes = render(with_image(queues=queues, gracePeriodSeconds=86400, web={"requestSeconds": 20000})).processes()
    wanted = {"--sleep=10000000", "--backoff=1000000,5", "--memory=1000000", "--max-jobs=1000000"}
    assert wanted <= set(processes["queue-default"]["command"])
    assert {"--sleep=0.25", "--backoff=1000000"} <= set(processes["queue-a"]["command"])
    assert "--sleep=0" in processes["queue-b"]["command"]
    assert "backoff" not in " ".join(processes["queue-b"]["command"])


#: What YAML takes for something else than text where it is not quoted.
ODD = ["on", "yes", "no", "y", "null", "true", "123", "0123", "1e5"]


def test_names_are_text():
    """Also those that look like something else."""
    values = with_image(
        mode="ProcessSet",
        queues={"default": None, **{name: {} for name in ODD if name not in ("true", "null")}},
        env={"ON": "on", "y": "0123", "NULL": "null"},
        writable={name: {"path": f"/var/{name}"} for name in ODD},
    )
    for release in ("123", "1e5"):
        for name in ("no", "y", ""):
            named = {**values, "fullnameOverride": name, "nameOverride": "0123"}
            objects = render(named, "--namespace", "456", release=release)
            for one in objects:
                metadata = one["metadata"]
                texts = [metadata["name"], metadata["namespace"], *metadata["labels"].values()]
                assert {type(text) for text in texts} == {str}, one
                if one["kind"] not in ("ConfigMap", "ProcessSet"):
                    kubernetes_validate.validate(one, KUBERNETES[-1], strict=True)
            queues = {name for name in objects.processes() if name.startswith("queue-")}
            assert queues == {f"queue-{name}" for name in ODD if name not in ("true", "null")}
            for name in ("0123", "1e5", "no"):
                assert f"--queue={name}" in objects.processes()[f"queue-{name}"]["command"]
            env = {one["name"]: one.get("value") for one in objects.app()["env"]}
            assert (env["ON"], env["y"], env["NULL"]) == ("on", "0123", "null")
            file = yaml.safe_load(objects.config()["processset.yaml"])
            assert file["metadata"]["name"] == objects.one("ProcessSet")["metadata"]["name"]


def test_laravel_logs_to_where_podinit_reads():
    objects = render(with_image())
    for container in (objects.app(), objects.one("Job")["spec"]["template"]["spec"]["containers"][0]):
        assert {"name": "LOG_CHANNEL", "value": "stderr"} in container["env"]
    own = render(with_image(env={"LOG_CHANNEL": "json"})).app()["env"]
    assert [one["value"] for one in own if one["name"] == "LOG_CHANNEL"] == ["json"]


def test_variables_come_before_those_that_ask_for_them():
    """The kubelet expands `$(NAME)` of what stands before, and leaves the rest as it is."""
    secret = {"valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    env = {
        "A_URL": "$(B_HOST):$(C_PORT)",
        "B_HOST": "$(D_NAME).db.svc",
        "C_PORT": "5432",
        "DATABASE_URL": "pgsql://app:$(Z_PASSWORD)@$(A_URL)/$(OF_A_SECRET)",
        "D_NAME": "main",
        "E_TEXT": "$$(Z_LATER) $(E_TEXT) $(PODINIT_REVISION",
        "Y_PASSWORD": secret,
        "Z_LATER": "1",
        "Z_PASSWORD": secret,
    }
    objects = render(with_image(env=env, envFrom=[{"secretRef": {"name": "more"}}]))
    for container in (objects.app(), objects.one("Job")["spec"]["template"]["spec"]["containers"][0]):
        names = [one["name"] for one in container["env"] if one["name"] in env]
        assert names == [
            *("Y_PASSWORD", "Z_PASSWORD"),
            *("C_PORT", "D_NAME", "E_TEXT", "Z_LATER"),
            *("B_HOST", "A_URL", "DATABASE_URL"),
        ]
        # Nothing is lost, and nothing of it changed.
        made = {one["name"]: one for one in container["env"]}
        assert {name: made[name].get("value", secret) for name in env} == env
        assert len(made) == len(container["env"])


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
