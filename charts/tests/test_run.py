"""The rendered pod runs: on a read-only root, as www-data, without a capability; it serves, works, and stops without a loss."""

import json
import pathlib
import threading

import pytest
from cluster import Network
from conftest import CHART, render, run, values_of
from pod import Pod


@pytest.fixture(scope="module")
def objects():
    """The trial values, with a drain that a test can wait for. Everything that Laravel caches is cached."""
    values = values_of(CHART / "ci/trial-values.yaml")
    env = {**values["env"], "APP_STORAGE": "/app/storage"}
    return render({**values, "drainSeconds": 2, "env": env, "scheduler": {"enabled": False}})


def test_nginx_and_php_fpm_take_their_configuration(tmp_path):
    """Also with all that can be put into it."""
    config = render(values_of(CHART / "ci/everything-values.yaml")).config()
    for name, text in config.items():
        (tmp_path / name).write_text(text)
    # In a mount namespace, so that what nginx makes in /tmp is gone afterwards; tmp_path is in there, too.
    script = (
        'mount -t tmpfs tmpfs /mnt; cp -r "$0"/. /mnt; mount -t tmpfs tmpfs /tmp; exec nginx -t -e stderr -c /mnt/nginx.conf'
    )
    run("unshare", "--mount", "sh", "-ec", script, tmp_path)
    run("php-fpm8.2", "-t", "-y", tmp_path / "php-fpm.conf", "-R")


def test_it_serves_works_and_stops_without_a_loss(objects):
    with Network() as network, Pod(objects, network) as pod:
        pod.ready()
        status, body = pod.get("/")
        assert status == 200, body
        # It is not allowed to leave anything else behind.
        assert "Read-only file system" not in pod.log.read_text() and "Permission denied" not in pod.log.read_text(), (
            pod.log.read_text()
        )
        assert pod.get("/.env")[0] == 404
        assert "keep-alive" in pod.get("/", "-i")[1].lower()
        # PHP takes as much as nginx does; by itself it would be 8 MB.
        big = pathlib.Path(pod.dir.name) / "big"
        big.write_bytes(b"x" * 10_000_000)
        assert pod.get("/", "-F", f"file=@{big}")[0] == 405
        assert "exceeds the limit" not in pod.log.read_text()
        big.write_bytes(b"x" * 17_000_000)
        assert pod.get("/", "-F", f"file=@{big}")[0] == 413

        # The pod of `helm test` asks with this.
        *command, url = objects.one("Pod")["spec"]["containers"][0]["command"]
        assert url == "http://shop-laravel:80/"
        assert pod.inside(*command, "http://127.0.0.1:8080/")[0] == 0

        # A job and a request that are under way.
        assert pod.get("/jobs?seconds=6", "-X", "POST")[0] in (200, 201, 202)
        pod.wait("a job begins", lambda: json.loads(pod.get("/jobs/started")[1])["count"] == 1)
        slow = {}
        asker = threading.Thread(target=lambda: slow.update(answer=pod.get("/slow?ms=6000")))
        asker.start()
        # nginx has handed it to php-fpm.
        pod.wait("the request is in", lambda: pod.inside("ss", "-Htn", "state", "established", "dport = :9000")[1])
        pod.term()
        pod.wait("unready", lambda: pod.get("/readyz", port=9480)[0] == 503)
        # It goes on serving for the drain, and lets no connection live on.
        status, head = pod.get("/", "-i")
        assert status == 200 and "connection: close" in head.lower(), head
        asker.join()
        assert slow["answer"][0] == 200, slow
        code, report = pod.ended()
        assert code == 0, pod.log.read_text()
        assert report["claimsShortened"] is False
        assert report["graceSeconds"] == 30 and report["graceSource"] == "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS"
        assert [one for one in report["processes"] if "killedSeconds" in one] == []
        # The worker ended its job: it took its time, and nobody cut it.
        worker = next(one for one in report["processes"] if one["instance"] == "queue-default-0")
        assert worker["tookSeconds"] > 1 and "Processed:" in pod.log.read_text(), (worker, pod.log.read_text()[-4000:])
        # As fast as the slowest of its parts (the job, the request, the drain), with room for a busy machine.
        assert report["usedSeconds"] < 15, report
