"""docs/laravel.md is true: its values are taken, its numbers are those of the chart."""

import re

import pytest
import yaml
from conftest import CHART, ROOT, helm, podinit, render, run, template, values_of

PAGE = (ROOT / "docs/laravel.md").read_text()
BLOCKS = [
    block
    for block in re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    if block.startswith("# values.yaml\n")
]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_its_values_are_taken(block, major):
    render(yaml.safe_load(block), major=major)


def test_its_two_releases_agree_on_a_job():
    """Only one of them has workers of a queue, and both say the same of when a job is handed out again."""
    section = PAGE.partition("\n## Workers and the scheduler\n")[2].partition("\n## ")[0]
    workers, pods = [render(yaml.safe_load(block)) for block in BLOCKS if block in section]
    assert set(pods.processes()) == {"php-fpm", "nginx"}
    assert set(workers.processes()) == {"queue-default"}
    timeout = int(re.search(r"--timeout=(\d+)", " ".join(workers.processes()["queue-default"]["command"]))[1])
    said = [
        {one["name"]: one["value"] for one in objects.app()["env"] if one["name"].endswith("_RETRY_AFTER")}
        for objects in (pods, workers)
    ]
    assert said[0] == said[1] and len(said[0]) == 3
    assert min(map(int, said[0].values())) > timeout


def test_its_times_are_those_of_the_chart():
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) s \| (\d+) s \|$", PAGE, re.MULTILINE)
    assert len(rows) == 5
    for grace, drain, request, job in rows:
        objects = render(
            {**values_of(CHART / "ci/minimal-values.yaml"), "gracePeriodSeconds": int(grace), "drainSeconds": int(drain)}
        )
        assert f"request_terminate_timeout = {request}s" in objects.config()["php-fpm.conf"], grace
        assert f"--timeout={job}" in objects.processes()["queue-default"]["command"], grace


def test_its_refusal_is_that_of_the_chart():
    _, _, told = template({**values_of(CHART / "ci/minimal-values.yaml"), "queues": {"default": {"timeout": 90}}})
    said = re.search(r"\.\.\. (gracePeriodSeconds: .*?) \(\.\.\.\)", PAGE, re.DOTALL)[1]
    assert " ".join(said.split()) in told


def test_its_check_before_a_rollout(tmp_path):
    command, told = re.search(r"^\$ (helm template .*podinit check .*)\n(.*)\n", PAGE, re.MULTILINE).groups()
    (tmp_path / "values.yaml").write_text((CHART / "ci/minimal-values.yaml").read_text())
    for word, path in (("helm ", f"{helm()} "), ("charts/laravel", str(CHART)), ("podinit check", f"{podinit()} check")):
        command = command.replace(word, path)
    assert run("sh", "-c", command, cwd=tmp_path) == f"{told}\n"


def test_it_names_values_that_exist():
    """`web.requestSeconds` and the like, in running text."""
    values = values_of(CHART / "values.yaml")
    named = set(re.findall(r"`((?:\w+\.)+\w+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))
    roots = {name for name in named if name.split(".")[0] in values}
    assert len(roots) > 10
    for name in roots:
        at = values
        for part in name.split("."):
            assert part in at, name
            at = at[part]


@pytest.mark.parametrize("chart", ["laravel", "podinit-crds"])
def test_links_of_the_readmes_lead_somewhere(chart):
    page = ROOT / "charts" / chart / "README.md"
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert links
    for link in links:
        assert (page.parent / link).exists(), link
