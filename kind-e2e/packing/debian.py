"""Debian's base, made by debootstrap, and a folder of the packages that the Dockerfiles install."""

import gzip
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from . import EPOCH, Failed
from .archive import Image, Layer, remove, write_layer

SUITE = "bookworm"
NAME = "debian:bookworm-slim"
CONFIG = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]}
# What the slim images leave out.
SLIM = """path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
"""
SLIM_DIRECTORIES = ["doc", "groff", "info", "lintian", "locale", "man"]
# What differs from one installation to the next and is of no use in an image.
VOLATILE = [
    "etc/hostname", "etc/resolv.conf", "var/cache/apt/*", "var/cache/debconf/*-old", "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*", "var/lib/dpkg/*-old", "var/log/*.log", "var/log/apt", "var/log/btmp", "var/log/faillog",
    "var/log/lastlog", "var/log/tallylog", "var/log/wtmp", "var/log/*/*.log", "tmp/*", "var/tmp/*",
]
# Where the folder of packages is while something is installed.
POOL = "/mnt"
# Bookworm's own for a script that knows it is not on a running machine.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "SOURCE_DATE_EPOCH": str(EPOCH),
}


def run(command, log, **options):
    """Runs it with its output in a log, of which the end is shown when it fails."""
    with open(log, "ab") as output:
        code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options).returncode
    if code:
        end = "\n".join(Path(log).read_text(errors="replace").splitlines()[-15:])
        raise Failed(f"{' '.join(map(str, command))[:200]} ended with {code}:\n{end}")


def in_root(root, script, log, environment=None, pool=None, network=False, directory="/"):
    """Runs a shell script with that directory as its root: with the folder of packages there is no network."""
    steps = 'mount -t proc proc "$root/proc" && '
    if pool:
        steps += 'mount --bind "$pool" "$root/mnt" && mount --bind "$pool/sources.list" "$root/etc/apt/sources.list" && '
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child"] + ([] if network else ["--net"])
    command += ["sh", "-c", steps + 'cd "$root" && exec chroot "$root" env -i "$@"', "sh"]
    command += [f"{key}={value}" for key, value in {**ENVIRONMENT, **(environment or {})}.items()]
    command += ["sh", "-c", f'cd "{directory}" && {script}']
    run(command, log, env={**os.environ, "root": str(root), "pool": str(pool or "")})


def tidy(root):
    for pattern in VOLATILE:
        for path in Path(root).glob(pattern):
            remove(path)
    machine = Path(root, "etc/machine-id")
    if machine.exists():
        # Empty: whoever starts it there gets one of its own.
        machine.write_bytes(b"")


def bootstrap(folder, packages, log):
    """Makes `root` (the base), `base.tar` (its layer) and `pool` (the packages) in that folder."""
    root, pool = folder / "root", folder / "pool"
    pool.mkdir(parents=True)
    run(["debootstrap", "--variant=minbase", f"--cache-dir={pool}", SUITE, str(root)], log, env={**os.environ, **ENVIRONMENT})
    Path(root, "etc/dpkg/dpkg.cfg.d/slim").write_text(SLIM)
    # No service is started by an installation.
    policy = Path(root, "usr/sbin/policy-rc.d")
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    for name in SLIM_DIRECTORIES:
        for path in Path(root, "usr/share", name).glob("*"):
            remove_but_copyright(path)
    download(root, pool, packages, folder, log)
    tidy(root)
    write_index(pool)
    write_layer(root, folder / "base.tar")


def remove_but_copyright(path):
    if path.parent.name == "doc" and path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            if inner.name != "copyright":
                remove(inner)
    else:
        remove(path)


def download(root, pool, packages, folder, log):
    """The packages and what they depend on, as apt finds them now, into the pool. The base stays as it is."""
    scratch = folder / "scratch"
    overlay = Overlay([root], scratch)
    with overlay as merged:
        sources = merged / "etc/apt/sources.list"
        mirror = sources.read_text().split()[1]
        sources.write_text(
            f"deb {mirror} {SUITE} main\ndeb {mirror} {SUITE}-updates main\ndeb {mirror}-security {SUITE}-security main\n"
        )
        shutil.copy("/etc/resolv.conf", merged / "etc/resolv.conf")
        names = " ".join(sorted(packages))
        script = f"apt-get update && apt-get install --download-only -y --no-install-recommends {names}"
        in_root(merged, script, log, network=True)
        for deb in (merged / "var/cache/apt/archives").glob("*.deb"):
            shutil.copy(deb, pool)
    shutil.rmtree(scratch)


def write_index(pool):
    """What makes a folder of packages one that apt installs from."""
    entries = []
    for deb in sorted(pool.glob("*.deb")):
        fields = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True).stdout.strip()
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        entries.append(f"{fields}\nFilename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n")
    text = "\n".join(entries)
    (pool / "Packages").write_text(text)
    with open(pool / "Packages.gz", "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=EPOCH) as packed:
        packed.write(text.encode())
    (pool / "sources.list").write_text(f"deb [trusted=yes] file:{POOL} ./\n")


def base_image(folder):
    return Image([Layer(folder / "base.tar", folder / "root")], CONFIG)


def offline_image(folder, work):
    """The base with the folder of packages in it, for `docker build` where no mirror is reachable from containers."""
    extra = work / "offline"
    target = extra / POOL.strip("/")
    target.mkdir(parents=True)
    for path in (folder / "pool").iterdir():
        os.link(path, target / path.name)
    sources = extra / "etc/apt"
    sources.mkdir(parents=True)
    shutil.copy(folder / "pool/sources.list", sources)
    return Image([*base_image(folder).layers, write_layer(extra, work / "offline.tar")], CONFIG)


class Overlay:
    """Directories over each other, the last one highest, with what is changed going to `scratch/upper`."""

    def __init__(self, lowers, scratch):
        self.upper, self.merged = scratch / "upper", scratch / "merged"
        self.work, self.empty = scratch / "work", scratch / "empty"
        for path in (self.upper, self.merged, self.work, self.empty):
            path.mkdir(parents=True)
        # overlayfs wants a lower one.
        self.lowers = [*reversed(lowers), *([] if lowers else [self.empty])]

    def __enter__(self):
        lowers = ":".join(map(str, self.lowers))
        options = f"lowerdir={lowers},upperdir={self.upper},workdir={self.work},redirect_dir=off,metacopy=off,index=off"
        result = subprocess.run(
            ["mount", "-t", "overlay", "podinit", "-o", options, self.merged], capture_output=True, text=True
        )
        if result.returncode:
            raise Failed(f"no overlay below {self.merged.parent}: {result.stderr.strip()}; PODINIT_CACHE on ext4 or xfs helps")
        return self.merged

    def __exit__(self, *_):
        subprocess.run(["umount", self.merged], check=True)
