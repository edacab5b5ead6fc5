"""What nginx gives out of the public directory, with the chart's configuration and with that of examples/laravel."""

import shlex
import shutil
import subprocess
import time

import pytest
from cluster import Network
from conftest import ROOT, render, with_image

#: What Laravel's public directory, or a careless copy into it, has.
FILES = [
    "index.php",
    "tool.php",
    "TOOL.PHP",
    "admin/index.php",
    "old.phtml",
    "tool.phar",
    "robots.txt",
    "build/app.php.js",
    ".env",
    ".git/config",
    ".well-known/security.txt",
    ".well-known/acme.php",
]
SERVED = {"robots.txt", "build/app.php.js", ".well-known/security.txt"}
#: Paths that are no files.
MORE = ["tool.php/x", "index.php/x", "admin/tool.php"]


def chart(place):
    (place / "nginx.conf").write_text(render(with_image(app={"path": str(place)})).config()["nginx.conf"])
    return ["nginx", "-e", "stderr", "-c", place / "nginx.conf"]


def example(place):
    shutil.copytree(ROOT / "examples/laravel/etc", place / "etc")
    (place / "storage/nginx").mkdir(parents=True)
    return ["nginx", "-e", "stderr", "-p", place, "-c", "etc/nginx.conf"]


@pytest.mark.parametrize("configured", [chart, example], ids=lambda made: made.__name__)
def test_no_source_and_no_dotfile_is_given_out(configured, tmp_path):
    for name in FILES:
        file = tmp_path / "public" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<?php // {name}")
    with Network() as network:
        # A worker of another user could not read what is in a test's folder.
        command = shlex.join([*map(str, configured(tmp_path)), "-g", "user root;"])
        server = subprocess.Popen([*network.enter(), "sh", "-c", f"exec {command}"], stderr=open(tmp_path / "log", "w"))
        try:

            def ask(path):
                done = subprocess.run(
                    [*network.enter(), "curl", "-s", "--path-as-is", "-w", "\n%{http_code}", f"http://127.0.0.1:8080/{path}"],
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                body, _, status = done.stdout.rpartition("\n")
                return int(status or 0), body

            end = time.monotonic() + 60
            while ask("nginx-health")[0] != 204:
                assert server.poll() is None and time.monotonic() < end, (tmp_path / "log").read_text()
                time.sleep(0.02)
            answers = {path: ask(path) for path in FILES + MORE}
            assert {path for path, (status, _) in answers.items() if status == 200} == SERVED
            assert {status for path, (status, _) in answers.items() if path not in SERVED} == {404}
            assert not [path for path, (_, body) in answers.items() if path not in SERVED and "<?php" in body]
            # Everything else is Laravel's, which is not there.
            assert ask("orders/7")[0] == 502
        finally:
            server.terminate()
            server.wait(60)
