"""What the chart renders `podinit check` takes; what it would not take the chart refuses, and nothing else of it."""

import json

import pytest
import yaml
from conftest import CI, podinit, render, run, template, values_of, with_image
from test_pods import OCTANE
from test_refused import TAKEN, A, B

HEAD = {"apiVersion": "podinit.dev/v1alpha1", "kind": "ProcessSet", "metadata": {"name": "shop"}}
PORT = {"httpGet": {"path": "/"}}


def own(**fields):
    return {"extraProcesses": [{**A, **fields}]}


def init(**fields):
    return {"extraInitProcesses": [{**A, **fields}]}


def probe(**fields):
    return own(readinessProbe=fields)


def sidecar(**fields):
    return {"sidecars": [{"name": "s", **fields}]}


def hook(**fields):
    return {"hooks": {"preStop": [{"name": "h", **fields}]}}


#: Entries of one's own, about half of which podinit refuses.
ODD = [
    # Requests and their ports.
    probe(httpGet={"path": "/"}),
    probe(tcpSocket={}),
    probe(grpc={}),
    own(livenessProbe=PORT),
    own(startupProbe=PORT),
    own(readinessProbe=PORT, portBase=8000),
    own(readinessProbe={"grpc": {}}, portBase=8000),
    probe(httpGet={"port": 1}),
    probe(httpGet={"port": 0}),
    probe(fastCgi={"address": "127.0.0.1"}),
    probe(fastCgi={"address": "127.0.0.1:0"}),
    probe(fastCgi={"address": "php:9000", "query": "full"}),
    probe(fastCgi={"address": "[::1]:9000"}),
    probe(fastCgi={"address": "::1:9000"}),
    probe(fastCgi={"address": "/run/php.sock", "path": "/ping"}),
    probe(fastCgi={"address": "unix:/run/php.sock"}),
    probe(fastCgi={"address": "php:9000", "path": "ping"}),
    probe(fastCgi={"address": "php:9000", "query": "?full"}),
    probe(httpGet={"port": 1, "path": "/a b"}),
    probe(httpGet={"port": 1, "path": "/a#b"}),
    probe(httpGet={"port": 1, "path": '/a?b=%20"\\'}),
    probe(httpGet={"port": 1, "host": "a/b"}),
    probe(httpGet={"port": 1, "host": "::1"}),
    probe(tcpSocket={"port": 1, "host": "a b"}),
    probe(tcpSocket={"port": 1, "host": "[fe80::1]"}),
    probe(httpGet={"port": 1, "httpHeaders": [{"name": "X-Probe", "value": "a b"}]}),
    probe(httpGet={"port": 1, "httpHeaders": [{"name": "X Probe", "value": "a"}]}),
    probe(httpGet={"port": 1, "httpHeaders": [{"name": "X-Probe", "value": "a\nb"}]}),
    # Probes.
    probe(httpGet={"port": 1}, tcpSocket={"port": 1}),
    probe(periodSeconds=1),
    probe(exec={"command": ["true"]}, successThreshold=2),
    own(livenessProbe={"exec": {"command": ["true"]}, "successThreshold": 2}),
    own(startupProbe={"exec": {"command": ["true"]}, "successThreshold": 1}),
    probe(exec={"command": ["true"]}, terminationGracePeriodSeconds=1),
    own(livenessProbe={"exec": {"command": ["true"]}, "terminationGracePeriodSeconds": 1}),
    probe(exec={"command": [""]}),
    # Hooks.
    own(lifecycle={"preStart": {"httpGet": {"path": "/"}}}),
    own(lifecycle={"postStart": {"httpGet": {}}}, portBase=8000),
    own(lifecycle={"postStop": {"exec": {"command": [""]}}}),
    own(lifecycle={"preStart": {"sleep": {"seconds": 3}, "timeoutSeconds": 2}}),
    own(lifecycle={"preStart": {"sleep": {"seconds": 3}, "timeoutSeconds": 3}}),
    init(lifecycle={"preStart": {"httpGet": {}}}),
    init(lifecycle={"preStart": {"httpGet": {"port": 1}}}),
    hook(httpGet={}),
    hook(httpGet={"port": 1}),
    hook(sleep={"seconds": 3}, timeoutSeconds=2),
    hook(sleep={"seconds": 3}, exec={"command": ["x"]}),
    {"hooks": {"postStart": [{"name": "h", "sleep": {"seconds": 1}}] * 2}},
    # Replicas, restarts, ends.
    own(replicas=3, maxReplicas=2),
    own(replicas=3, maxReplicas=3),
    own(maxReplicas=0),
    own(replicas=0, maxReplicas=0),
    own(portBase=65535),
    own(portBase=65535, replicas=2),
    own(portBase=65530, maxReplicas=7),
    own(portBase=65530, replicas=5, updateStrategy={"maxSurge": "25%"}),
    own(portBase=65530, replicas=5, updateStrategy={"maxSurge": 1}),
    own(portBase=8000, env=[{"name": "PORT", "value": "1"}]),
    own(env=[{"name": "PORT", "value": "1"}]),
    own(restartBackoff={"initial": "10s", "max": "5s"}),
    own(restartBackoff={"initial": "1m30s", "max": "90000ms"}),
    own(restartBackoff={"initial": "6m"}),
    own(restartBackoff={"max": "900ms"}),
    own(restartBackoff={"initial": "0s"}),
    init(restartBackoff={"initial": "10s", "max": "08s"}),
    own(restartLimit={"count": 3, "window": "0"}),
    own(restartLimit={"count": 3, "window": "1h"}),
    own(onSuccess="ExitSet"),
    own(onSuccess="ExitSet", restartPolicy="OnFailure"),
    own(successExitCodes=[0, 0]),
    own(successExitCodes=[0, 3]),
    # What it is given.
    own(command=[""]),
    own(command=["a", ""]),
    init(command=[""]),
    own(umask="1777"),
    own(umask="0027"),
    own(umask="027"),
    own(stopSignal="SIGSTOP"),
    own(stopSignal="SIGCONT"),
    own(rlimits={"nofile": {"soft": 2048, "hard": 1024}}),
    own(rlimits={"core": {"soft": "unlimited", "hard": 0}}),
    own(rlimits={"nofile": {"soft": 1024, "hard": 1024}}),
    own(rlimits={"core": {"soft": 0, "hard": 0}}),
    own(logging={"maxLineBytes": "512"}),
    own(logging={"maxLineBytes": "1Ki"}),
    init(logging={"maxLineBytes": "17Mi"}),
    {"logging": {"maxLineBytes": 0}},
    {"logging": {"maxLineBytes": 1048576}},
    {"logging": {"maxLineBytes": "1.5Mi"}},
    {"logging": {"maxLineBytes": "16.001Mi"}},
    # Who waits for whom.
    own(dependsOn=[{"name": "nginx"}, {"name": "nginx", "condition": "Started"}]),
    own(dependsOn=[{"name": "nginx"}, {"name": "php-fpm"}]),
    own(dependsOn=[{"name": "a"}]),
    own(dependsOn=[{"name": "b"}]),
    own(dependsOn=[{"name": "zz", "optional": True}]),
    own(dependsOn=[{"name": "config-cache", "optional": True}]),
    init(dependsOn=[{"name": "config-cache"}]),
    init(dependsOn=[{"name": "config-cache"}, {"name": "config-cache"}]),
    init(dependsOn=[{"name": "nginx"}]),
    init(dependsOn=[{"name": "zz"}]),
    init(dependsOn=[{"name": "zz", "optional": True}]),
    {"extraInitProcesses": [{**A, "dependsOn": [{"name": "b"}]}, B]},
    {"extraInitProcesses": [{**A, "dependsOn": [{"name": "b"}]}, {**B, "dependsOn": [{"name": "config-cache"}]}]},
    {"extraInitProcesses": [{**A, "dependsOn": [{"name": "b"}]}, {**B, "enabled": False}]},
    {"extraInitProcesses": [{**A, "enabled": False, "dependsOn": [{"name": "b"}]}, B]},
    {"extraProcesses": [A, {**B, "name": "a-0"}]},
    {"extraProcesses": [A, {**B, "name": "a-999"}]},
    {"extraProcesses": [A, {**B, "name": "a-1000"}]},
    {"extraProcesses": [A, {**B, "name": "a-00"}]},
    {"extraProcesses": [{**A, "maxReplicas": 2}, {**B, "name": "a-1"}]},
    {"extraProcesses": [{**A, "maxReplicas": 2}, {**B, "name": "a-2"}]},
    {"extraProcesses": [{**A, "name": "a-1"}], "extraInitProcesses": [{**B, "name": "a-1-7"}]},
    # Sidecars.
    sidecar(startupProbe={"httpGet": {"path": "/"}}),
    sidecar(startupProbe={"httpGet": {"port": 1}}),
    sidecar(startupProbe={"httpGet": {"port": 1}, "successThreshold": 2}),
    sidecar(startupProbe={"httpGet": {"port": 1}, "terminationGracePeriodSeconds": 2}),
    sidecar(startupProbe={"notify": {}}),
    sidecar(startupProbe={"tcpSocket": {"port": 1}}, quit="OnCompletion"),
    sidecar(quit="OnCompletion", quitHttpPost={"port": 1, "path": "/q"}),
    sidecar(quit="OnCompletion", quitHttpPost={"port": 1, "path": "/a b"}),
    sidecar(preset="Istio", quit="OnCompletion"),
    sidecar(),
]


def check(tmp_path, spec, code=0):
    """`podinit check` of this spec; JSON is YAML, and quotes what it has to."""
    (tmp_path / "processset.yaml").write_text(json.dumps({**HEAD, "spec": spec}))
    return run(podinit(), "check", tmp_path / "processset.yaml", code=code)


@pytest.mark.parametrize("values", ODD, ids=json.dumps)
def test_the_chart_refuses_what_podinit_refuses(values, tmp_path):
    """And nothing else: the spec is put together here, as the chart would if it refused nothing."""
    spec = render(with_image()).spec()
    for value, field in (("extraProcesses", "processes"), ("extraInitProcesses", "initProcesses")):
        spec[field] = [*spec[field], *values.get(value, [])]
    spec |= {field: values[field] for field in ("hooks", "sidecars", "logging") if field in values}
    code, _, told = template(with_image(**values))
    check(tmp_path, spec, code=65 if code else 0)
    # The times of the stop are another test's.
    assert "gracePeriodSeconds:" not in told, told


#: What other tests render.
MORE = [
    OCTANE,
    {"queues": {"true-1": {}, "0123": {"replicas": 0}, "1e5": {"timeout": 1}}},
    {"queues": {"a": {"timeout": 86398, "replicas": 0}}, "gracePeriodSeconds": 86400},
    {"mode": "ProcessSet", "processSet": {"maxUnavailable": "100%"}},
    {"mode": "ProcessSet", "processSet": {"maxUnavailable": 1000}},
    {"web": {"readinessPath": "/up?a=%20"}},
    {"app": {"caches": ["Shop:Warm  --force --only=a,b ", "::view:cache", "x" * 70]}},
    {"directories": [f"d{n}" for n in range(64)]},
    {"app": {"path": "/srv/shop/"}, "writable": {"tmp": {"path": "x"}}},
    {"sidecars": [{"name": "istio-proxy", "preset": "Istio"}], "migrate": {"job": {"sidecars": []}}},
]
RENDERED = {path.name.removesuffix("-values.yaml"): values_of(path) for path in CI}
RENDERED |= {str(at): with_image(**values) for at, values in enumerate([*TAKEN, *MORE])}


@pytest.mark.parametrize("mode", ["File", "ProcessSet"])
@pytest.mark.parametrize("name", RENDERED)
def test_podinit_takes_what_the_chart_renders(name, mode, tmp_path):
    """The spec of the pods, and that of the migration's Job. What is wrong in one mode only the chart refuses there."""
    values = RENDERED[name]
    code, made, told = template({**values, "mode": mode})
    if code:
        assert mode != values.get("mode", "File"), told
        assert "execution error at" in told or "values don't meet the specifications" in told, told
        return
    for one in yaml.safe_load_all(made):
        if one["kind"] == "ProcessSet":
            check(tmp_path, one["spec"])
        for text in [one["data"][name] for name in one.get("data", {}) if name == "processset.yaml"]:
            check(tmp_path, yaml.safe_load(text)["spec"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"web": {"readinessPath": "/a b"}}, "/web/readinessPath"),
        ({"processSet": {"maxUnavailable": "200%"}}, "/processSet/maxUnavailable"),
        ({"queues": {"a": {"timeout": 86400, "replicas": 0}}}, "/queues/a/timeout"),
        # What to do is said as well.
        (probe(httpGet={"path": "/"}), "`a`: readinessProbe.httpGet has no port: write `port`, or give the process a portBase"),
        (init(lifecycle={"preStart": {"httpGet": {}}}), "`a`: lifecycle.preStart: httpGet has no port: write `port`"),
        (hook(httpGet={}), "hooks.preStop: `h`: httpGet has no port: write `port`"),
        (
            own(dependsOn=[{"name": "nginx"}, {"name": "nginx"}]),
            "`a` depends on `nginx` twice: remove one of the entries",
        ),
        (own(replicas=3, maxReplicas=2), "`a`: replicas is 3, and maxReplicas 2: raise maxReplicas, or lower replicas"),
        (
            own(restartBackoff={"initial": "10s", "max": "5s"}),
            "`a`: restartBackoff.initial is 10s, and max is 5s: raise max, or lower initial",
        ),
        (own(logging={"maxLineBytes": "512"}), "`a`: logging.maxLineBytes: 512 is not from 1Ki to 16Mi"),
        (
            {"migrate": {"job": {"sidecars": [{"name": "s", "startupProbe": {"tcpSocket": {}}}]}}},
            "sidecars: `s`: startupProbe.tcpSocket has no port: write `port`",
        ),
    ],
)
def test_it_says_what_to_do(values, words, major):
    code, _, told = template(with_image(**values), major)
    assert code != 0, "it was rendered"
    assert words in told.replace("\n", " "), told


def order(**values):
    return [one["name"] for one in render(with_image(**values)).spec()["initProcesses"]]


def test_who_depends_on_the_migration_comes_after_it(tmp_path):
    """It does not wait for them, nor for what follows them in the list."""
    c = {"name": "c", "command": ["c"]}
    after = [{"name": "migrate"}]
    for extra, wanted in [
        ([A, B], ["a", "b", "migrate"]),
        ([A, {**B, "dependsOn": after}], ["a", "migrate", "b"]),
        ([{**A, "dependsOn": after}, B], ["migrate", "a", "b"]),
        # By way of others, whatever their order.
        ([A, {**B, "dependsOn": [{"name": "c"}]}, {**c, "dependsOn": after}], ["a", "migrate", "b", "c"]),
        ([A, {**B, "dependsOn": after}, {**c, "dependsOn": [{"name": "b"}]}], ["a", "migrate", "b", "c"]),
        ([{**A, "dependsOn": [{"name": "migrate", "optional": True}]}], ["migrate", "a"]),
    ]:
        for more in ({"mode": "ProcessSet"}, {"migrate": {"scope": "Pod"}}):
            values = {**more, "extraInitProcesses": extra}
            assert order(**values) == ["config-cache", *wanted], values
            check(tmp_path, render(with_image(**values)).spec())
    assert order(extraInitProcesses=[B, A]) == ["config-cache", "b", "a"]
