"""One value is behind all times of a stop, and what comes of it passes `podinit check --grace`."""

import itertools
import json
import re

import pytest
import yaml
from conftest import CHART, podinit, render, run, template, values_of, with_image


def check(objects, tmp_path, grace=None, code=0):
    """`podinit check --grace` for what a pod would run, with its own grace period; what it says."""
    if grace is None:
        grace = objects.one("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    path = tmp_path / "processset.yaml"
    if "ProcessSet" in objects.kinds():
        # JSON is YAML, and quotes what it has to.
        path.write_text(json.dumps(objects.one("ProcessSet")))
    else:
        path.write_text(objects.config()["processset.yaml"])
    told = run(podinit(), "check", "--grace", grace, path, code=code)
    assert "warning" not in told, told
    return told


def test_podinit_accepts_it(ci, tmp_path):
    check(render(values_of(ci)), tmp_path)


def test_the_file_is_the_object():
    """In mode ProcessSet the file to begin with is the very same spec."""
    objects = render(with_image(mode="ProcessSet"))
    assert yaml.safe_load(objects.config()["processset.yaml"])["spec"] == objects.one("ProcessSet")["spec"]


@pytest.mark.parametrize("grace", [12, 30, 60, 300, 3600])
@pytest.mark.parametrize("drain", [0, 1, 5])
def test_all_times_follow_one_value(grace, drain):
    objects = render(with_image(gracePeriodSeconds=grace, drainSeconds=drain, preStopHook=True))
    pod = objects.one("Deployment")["spec"]["template"]["spec"]
    app, processes, config = objects.app(), objects.processes(), objects.config()
    assert pod["terminationGracePeriodSeconds"] == grace
    assert {"name": "PODINIT_TERMINATION_GRACE_PERIOD_SECONDS", "value": str(grace)} in app["env"]
    assert app["lifecycle"]["preStop"]["exec"]["command"] == ["podinit", "prestop"]
    assert objects.spec()["terminationGracePeriodSeconds"] == grace
    assert objects.spec()["shutdown"] == {"drain": f"{drain}s"}
    # The readiness probe fails inside the drain.
    readiness = app["readinessProbe"]
    assert readiness["periodSeconds"] * readiness["failureThreshold"] <= max(1, drain)

    kill = grace - 2
    request = (kill - drain) // 2 - 1
    seconds = re.compile(r"(\w+) =? ?(\d+)s;?$", re.MULTILINE)
    nginx, fpm = dict(seconds.findall(config["nginx.conf"])), dict(seconds.findall(config["php-fpm.conf"]))
    assert nginx == {"worker_shutdown_timeout": str(request), "fastcgi_read_timeout": str(request + 1)}
    assert fpm == {"process_control_timeout": str(request), "request_terminate_timeout": str(request)}
    for name in ("nginx", "php-fpm"):
        assert processes[name]["terminationGracePeriodSeconds"] == request + 1
        assert processes[name]["stopSignal"] == "SIGQUIT"
    assert f"--timeout={kill - 2}" in processes["queue-default"]["command"]
    assert processes["queue-default"]["terminationGracePeriodSeconds"] == kill
    # Nobody gets a job that is being worked on.
    retry = {one["value"] for one in app["env"] if one["name"].endswith("_RETRY_AFTER")}
    assert retry == {str(max(90, kill - 2 + 30))}


def test_no_probe_has_a_grace_of_its_own(ci):
    """podinit could not know it."""
    app = render(values_of(ci)).app()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert "terminationGracePeriodSeconds" not in app[probe]


def test_the_start_up_probe_gives_all_the_time_there_is():
    objects = render(with_image(startupSeconds=1000))
    probe = objects.app()["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 1000
    assert objects.one("Deployment")["spec"]["progressDeadlineSeconds"] > 1000


EXTRA = [
    [],
    [
        {"name": "a", "command": ["a"], "terminationGracePeriodSeconds": 10},
        {"name": "z", "command": ["z"], "terminationGracePeriodSeconds": 0},
    ],
    [
        {
            "name": "a",
            "command": ["a"],
            "traffic": "Background",
            "terminationGracePeriodSeconds": 20,
            "dependsOn": [{"name": "php-fpm"}],
        }
    ],
    [
        {
            "name": "a",
            "command": ["a"],
            "dependsOn": [{"name": "nginx"}],
            "lifecycle": {"preStop": {"exec": {"command": ["x"]}, "timeoutSeconds": 3}},
        },
        {
            "name": "b",
            "command": ["b"],
            "terminationGracePeriodSeconds": 4,
            "dependsOn": [{"name": "a"}, {"name": "gone", "optional": True}],
        },
    ],
    # A sleep counts as long as it says, or with its timeout.
    [
        {
            "name": "a",
            "command": ["a"],
            "terminationGracePeriodSeconds": 3,
            "dependsOn": [{"name": "nginx"}],
            "lifecycle": {"preStop": {"sleep": {"seconds": 11}}, "postStop": {"sleep": {"seconds": 20}}},
        },
        {
            "name": "b",
            "command": ["b"],
            "traffic": "Background",
            "terminationGracePeriodSeconds": 9,
            "dependsOn": [{"name": "php-fpm"}],
            "lifecycle": {"preStop": {"sleep": {"seconds": 0}}},
        },
        {"name": "c", "command": ["c"], "lifecycle": {"preStop": {"sleep": {"seconds": 1}, "timeoutSeconds": 2}}},
    ],
    # What does not run has nothing to stop.
    [
        {"name": "a", "command": ["a"], "enabled": False, "terminationGracePeriodSeconds": 15},
        {
            "name": "b",
            "command": ["b"],
            "replicas": 0,
            "terminationGracePeriodSeconds": 15,
            "dependsOn": [{"name": "nginx"}, {"name": "a", "optional": True}],
            "lifecycle": {"preStop": {"sleep": {"seconds": 15}}},
        },
    ],
]
HOOKS = [
    {},
    {
        "preStop": [{"name": "x", "exec": {"command": ["x"]}, "timeoutSeconds": 7}],
        "postStop": [{"name": "y", "exec": {"command": ["y"]}}],
    },
    {
        "preStop": [{"name": "x", "sleep": {"seconds": 8}}, {"name": "z", "sleep": {"seconds": 1}, "timeoutSeconds": 2}],
        "postStop": [{"name": "y", "sleep": {"seconds": 3}}, {"name": "v", "sleep": {"seconds": 0}}],
    },
]


@pytest.mark.parametrize("extra", range(len(EXTRA)))
@pytest.mark.parametrize("hooks", range(len(HOOKS)))
@pytest.mark.parametrize("redis", [False, True])
@pytest.mark.parametrize("sidecars", [False, True])
def test_the_chart_and_podinit_agree(extra, hooks, redis, sidecars, tmp_path):
    """The chart refuses exactly what `podinit check --grace` refuses, and the number that it gives is the least one."""
    values = with_image(
        drainSeconds=4,
        web={"requestSeconds": 5},
        queues={"default": {"timeout": 9}},
        replicaCount=1,
        redis={"enabled": redis},
        extraProcesses=EXTRA[extra],
        hooks=HOOKS[hooks],
        sidecars=[{"name": "p", "preset": "Linkerd"}] if sidecars else [],
    )
    code, _, told = template({**values, "gracePeriodSeconds": 13})
    assert code != 0
    least = int(re.search(r"at least (\d+)", told)[1])
    check(render({**values, "gracePeriodSeconds": least}), tmp_path)
    # One less is refused, by podinit too.
    assert template({**values, "gracePeriodSeconds": least - 1})[0] != 0
    told = check(render({**values, "gracePeriodSeconds": least}), tmp_path, least - 1, code=65)
    assert "the longest chain of the stop needs" in told, told


@pytest.mark.parametrize("grace", [5, 6, 7, 8, 9, 10, 11, 13, 17])
def test_short_times_fit_or_are_refused(grace, tmp_path):
    for drain in (0, 1, 2, 4):
        values = with_image(gracePeriodSeconds=grace, drainSeconds=drain)
        code, _, told = template(values)
        if code == 0:
            check(render(values), tmp_path)
        else:
            assert "gracePeriodSeconds" in told
            least = int(re.search(r"at least (\d+)", told)[1])
            check(render({**values, "gracePeriodSeconds": least}), tmp_path)


def test_horizon_and_workers(tmp_path):
    objects = render(
        with_image(
            gracePeriodSeconds=100,
            horizon={"enabled": True},
            scheduler={"enabled": True},
            queues={"default": None, "mail": {"replicas": 0, "tries": 0, "sleep": 0}},
        )
    )
    processes = objects.processes()
    assert set(processes) == {"php-fpm", "nginx", "queue-mail", "horizon", "scheduler"}
    # Zero is a number, and not the default.
    assert processes["queue-mail"]["replicas"] == 0
    assert {"--tries=0", "--sleep=0"} <= set(processes["queue-mail"]["command"])
    assert processes["horizon"]["terminationGracePeriodSeconds"] == 98
    for name in ("queue-mail", "horizon", "scheduler"):
        assert processes[name]["traffic"] == "Background"
    check(objects, tmp_path)


def test_the_commands_of_workers():
    command = render(values_of(CHART / "ci/everything-values.yaml")).processes()["queue-mail"]["command"]
    assert command == [
        "php",
        "artisan",
        "queue:work",
        "redis",
        "--queue=mail-urgent,mail",
        "--timeout=30",
        "--tries=0",
        "--sleep=3",
        "--memory=128",
        "--max-jobs=1000",
        "--max-time=3600",
        "--rest=0.5",
    ]
    assert "--backoff=1,5,30" in render(values_of(CHART / "ci/everything-values.yaml")).processes()["queue-default"]["command"]


def test_artisan_commands_may_have_arguments():
    caches = ["config:cache", "Shop:Warm  --force --only=a,b ", "::view:cache", "x" * 70]
    inits = render(with_image(app={"caches": caches})).spec()["initProcesses"]
    assert [(one["name"], one["command"]) for one in inits] == [
        ("config-cache", ["php", "artisan", "config:cache"]),
        ("shop-warm-force-only-a-b", ["php", "artisan", "Shop:Warm", "--force", "--only=a,b"]),
        ("view-cache", ["php", "artisan", "::view:cache"]),
        ("x" * 63, ["php", "artisan", "x" * 70]),
    ]


def test_a_queue_is_worked_on_by_its_name():
    """Unless it says which ones."""
    processes = render(with_image(queues={"mail": {"replicas": 2}, "slow": {"queues": ["a", "b"]}})).processes()
    wanted = {"queue-default": "default", "queue-mail": "mail", "queue-slow": "a,b"}
    for name, queues in wanted.items():
        assert f"--queue={queues}" in processes[name]["command"], name


def test_redis_outlives_all_who_need_it(tmp_path):
    objects = render(values_of(CHART / "ci/trial-values.yaml"))
    processes = objects.processes()
    for name in ("php-fpm", "queue-default"):
        assert processes[name]["dependsOn"] == [{"name": "redis"}]
    env = {one["name"]: one.get("value") for one in objects.app()["env"]}
    assert env["REDIS_HOST"] == "127.0.0.1"
    assert f"port {env['REDIS_PORT']}\n" in objects.config()["redis.conf"]


def test_a_grid_of_everything_fits(tmp_path):
    """What the chart makes by itself always fits."""
    for grace, drain, tail in itertools.product([20, 47, 61], [0, 3, 9], [None, 0, 3]):
        check(render(with_image(gracePeriodSeconds=grace, drainSeconds=drain, tailSeconds=tail)), tmp_path)
