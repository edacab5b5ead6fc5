"""Layers and docker-archive files, byte for byte the same for the same content."""

import hashlib
import io
import json
import os
import shutil
import stat
import tarfile
from datetime import datetime, timezone
from pathlib import Path

from . import EPOCH

CREATED = datetime.fromtimestamp(EPOCH, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Layer:
    """A layer's tar, and the directory with the same content for overlayfs to stand on."""

    def __init__(self, tar, directory):
        self.tar = Path(tar)
        self.directory = Path(directory)
        self.digest = sha256(self.tar)


class Image:
    """Layers from the lowest on, and what a container of them begins with."""

    def __init__(self, layers=(), config=None):
        self.layers = list(layers)
        self.config = json.loads(json.dumps(config or {}))


def write_layer(directory, tar):
    """A directory as a layer. One that was an overlay's upper becomes the layer of what was changed."""
    links = {}
    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in below(Path(directory)):
            for member, content in members(path, str(path.relative_to(directory)), links):
                archive.addfile(member, content)
                if content:
                    content.close()
    return Layer(tar, directory)


def below(directory):
    for path in sorted(directory.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from below(path)


def members(path, name, links):
    """The tar members for one file: none for what no image has, two for a directory that hides what is below it."""
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    member = tarfile.TarInfo(name)
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    member.mtime = min(int(status.st_mtime), EPOCH)
    if kind == stat.S_IFDIR:
        member.type = tarfile.DIRTYPE
        yield member, None
        if overlay_opaque(path):
            yield whiteout(f"{name}/.wh..wh..opq"), None
    elif kind == stat.S_IFLNK:
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)
        yield member, None
    elif kind == stat.S_IFREG and status.st_nlink > 1 and status.st_ino in links:
        member.type, member.linkname = tarfile.LNKTYPE, links[status.st_ino]
        yield member, None
    elif kind == stat.S_IFREG:
        links[status.st_ino] = name
        member.size = status.st_size
        yield member, open(path, "rb")
    elif kind == stat.S_IFCHR and status.st_rdev == 0:
        # overlayfs's own sign for a file that was removed.
        yield whiteout(f"{Path(name).parent / ('.wh.' + path.name)}"), None
    # Devices, sockets and pipes: a container gets its own.


def whiteout(name):
    member = tarfile.TarInfo(name)
    member.mtime = EPOCH
    return member


def overlay_opaque(path):
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def write_archive(image, tag, path, architecture):
    """The image as `docker load`, `kind load image-archive` and `ctr images import` take it. Gives the image's id."""
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.digest}" for layer in image.layers]},
        "history": [{"created": CREATED, "comment": "kind-e2e/images"} for _ in image.layers],
    }
    text = json.dumps(config, sort_keys=True).encode()
    identity = hashlib.sha256(text).hexdigest()
    names = [f"{layer.digest}/layer.tar" for layer in image.layers]
    manifest = [{"Config": f"{identity}.json", "RepoTags": [tag], "Layers": names}]
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        add_bytes(archive, f"{identity}.json", text)
        for layer, name in zip(image.layers, names):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = layer.tar.stat().st_size, EPOCH
            with open(layer.tar, "rb") as content:
                archive.addfile(member, content)
        add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
    return f"sha256:{identity}"


def add_bytes(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(content), EPOCH
    archive.addfile(member, io.BytesIO(content))


def remove(path):
    """Whatever is there, if anything."""
    path = Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
