"""Carries out a Dockerfile, as far as ours go: no shell forms of ENTRYPOINT, no patterns, RUN as root only."""

import json
import re
import shlex
import shutil
from pathlib import Path

from . import Failed
from .archive import Image, remove, write_layer
from .debian import CONFIG, Overlay, in_root, tidy


def instructions(path):
    """(line number, word, rest) for each instruction."""
    number, begun, text = 0, 0, ""
    for number, line in enumerate(Path(path).read_text().splitlines(), 1):
        if line.strip().startswith("#") or (not text and not line.strip()):
            continue
        begun = begun if text else number
        text += line.strip()
        if text.endswith("\\"):
            text = text[:-1] + " "
            continue
        word, _, rest = text.partition(" ")
        yield begun, word.upper(), rest.strip()
        text = ""
    if text:
        raise Failed(f"{path}:{begun}: the last line ends with a backslash")


def packages(path):
    """What its RUN lines install with apt-get."""
    found = set()
    for _, word, rest in instructions(path):
        for match in re.finditer(r"apt-get install ([^&;|]*)", rest) if word == "RUN" else []:
            found |= {name for name in match[1].split() if not name.startswith("-")}
    return found


class Stage:
    """An image in the making: the layers of its parent, and one of its own."""

    def __init__(self, parent, scratch):
        self.image = Image(parent.layers, parent.config)
        self.scratch = scratch
        self.overlay = Overlay([layer.directory for layer in parent.layers], scratch)
        self.arguments = {}

    def directory(self):
        return self.image.config.get("WorkingDir", "/")

    def environment(self):
        return {**self.arguments, **dict(pair.split("=", 1) for pair in self.image.config.get("Env", []))}

    def finish(self):
        tidy(self.overlay.upper)
        if any(self.overlay.upper.iterdir()):
            self.add_layer()
        return self.image

    def add_layer(self):
        self.image.layers.append(write_layer(self.overlay.upper, self.scratch / "layer.tar"))


class Build:
    """One Dockerfile, with the images it may begin from by name."""

    def __init__(self, path, context, images, arguments, pool, work):
        self.path, self.context, self.images = Path(path), Path(context), images
        self.given, self.pool, self.work = arguments, pool, work
        self.log = work / "log"
        self.outer = {}
        self.stages = {}

    def image(self, target=None):
        """The image of that target, or of the last stage."""
        blocks = []
        for number, word, rest in instructions(self.path):
            if word == "FROM":
                blocks.append((number, rest, []))
            elif blocks:
                blocks[-1][2].append((number, word, rest))
            else:
                self.outer.update(self.argument(number, word, rest))
        result = None
        for index, (number, rest, steps) in enumerate(blocks):
            source, name = self.source(number, rest)
            stage = Stage(source, self.work / f"stage-{index}")
            with stage.overlay as root:
                for step in steps:
                    self.step(stage, root, *step)
            result = self.stages[name or str(index)] = stage.finish()
            if target and name == target:
                return result
        if target:
            raise Failed(f"{self.path}: there is no stage `{target}`")
        return result

    def argument(self, number, word, rest):
        if word != "ARG":
            raise Failed(f"{self.path}:{number}: `{word}` before the first FROM")
        name, _, value = rest.partition("=")
        return {name: self.given.get(name, value)}

    def source(self, number, rest):
        reference, _, name = rest.partition(" AS ")
        reference = re.sub(r"\$\{(\w+)\}", lambda match: self.outer.get(match[1], ""), reference.strip())
        if reference == "scratch":
            # Docker gives a PATH to every image.
            return Image(config={"Env": CONFIG["Env"]}), name.strip()
        found = self.stages.get(reference) or self.images.get(reference)
        if not found:
            known = ", ".join(["scratch", *self.stages, *self.images])
            raise Failed(f"{self.path}:{number}: there is no image `{reference}` here, only {known}")
        return found, name.strip()

    def step(self, stage, root, number, word, rest):
        config = stage.image.config
        if word == "ARG":
            stage.arguments.update(self.argument(number, word, rest))
        elif word == "RUN":
            if config.get("User", "0").split(":")[0] not in ("0", "root"):
                raise Failed(f"{self.path}:{number}: RUN as `{config['User']}`: only root is supported")
            in_root(root, rest, self.log, stage.environment(), self.pool, directory=stage.directory())
        elif word == "COPY":
            self.copy(stage, root, number, rest)
        elif word == "WORKDIR":
            config["WorkingDir"] = rest
            (root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            config["User"] = rest
        elif word == "STOPSIGNAL":
            config["StopSignal"] = rest
        elif word == "ENV":
            names = dict(pair.split("=", 1) for pair in shlex.split(rest))
            kept = [pair for pair in config.get("Env", []) if pair.split("=")[0] not in names]
            config["Env"] = kept + [f"{key}={value}" for key, value in names.items()]
        elif word == "LABEL":
            config.setdefault("Labels", {}).update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "EXPOSE":
            config.setdefault("ExposedPorts", {}).update({f"{port}/tcp": {} for port in rest.split()})
        elif word in ("ENTRYPOINT", "CMD"):
            config[word.capitalize()] = json.loads(rest)
            if word == "ENTRYPOINT":
                # As Docker does: the parent's arguments were for the parent's entrypoint.
                config.pop("Cmd", None)
        else:
            raise Failed(f"{self.path}:{number}: `{word}` is not supported by kind-e2e/images")

    def copy(self, stage, root, number, rest):
        *sources, target = rest.split()
        bases = [self.context]
        if sources[0].startswith("--from="):
            name = sources.pop(0).removeprefix("--from=")
            image = self.stages.get(name) or self.images.get(name)
            if not image:
                raise Failed(f"{self.path}:{number}: there is no stage or image `{name}`")
            bases = [layer.directory for layer in reversed(image.layers)]
        place = root / str(Path(stage.directory(), target)).lstrip("/")
        into = target.endswith(("/", ".")) or len(sources) > 1 or place.is_dir()
        for source in sources:
            path = next((base / source.lstrip("/") for base in bases if (base / source.lstrip("/")).exists()), None)
            if not path:
                raise Failed(f"{self.path}:{number}: `{source}` is not there")
            if path.is_dir():
                for inner in sorted(path.rglob("*")):
                    self.copy_one(inner, place / inner.relative_to(path))
            else:
                self.copy_one(path, place / path.name if into else place)

    @staticmethod
    def copy_one(source, target):
        """Root's, readable by all, executable as the source is."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            target.mkdir(exist_ok=True)
            return
        remove(target)
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
