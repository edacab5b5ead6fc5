"""What the tests of the charts share: Helm, podinit, rendering."""

import functools
import json
import os
import pathlib
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/laravel"
CRDS = ROOT / "charts/podinit-crds"
#: The values files of charts/laravel/ci, which every general test goes through.
CI = sorted(CHART.glob("ci/*-values.yaml"))
#: What has to be given always.
IMAGE = {"image": {"repository": "example.com/shop", "tag": "1.0"}}


def program(variable, how):
    """A program whose path is in the environment."""
    path = os.environ.get(variable)
    assert path and os.access(path, os.X_OK), f"{variable} names no program: {how}"
    return path


def helm(major=4):
    return program(f"HELM{major}", 'eval "$(charts/tests/tools)", or run `make test-charts`')


def podinit():
    # Some tests run elsewhere.
    return os.path.abspath(program("PODINIT", "give the path of podinit's binary, or run `make test-charts`"))


def run(*command, stdin=None, code=0, **more):
    """What a command prints; it has to end with that code."""
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, text=True, timeout=120, check=False, **more
    )
    told = done.stdout + done.stderr
    assert done.returncode == code, f"{' '.join(map(str, command))}: {done.returncode}\n{told}"
    return done.stdout if code == 0 else told


@functools.cache
def _template(major, chart, values, release, more):
    done = subprocess.run(
        [helm(major), "template", release, chart, "--namespace", "apps", "--values", "-", *more],
        input=values,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def template(values, major=4, chart=CHART, release="shop", *more):
    """Exit code, manifests and messages of `helm template` with these values."""
    return _template(major, str(chart), json.dumps(values), release, more)


class Objects(list):
    """Rendered objects."""

    def one(self, kind, end=""):
        """The only one of a kind, with a name that ends so; of several the one that is no hook's."""
        found = [one for one in self if one["kind"] == kind and one["metadata"]["name"].endswith(end)]
        if len(found) > 1:
            found = [one for one in found if "helm.sh/hook" not in one["metadata"].get("annotations", {})]
        assert len(found) == 1, f"{kind} {end}: {[(one['kind'], one['metadata']['name']) for one in self]}"
        return found[0]

    def kinds(self):
        return {one["kind"] for one in self}

    def pods(self):
        """Name and spec of everything that becomes a pod."""
        for one in self:
            if one["kind"] == "Pod":
                yield one["metadata"]["name"], one["spec"]
            elif one["kind"] in ("Deployment", "Job"):
                yield one["metadata"]["name"], one["spec"]["template"]["spec"]

    def app(self):
        """The application's container."""
        return self.one("Deployment")["spec"]["template"]["spec"]["containers"][0]

    def config(self):
        """The files at /etc/podinit."""
        volumes = self.one("Deployment")["spec"]["template"]["spec"]["volumes"]
        name = next(volume["configMap"]["name"] for volume in volumes if volume["name"] == "podinit")
        return self.one("ConfigMap", name)["data"]

    def spec(self):
        """What podinit follows: the object, or the file."""
        if "ProcessSet" in self.kinds():
            return self.one("ProcessSet")["spec"]
        return yaml.safe_load(self.config()["processset.yaml"])["spec"]

    def processes(self):
        return {process["name"]: process for process in self.spec()["processes"]}


def render(values, *more, major=4, chart=CHART, release="shop"):
    """What `helm template` makes of these values."""
    code, made, told = template(values, major, chart, release, *more)
    assert code == 0, told
    return Objects(one for one in yaml.safe_load_all(made) if one)


def with_image(**values):
    return {**IMAGE, **values}


def values_of(path):
    return yaml.safe_load(path.read_text())


@pytest.fixture(params=CI, ids=lambda path: path.name.removesuffix("-values.yaml"))
def ci(request):
    """Each of the values files."""
    return request.param


@pytest.fixture(params=[3, 4], ids=["helm3", "helm4"])
def major(request):
    """Each Helm."""
    return request.param
