"""Rolling updates under load: no request fails, no job is lost or done twice, no container is killed. Then the same
application under supervisord, to compare with."""

import json
import time

import pytest

from cluster import ROOT, Watch, is_ready, names, stop_of, run, within
from load import JOBS

HERE = ROOT / "kind-e2e/suite"
UPDATES = 20
CONTROL_UPDATES = 5
DRAIN = 5  # drainSeconds of values.yaml
APP = "app.kubernetes.io/name=laravel"

# What was begun, of how many jobs, and how many of them came to their end.
RUNS = (
    "$db = new PDO('sqlite:/shared/database.sqlite');"
    "echo json_encode($db->query('select count(*) as runs, count(distinct job) as jobs, count(finished_at) as done "
    "from job_runs')->fetch(PDO::FETCH_ASSOC));"
)


def install(namespace):
    values = ["--values", HERE / "values.yaml"]
    namespace.helm("install", "shop", ROOT / "charts/laravel", *values, "--wait", "--timeout", "120s", timeout=150)


def address(namespace, service):
    return within(30, "an address of the Service", lambda: namespace.json("get", "service", service)["spec"]["clusterIP"])


def jobs(namespace, deployment):
    told = json.loads(namespace.kubectl("exec", f"deployment/{deployment}", "--", "php", "-r", RUNS))
    return {name: int(count) for name, count in told.items()}


def jobs_settled(namespace, deployment, dispatched, seconds):
    """What became of the jobs, once all that were dispatched are done or time is up."""
    end = time.monotonic() + seconds
    while True:
        told = jobs(namespace, deployment)
        if (told["done"] >= dispatched and told["done"] == told["runs"]) or time.monotonic() > end:
            return told
        time.sleep(0.5)


def update(namespace, deployment, selector):
    """A rolling update, to the end of the last old pod."""
    old = set(names(namespace.pods(selector)))
    namespace.kubectl("rollout", "restart", f"deployment/{deployment}")
    namespace.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=120s", timeout=130)
    within(60, "the old pods are gone", lambda: not old & set(names(namespace.pods(selector))))


def describe(what, updates, told, runs, ended):
    codes = {terminated["exitCode"] if terminated else None for _, _, terminated in ended}
    failed, sent = len(told["failures"]), told["sent"]
    lost = told["dispatched"] - min(runs["jobs"], runs["done"])
    used = sorted(stop_of(terminated)[0] for _, _, terminated in ended if "used" in (terminated or {}).get("message", ""))
    stops = f"; a stop took {used[len(used) // 2]:.1f} s, {used[-1]:.1f} s at most" if used else ""
    return (
        f"{what}: {updates} rolling updates; {failed} of {sent} requests failed; of {told['dispatched']} jobs {lost} lost, "
        f"{runs['runs'] - runs['jobs']} begun twice; {told['closed_by_answer']} kept connections closed by an answer, "
        f"{told['closed_between']} between two; exit codes {', '.join(sorted(map(str, codes)))} of {len(ended)} containers{stops}"
    )


@pytest.mark.deadline(900)
def test_twenty_rolling_updates_lose_nothing(namespace, shared, load, capsys):
    install(namespace)
    watch = Watch(namespace, APP)
    clients = load(address(namespace, "shop-laravel"))
    for _ in range(UPDATES):
        update(namespace, "shop-laravel", APP)
    told = clients.end()
    runs = jobs_settled(namespace, "shop-laravel", told["dispatched"], 60)
    ended = [one for one in watch.ended() if one[1] == "app"]
    watch.stop()
    with capsys.disabled():
        print("\n" + describe("podinit", UPDATES, told, runs, ended))
    assert told["failures"] == []
    assert told["sent"] > 50 * UPDATES, "too few requests to show much"
    assert told["closed_by_answer"] > 0, "no kept connection was there in a stop"
    assert runs == {"runs": told["dispatched"], "jobs": told["dispatched"], "done": told["dispatched"]}
    assert len(ended) >= 2 * UPDATES
    assert watch.restarts() == 0
    for name, _, terminated in ended:
        assert terminated, name
        assert terminated["exitCode"] == 0, (name, terminated)
        used, killed = stop_of(terminated)
        assert not killed, (name, terminated["message"])
        assert used <= max(DRAIN, max(JOBS)) + 1, (name, terminated["message"])


@pytest.mark.deadline(600)
def test_the_control_group_under_supervisord(namespace, shared, load, capsys):
    """Shows its losses; what it loses is no failure of ours, but it must have been measured."""
    namespace.apply((HERE / "supervisord.yaml").read_text())
    namespace.kubectl("rollout", "status", "deployment/shop", "--timeout=120s", timeout=130)
    watch = Watch(namespace, "app=shop")
    clients = load(address(namespace, "shop"))
    for _ in range(CONTROL_UPDATES):
        update(namespace, "shop", "app=shop")
    told = clients.end()
    runs = jobs_settled(namespace, "shop", told["dispatched"], 30)
    ended = watch.ended()
    watch.stop()
    with capsys.disabled():
        print("\n" + describe("supervisord", CONTROL_UPDATES, told, runs, ended))
    assert told["sent"] > 50 * CONTROL_UPDATES
    assert len(ended) >= 2 * CONTROL_UPDATES


@pytest.mark.deadline(300)
def test_the_api_server_may_be_away(namespace, shared, load):
    """Pods go on as they are while it is, and nothing is lost."""
    install(namespace)
    clients = load(address(namespace, "shop-laravel"))
    run("docker", "pause", "podinit-control-plane")
    try:
        time.sleep(15)
    finally:
        run("docker", "unpause", "podinit-control-plane")
    within(60, "the API server answers", lambda: namespace.pods(APP))
    update(namespace, "shop-laravel", APP)
    assert clients.end()["failures"] == []
    assert all(map(is_ready, namespace.pods(APP)))
