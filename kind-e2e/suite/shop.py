"""The Laravel example in a cluster, by its chart: installed, rolled over, its jobs counted."""

import json
import time

from cluster import ROOT, is_ready, within

HERE = ROOT / "kind-e2e/suite"
APP = "app.kubernetes.io/name=laravel"
DRAIN = 5  # drainSeconds of values.yaml

# What was begun, of how many jobs, and how many of them came to their end.
RUNS = (
    "$db = new PDO('sqlite:/shared/database.sqlite');"
    "echo json_encode($db->query('select count(*) as runs, count(distinct job) as jobs, count(finished_at) as done "
    "from job_runs')->fetch(PDO::FETCH_ASSOC));"
)


def install(namespace, *more, values=HERE / "values.yaml"):
    more += ("--wait", "--timeout", "120s")
    namespace.helm("install", "shop", ROOT / "charts/laravel", "--values", values, *more, timeout=150)


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


def update(namespace, deployment):
    """A rolling update. Its last old pod may still be on its way out when the next one begins, as it is in production."""
    namespace.kubectl("rollout", "restart", f"deployment/{deployment}")
    namespace.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=120s", timeout=130)


def wait_old_gone(namespace, selector, seconds=60):
    """Waits until only the two pods of the last update are there."""
    within(seconds, "the old pods are gone", lambda: [is_ready(pod) for pod in namespace.pods(selector)] == [True, True])
