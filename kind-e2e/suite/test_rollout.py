"""Rolling updates under load: no request fails, no job is lost or done twice, no container is killed. Then the same
application under supervisord, to compare with."""

import pytest

from cluster import Watch, stop_of
from load import JOBS
from shop import APP, DRAIN, HERE, address, install, jobs_settled, update, wait_old_gone

pytestmark = pytest.mark.alone

UPDATES = 20
CONTROL_UPDATES = 5
LIMIT = max(DRAIN, max(JOBS)) + 1  # for a stop, in seconds


def describe(what, updates, told, runs, ended, took=()):
    codes = {terminated["exitCode"] if terminated else None for _, _, terminated in ended}
    failed, sent = len(told["failures"]), told["sent"]
    lost = told["dispatched"] - min(runs["jobs"], runs["done"])
    used = sorted(stop_of(terminated)[0] for _, _, terminated in ended if "used" in (terminated or {}).get("message", ""))
    stops = f"; a stop took {used[len(used) // 2]:.1f} s, {used[-1]:.1f} s at most" if used else ""
    stops += f"; from the delete to the end of a container {max(took):.0f} s at most (API server)" if took else ""
    return (
        f"{what}: {updates} rolling updates; {failed} of {sent} requests failed; of {told['dispatched']} jobs {lost} lost, "
        f"{runs['runs'] - runs['jobs']} begun twice; {told['closed_by_answer']} kept connections closed by an answer, "
        f"{told['closed_between']} between two; exit codes {', '.join(sorted(map(str, codes)))} of {len(ended)} containers{stops}"
    )


@pytest.mark.deadline(900)
def test_twenty_rolling_updates_lose_nothing(namespace, shared, load, figure):
    install(namespace)
    watch = Watch(namespace, APP)
    clients = load(address(namespace, "shop-laravel"))
    for _ in range(UPDATES):
        update(namespace, "shop-laravel")
    wait_old_gone(namespace, APP)
    told = clients.end()
    runs = jobs_settled(namespace, "shop-laravel", told["dispatched"], 60)
    ended = [one for one in watch.ended() if one[1] == "app"]
    took = {name: seconds for name, container, seconds in watch.took() if container == "app"}
    watch.stop()
    figure(describe("podinit", UPDATES, told, runs, ended, took.values()))
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
        assert used <= LIMIT, (name, terminated["message"])
        # Not podinit's own figure; both of its times are cut to whole seconds.
        assert DRAIN - 1 <= took[name] <= LIMIT + 1, (name, took[name], terminated)


@pytest.mark.deadline(600)
def test_the_control_group_under_supervisord(namespace, shared, load, figure):
    """Shows its losses; what it loses is no failure of ours, but it must have been measured."""
    namespace.apply((HERE / "supervisord.yaml").read_text())
    namespace.kubectl("rollout", "status", "deployment/shop", "--timeout=120s", timeout=130)
    watch = Watch(namespace, "app=shop")
    clients = load(address(namespace, "shop"))
    for _ in range(CONTROL_UPDATES):
        update(namespace, "shop")
    wait_old_gone(namespace, "app=shop")
    told = clients.end()
    runs = jobs_settled(namespace, "shop", told["dispatched"], 30)
    ended = watch.ended()
    watch.stop()
    figure(describe("supervisord", CONTROL_UPDATES, told, runs, ended))
    assert told["sent"] > 50 * CONTROL_UPDATES
    assert len(ended) >= 2 * CONTROL_UPDATES
