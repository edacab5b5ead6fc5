"""Mode ProcessSet, for real: Helm installs into a real API server, and the rendered pod follows it with the rights that the chart
gives, and no others."""

import json
import re

from cluster import Cluster, Network
from conftest import CHART, Objects, helm, render, run, values_of
from pod import Pod

NAMESPACE = "apps"


def test_a_pod_follows_its_processset(tmp_path):
    values = values_of(CHART / "ci/trial-values.yaml")
    # The hooks' pods would need a kubelet.
    values |= {
        "mode": "ProcessSet",
        "drainSeconds": 1,
        "migrate": {"scope": "Set"},
        "tests": {"enabled": False},
        "rbac": {"ownPod": True},
    }
    values["env"]["APP_STORAGE"] = "/app/storage"
    objects = Objects(render(values))
    with Network() as network, Cluster(network) as cluster:

        def kubectl(*arguments, stdin=None):
            return cluster.kubectl("--namespace", NAMESPACE, *arguments, stdin=stdin)

        def helms(*arguments, given=values):
            run(
                *network.enter(),
                helm(),
                "--namespace",
                NAMESPACE,
                *arguments,
                "--values",
                "-",
                stdin=json.dumps(given),
                env=cluster.env(),
            )

        cluster.kubectl("create", "namespace", NAMESPACE)
        run(
            *network.enter(),
            helm(),
            "install",
            "podinit-crds",
            CHART.parent / "podinit-crds",
            "--namespace",
            NAMESPACE,
            env=cluster.env(),
        )
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        helms("install", "shop", CHART)

        # What a ReplicaSet and the kubelet would do.
        deployment = json.loads(kubectl("get", "deployment", "shop-laravel", "-o", "json"))
        template = deployment["spec"]["template"]
        template |= {"apiVersion": "v1", "kind": "Pod"}
        template["metadata"]["name"] = "shop-1"
        kubectl("create", "-f", "-", stdin=json.dumps(template))
        uid = kubectl("get", "pod", "shop-1", "-o", "jsonpath={.metadata.uid}")
        account = template["spec"]["serviceAccountName"]
        bound = ["--bound-object-kind=Pod", "--bound-object-name=shop-1", f"--bound-object-uid={uid}"]
        (tmp_path / "token").write_text(kubectl("create", "token", account, *bound).strip())
        (tmp_path / "namespace").write_text(NAMESPACE)
        (tmp_path / "ca.crt").write_bytes((cluster.dir / "ca.crt").read_bytes())
        # As the pod's user reads it.
        for file in tmp_path.iterdir():
            file.chmod(0o644)
        api = {"KUBERNETES_SERVICE_HOST": cluster.host, "KUBERNETES_SERVICE_PORT": "6443"}
        with Pod(objects, network, tmp_path, {"metadata.name": "shop-1", "metadata.uid": uid}, api) as pod:
            pod.ready()
            assert pod.get("/")[0] == 200
            # From the API server, and not from the file that stands in for it.
            assert "beginning with" not in pod.log.read_text(), pod.log.read_text()[-4000:]

            def status(kind, name):
                return json.loads(kubectl("get", kind, name, "-o", "json")).get("status", {})

            pod.wait(
                "a report", lambda: kubectl("get", "processreports", "-o", "name") == "processreport.podinit.dev/shop-1.app\n"
            )
            pod.wait("it is running", lambda: status("processreport", "shop-1.app").get("phase") == "Running")
            pod.wait("the set knows of its pod", lambda: status("processset", "shop-laravel").get("pods", {}).get("ready") == 1)
            leases = set(kubectl("get", "leases", "-o", "jsonpath={.items[*].metadata.name}").split())
            named = {
                name
                for rule in objects.one("Role")["rules"]
                if rule["resources"] == ["leases"]
                for name in rule.get("resourceNames", [])
            }
            assert leases == named and len(named) == 2

            # A worker more, without a new pod or a new run of anything else.
            processes = objects.spec()["processes"]
            at = next(index for index, one in enumerate(processes) if one["name"] == "queue-default")
            patch = [{"op": "replace", "path": f"/spec/processes/{at}/replicas", "value": 2}]
            kubectl("patch", "processset", "shop-laravel", "--type=json", "--patch", json.dumps(patch))
            pod.wait(
                "the second worker", lambda: re.search(r'"instance":"queue-default-1","message":"started"', pod.log.read_text())
            )
            for instance in ("nginx-0", "php-fpm-0", "queue-default-0"):
                assert pod.log.read_text().count(f'"instance":"{instance}","message":"started"') == 1, instance

            # A rollout begins: the spec is that of other pods from now on, and this one goes on with its own.
            helms("upgrade", "shop", CHART, given={**values, "queues": {"default": {"enabled": False}}})
            pod.wait("it keeps to its revision", lambda: "the spec is for revision" in pod.log.read_text())
            assert pod.get("/readyz", port=9480)[0] == 200 and pod.get("/")[0] == 200

            pod.term()
            code, report = pod.ended()
            assert code == 0, pod.log.read_text()[-4000:]
            assert [one for one in report["processes"] if "killedSeconds" in one] == []
            # Nothing was asked of the API server that the Role does not give.
            refused = [
                line for line in pod.log.read_text().splitlines() if re.search("forbidden|may not|denied", line, re.IGNORECASE)
            ]
            assert refused == []
