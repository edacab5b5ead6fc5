"""A namespace and a deadline for each test; what helps with a failure is kept."""

import fcntl
import json
import os
import re
import secrets
import signal
import subprocess
from pathlib import Path

import pytest

from cluster import ROOT, Namespace, run

HERE = Path(__file__).resolve().parent


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): after which a test has failed (default 180)")
    config.addinivalue_line("markers", "alone: takes requests, measures, or disturbs nodes: no other test runs beside it")
    if os.environ.get("PODINIT_E2E") != "1":
        raise pytest.UsageError("there is no cluster: `make e2e` makes one, and runs this in it")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    namespace = item.funcargs.get("namespace")
    if report.failed and namespace is not None:
        # Now: what belongs to the test is about to go.
        folder = Path(os.environ.get("PODINIT_E2E_ARTEFACTS", "/tmp/podinit-e2e")) / namespace.name
        keep(namespace, folder)
        report.sections.append(("artefacts", str(folder)))


def keep(namespace, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, args in {
        "pods.yaml": ["get", "pods", "-o", "yaml"],
        "objects.txt": ["get", "all,configmaps,leases", "-o", "wide"],
        "describe.txt": ["describe", "pods"],
        "events.txt": ["get", "events", "--sort-by=.metadata.creationTimestamp"],
        "sets.yaml": ["get", "processsets,processreports", "-o", "yaml"],
    }.items():
        (folder / name).write_text(namespace.kubectl(*args, check=False))
    for pod in namespace.kubectl("get", "pods", "-o", "name", check=False).split():
        for which in [[], ["--previous"]]:
            text = namespace.kubectl("logs", pod, "--all-containers", "--prefix", *which, check=False)
            if text:
                (folder / f"{pod.replace('/', '-')}{''.join(which)}.log").write_text(text)


def pytest_terminal_summary(terminalreporter):
    reports = [one for some in terminalreporter.stats.values() for one in some if getattr(one, "when", "") == "call"]
    for kind, text in [each for one in reports for each in one.user_properties]:
        if kind == "figure":
            terminalreporter.write_line(text)


@pytest.fixture
def figure(request):
    """Takes in words what was measured. All of it is shown at the end, that of other processes of pytest too."""
    return lambda text: request.node.user_properties.append(("figure", text))


@pytest.fixture(autouse=True)
def deadline(request):
    marker = request.node.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else 180

    def late(*_):
        raise TimeoutError(f"the test is not done after {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


@pytest.fixture
def namespace(request):
    name = re.sub(r"[^a-z0-9]+", "-", request.node.originalname.lower()).strip("-")[:40].strip("-")
    made = Namespace(f"{name}-{secrets.token_hex(3)}")
    yield made
    if os.environ.get("PODINIT_E2E_KEEP") != "1":
        made.delete()


@pytest.fixture(scope="session")
def worker():
    """The process whose network namespace is that of the node that pods run on."""
    return run("docker", "inspect", "--format", "{{.State.Pid}}", "podinit-e2e-worker").strip()


@pytest.fixture
def shared(namespace):
    """redis for all pods, and a directory of their node for SQLite's file."""
    path = f"/var/local/{namespace.name}"
    run("docker", "exec", "podinit-e2e-worker", "install", "-d", "-m", "1777", path)
    namespace.apply((HERE / "shared.yaml").read_text().replace("NAME", namespace.name))
    namespace.kubectl("rollout", "status", "deployment/redis", "--timeout=60s")
    yield
    if os.environ.get("PODINIT_E2E_KEEP") != "1":
        run("kubectl", "delete", "persistentvolume", namespace.name, "--wait=false")


@pytest.fixture
def load(worker):
    """Starts clients for an address (and what else load.py takes); `end()` of what it gives ends them and says what they saw."""
    started = []

    class Clients:
        def __init__(self, address, *more):
            command = ["nsenter", f"--net=/proc/{worker}/ns/net", "python3", HERE / "load.py", address, *more]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            started.append(self.process)
            assert self.process.stdout.readline() == "begun\n", "the clients have not begun"

        def end(self):
            self.process.terminate()
            output, _ = self.process.communicate(timeout=60)
            return json.loads(output)

    yield Clients
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def crds():
    """The CustomResourceDefinitions, by their chart; kind-e2e/check has applied them without one."""
    # Helm refuses a second upgrade at the same time, and each process of pytest makes its own.
    with (ROOT / "charts/podinit-crds/Chart.yaml").open() as chart:
        fcntl.flock(chart, fcntl.LOCK_EX)
        run(os.environ["HELM"], "upgrade", "--install", "podinit-crds", ROOT / "charts/podinit-crds", "--take-ownership", "--wait")
    yield
