"""What PHP has of the chart's pool, asked of php-fpm itself."""

import re
import socket
import struct
import subprocess
import time

from conftest import render, with_image

SIZES = ("post_max_size", "upload_max_filesize", "memory_limit")


def record(kind, content):
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def answer(path, script):
    """Of php-fpm at this socket, without headers."""
    params = {"SCRIPT_FILENAME": str(script), "REQUEST_METHOD": "GET"}
    pairs = b"".join(bytes([len(name), len(value)]) + f"{name}{value}".encode() for name, value in params.items())
    begin = struct.pack(">HB5x", 1, 0)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(record(1, begin) + record(4, pairs) + record(4, b"") + record(5, b""))
        told = b""
        while part := client.recv(65536):
            told += part
    return re.search(rb"\r\n\r\n(.*?)\n", told, re.DOTALL)[1].decode()


def sizes(place, **values):
    """As a script sees them."""
    config = render(with_image(**values)).config()["php-fpm.conf"]
    path = place / "socket"
    # A socket in place of the ports, and the user that the test runs as.
    config = config.replace("listen = 127.0.0.1:9000", f"listen = {path}\nuser = root\ngroup = root")
    config = re.sub(r"^pm.status_listen.*$|^listen.allowed_clients.*$", "", config, flags=re.MULTILINE)
    (place / "php-fpm.conf").write_text(config)
    (place / "script.php").write_text(f"<?php echo implode(' ', array_map('ini_get', {list(SIZES)})), \"\\n\";")
    with open(place / "log", "w") as log:
        server = subprocess.Popen(["php-fpm8.2", "-R", "-y", place / "php-fpm.conf"], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 60
        while not path.exists():
            assert server.poll() is None and time.monotonic() < end, (place / "log").read_text()
            time.sleep(0.02)
        return dict(zip(SIZES, answer(path, place / "script.php").split(), strict=True))
    finally:
        server.terminate()
        server.wait(60)


def test_php_takes_as_much_as_nginx(tmp_path):
    made = sizes(tmp_path, web={"clientMaxBodySize": "30m"})
    assert (made["post_max_size"], made["upload_max_filesize"]) == ("30m", "30m")


def test_ones_own_settings_win(tmp_path):
    own = "php_admin_value[upload_max_filesize] = 4M\nphp_admin_value[memory_limit] = 300M\n"
    assert sizes(tmp_path, phpFpm={"extraConfig": own}) == {
        "post_max_size": "16m",
        "upload_max_filesize": "4M",
        "memory_limit": "300M",
    }
