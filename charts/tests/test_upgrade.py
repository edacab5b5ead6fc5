"""What a change of the values changes: the name of what is immutable, and with it the pods; or nothing of the pods."""

import pytest
from conftest import render, with_image

CHANGES = {
    "queues": {"queues": {"default": {"replicas": 3}}},
    "nginx": {"web": {"workerProcesses": 4}},
    "php-fpm": {"phpFpm": {"children": 9}},
    "grace": {"gracePeriodSeconds": 61},
}


def template(objects):
    return objects.one("Deployment")["spec"]["template"]


def config_name(objects):
    volumes = template(objects)["spec"]["volumes"]
    return next(volume["configMap"]["name"] for volume in volumes if volume["name"] == "podinit")


@pytest.mark.parametrize("mode", ["File", "ProcessSet"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_another_configmap_and_new_pods(mode, change):
    before = render(with_image(mode=mode))
    after = render(with_image(mode=mode, **CHANGES[change]))
    assert config_name(before) != config_name(after)
    assert template(before) != template(after)
    for objects in (before, after):
        assert objects.one("ConfigMap")["immutable"] is True
        assert objects.one("ConfigMap")["metadata"]["name"] == config_name(objects)


@pytest.mark.parametrize("mode", ["File", "ProcessSet"])
@pytest.mark.parametrize(
    "change",
    [
        {"service": {"port": 81}},
        {"replicaCount": 5},
        {"ingress": {"enabled": True, "hosts": [{"host": "a"}]}},
        {"networkPolicy": {"enabled": True}},
    ],
    ids=["service", "replicas", "ingress", "policy"],
)
def test_what_is_around_the_pods_leaves_them_alone(mode, change):
    assert template(render(with_image(mode=mode))) == template(render(with_image(mode=mode, **change)))


def test_what_has_the_same_name_has_the_same_content():
    """An immutable ConfigMap whose content changed would be refused."""
    seen = {}
    for mode in ("File", "ProcessSet"):
        for change in [
            {},
            *CHANGES.values(),
            {"env": {"A": "b"}},
            {"image": {"repository": "other", "tag": "2"}},
            {"podAnnotations": {"a": "b"}},
            {"processSet": {"revision": "7"}},
        ]:
            one = render({**with_image(mode=mode), **change}).one("ConfigMap")
            name = one["metadata"]["name"]
            assert seen.setdefault(name, one["data"]) == one["data"], name


def test_the_revision_is_that_of_the_pod():
    """All that makes a pod new, and nothing else: pods of before do not take the spec of those that come."""

    def revisions(**change):
        objects = render({**with_image(mode="ProcessSet"), **change})
        env = {one["name"]: one.get("value") for one in objects.app()["env"]}
        assert env["PODINIT_REVISION"] == objects.one("ProcessSet")["spec"]["revision"]
        return env["PODINIT_REVISION"]

    same = revisions()
    assert revisions(replicaCount=5) == same
    for change in [*CHANGES.values(), {"image": {"repository": "shop", "tag": "2"}}, {"env": {"A": "b"}}]:
        assert revisions(**change) != same
    assert revisions(processSet={"revision": "mine"}) == "mine"


def test_without_a_file_pods_take_a_change_as_they_are():
    """Only what is not of the spec makes new pods."""
    live = with_image(mode="ProcessSet", processSet={"fallback": False})
    before = render(live)
    after = render({**live, "queues": {"default": {"replicas": 3}}})
    assert template(before) == template(after)
    assert before.one("ProcessSet") != after.one("ProcessSet")
    assert before.one("ProcessSet")["spec"]["revision"] == after.one("ProcessSet")["spec"]["revision"]
    assert "-f" not in before.app()["args"]
    assert template(before) != template(render({**live, "web": {"workerProcesses": 4}}))


def test_a_file_has_no_revision():
    """Its ConfigMap goes by what is in it, and not by the image."""
    assert "revision" not in render(with_image()).spec()
    other = with_image(image={"repository": "example.com/shop", "tag": "2"})
    assert config_name(render(with_image())) == config_name(render(other))
