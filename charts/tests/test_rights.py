"""What the pods may do at the API server: nothing in mode File, what examples/rbac.yaml has in mode ProcessSet."""

import hashlib

import pytest
import yaml
from conftest import ROOT, render, with_image


def rules(role):
    """A Role's rules in an order of their own."""
    return sorted(
        (sorted(rule["apiGroups"]), sorted(rule["resources"]), sorted(rule.get("resourceNames", [])), sorted(rule["verbs"]))
        for rule in role["rules"]
    )


def example():
    return next(one for one in yaml.safe_load_all((ROOT / "examples/rbac.yaml").read_text()) if one["kind"] == "Role")


def test_a_file_needs_no_rights():
    objects = render(with_image(mode="File"))
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ProcessSet"} & objects.kinds()
    for name, pod in objects.pods():
        assert pod["automountServiceAccountToken"] is False, name
    assert objects.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert not [
        one["name"]
        for one in objects.app()["env"]
        if one["name"] not in ("PODINIT_TERMINATION_GRACE_PERIOD_SECONDS",) and one["name"].startswith("PODINIT_")
    ]


def test_a_processset_needs_those_of_the_example():
    objects = render(with_image(mode="ProcessSet", fullnameOverride="shop", rbac={"ownPod": True}))
    assert rules(objects.one("Role")) == rules(example())


def test_no_more_than_is_asked_for():
    """Without a migration no Lease of it, without ownPod no look at pods."""
    rest = [rule for rule in rules(example()) if rule[1] != ["pods"] and "shop-migrate-44f2f7eb" not in rule[2]]
    objects = render(with_image(mode="ProcessSet", fullnameOverride="shop", migrate={"enabled": False}))
    assert rules(objects.one("Role")) == rest
    assert rules(render(with_image(mode="ProcessSet", fullnameOverride="shop", migrate={"scope": "Pod"})).one("Role")) == rest


def test_only_the_application_has_a_token():
    objects = render(with_image(mode="ProcessSet"))
    account = objects.one("ServiceAccount")["metadata"]["name"]
    assert {name: (pod["serviceAccountName"], pod["automountServiceAccountToken"]) for name, pod in objects.pods()} == {
        "shop-laravel": (account, True),
        "shop-laravel-test": ("default", False),
    }
    binding = objects.one("RoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "apps"}]
    assert binding["roleRef"]["name"] == objects.one("Role")["metadata"]["name"]
    # The account by itself gives none: who wants one says so.
    assert objects.one("ServiceAccount")["automountServiceAccountToken"] is False


@pytest.mark.parametrize("release", ["shop", "a-release-with-quite-a-long-name-that-is-cut-here"])
def test_leases_are_called_as_podinit_calls_them(release):
    """SET-INIT-HASH, cut to 63 characters; the docs say how to work it out."""
    init = "i" * 40
    objects = render(
        with_image(mode="ProcessSet", extraInitProcesses=[{"name": init, "command": ["x"], "scope": "Set"}]), release=release
    )
    name = objects.one("ProcessSet")["metadata"]["name"]
    names = [
        rule["resourceNames"][0]
        for rule in objects.one("Role")["rules"]
        if rule["resources"] == ["leases"] and "resourceNames" in rule
    ]
    wanted = [f"{name}-podinit"]
    for process in (init, "migrate"):
        wanted.append(f"{name}-{process}"[:54].strip("-") + "-" + hashlib.sha256(f"{name}/{process}".encode()).hexdigest()[:8])
    assert names == wanted


def test_an_account_of_ones_own():
    objects = render(with_image(mode="ProcessSet", serviceAccount={"create": False, "name": "mine"}, rbac={"create": False}))
    assert not {"ServiceAccount", "Role", "RoleBinding"} & objects.kinds()
    assert objects.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"


def test_the_pod_says_who_it_is():
    env = {one["name"]: one for one in render(with_image(mode="ProcessSet")).app()["env"]}
    assert env["PODINIT_POD_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert env["PODINIT_POD_UID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.uid"
    assert env["PODINIT_CONTAINER"]["value"] == render(with_image()).app()["name"]
