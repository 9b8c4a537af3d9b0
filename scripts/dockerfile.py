"""Runs the steps of a Dockerfile in directories, with chroot in the place of containers.

In:  the Dockerfile, its context, a directory to work in; --base IMAGE=DIR for each image that a
     FROM names (DIR/.image-env, if there, holds its variables as NAME=VALUE), --link for one that
     is only copied from, --arg NAME=VALUE; --env NAME=VALUE for RUN steps, to save time.
Out: WORK/<n> for each stage; the last one's path on standard output, with a script /start in it
     that does what `docker run` would: the entrypoint with CMD, in its directory.
Holds: an instruction that is not understood is an error, so what passed is the whole file. What
       COPY takes from another stage may be a hard link; nothing of the context ever is.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ENTRYPOINT = "/usr/local/bin/docker-entrypoint.sh"
# Compilers and linkers ask /proc where they are. Mount and processes end with the step.
NAMESPACE = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
# What an image begins with where it says nothing else.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def instructions(text):
    """(INSTRUCTION, rest) for each, comments gone and continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    for line in filter(str.strip, joined.splitlines()):
        word, rest = line.split(None, 1)
        yield word.upper(), rest.strip()


def expand(text, variables):
    """$NAME and ${NAME} as Docker does it: what is not set is empty."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: variables.get(m[1] or m[2], ""), text)


def pairs(text):
    """A=1 B="2 3" of ENV."""
    return [word.split("=", 1) for word in shlex.split(text)]


def ignored(context):
    """Patterns of .dockerignore; only those that name one thing at the top are understood."""
    lines = (context / ".dockerignore").read_text().split()
    if bad := [line for line in lines if not re.fullmatch(r"/[\w.-]+", line)]:
        sys.exit(f".dockerignore: not understood: {bad}")
    return {line[1:] for line in lines}


def link_or_copy(source, target):
    """Gigabytes of a compiler need not be there twice."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


class Stage:
    """One FROM: a root, and what it has said so far."""

    def __init__(self, root, given):
        self.root, self.given = root, given
        self.env, self.args = {"PATH": DEFAULT_PATH}, {}
        self.cwd, self.user, self.cmd, self.volumes = "/", "root", None, []
        image_env = root / ".image-env"
        if image_env.exists():
            self.env.update(pairs(image_env.read_text()))

    def inside(self, path):
        """Where a path of the image lies; / at its end stays."""
        return self.root / path.lstrip("/") if path.startswith("/") else \
            self.root / self.cwd.lstrip("/") / path

    def do(self, word, rest, world):
        """Runs one instruction; `world` knows the other stages and the context."""
        if word not in {"RUN", "CMD"}:
            rest = expand(rest, {**self.args, **self.env})
        match word:
            case "ARG":
                name, _, default = rest.partition("=")
                known = {**world.globals, **self.given}
                self.args[name] = known.get(name, default)
            case "ENV":
                self.env.update(pairs(rest))
            case "WORKDIR":
                self.inside(rest).mkdir(parents=True, exist_ok=True)
                self.cwd = rest
            case "USER":
                self.user = rest
            case "VOLUME":
                self.inside(rest).mkdir(parents=True, exist_ok=True)
                self.volumes.append(rest)
            case "CMD":
                self.cmd = json.loads(rest)
            case "COPY":
                self.copy(shlex.split(rest), world)
            case "RUN" if not rest.startswith(("--", "[")):
                self.run(rest, world.outer)
            case _:
                sys.exit(f"Dockerfile: not understood: {word} {rest}")

    def copy(self, words, world):
        """COPY SOURCE TARGET and COPY --from=STAGE SOURCE TARGET, of directories."""
        source, skip, put = world.context, world.ignored, shutil.copy2
        if words[0].startswith("--from="):
            source = world.named[words.pop(0).removeprefix("--from=")]
            skip, put = set(), link_or_copy
        if len(words) != 2 or words[0].startswith("--"):
            sys.exit(f"Dockerfile: not understood: COPY {words}")
        source = source / words[0].lstrip("/")
        shutil.copytree(source, self.inside(words[1]), symlinks=True, dirs_exist_ok=True,
                        ignore=lambda at, _: skip if pathlib.Path(at) == source else [],
                        copy_function=put)

    def run(self, command, outer):
        """RUN with a shell; variables of ARG are in its environment too."""
        variables = {"HOME": "/root", **outer, **self.args, **self.env}
        env = [f"{name}={value}" for name, value in variables.items()]
        inner = f"cd {shlex.quote(self.cwd)} && {command}"
        subprocess.run([*NAMESPACE, f"--mount-proc={self.root}/proc", "chroot",
                        f"--userspec={self.user}", self.root, "/usr/bin/env", "-i", *env,
                        "/bin/sh", "-c", inner], check=True, stdout=sys.stderr)

    def write_start(self):
        """The script that stands for `docker run`; options given to it follow CMD's."""
        lines = ["#!/bin/sh"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in self.env.items()]
        lines += [f"cd {shlex.quote(self.cwd)}", f'exec {ENTRYPOINT} {shlex.join(self.cmd)} "$@"']
        start = self.root / "start"
        start.write_text("\n".join(lines) + "\n")
        start.chmod(0o755)


class World:
    """What stages share: global ARGs, the images at hand, the stages with a name."""

    def __init__(self, options):
        self.context, self.work = options.context, options.work
        self.given = dict(pair.split("=", 1) for pair in options.arg)
        self.outer = dict(pair.split("=", 1) for pair in options.env)
        self.bases = dict(pair.split("=", 1) for pair in options.base)
        self.links = dict(pair.split("=", 1) for pair in options.link)
        self.ignored = ignored(options.context)
        self.globals, self.named, self.count = {}, {}, 0

    def declare(self, rest):
        """An ARG before the first FROM."""
        name, _, default = rest.partition("=")
        self.globals[name] = self.given.get(name, expand(default, self.globals))

    def begin(self, rest):
        """FROM IMAGE [AS NAME]: a copy of the image's directory, or that of an earlier stage."""
        image, _, name = expand(rest, self.globals).partition(" AS ")
        if image in self.links:
            self.named[name] = pathlib.Path(self.links[image])
            return None
        base = self.named.get(image) or self.bases.get(image)
        if base is None:
            sys.exit(f"Dockerfile: no --base for {image}; there are: {sorted(self.bases)}")
        root = self.work / str(self.count)
        self.count += 1
        subprocess.run(["cp", "-a", "--reflink=auto", base, root], check=True)
        if name:
            self.named[name] = root
        return Stage(root, self.given)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dockerfile", "context", "work"):
        parser.add_argument(name, type=pathlib.Path)
    for name in ("--base", "--link", "--arg", "--env"):
        parser.add_argument(name, action="append", default=[])
    options = parser.parse_args()
    world, stage = World(options), None
    # Before the first FROM stands what all stages may ask for.
    for word, rest in instructions(options.dockerfile.read_text()):
        print(f"{word} {' '.join(rest.split())}", file=sys.stderr, flush=True)
        if word == "FROM":
            stage = world.begin(rest)
        elif stage is not None:
            stage.do(word, rest, world)
        elif word == "ARG" and not world.named:
            world.declare(rest)
        else:
            sys.exit(f"Dockerfile: {word} in a stage that is only linked")
    stage.write_start()
    print(stage.root)


if __name__ == "__main__":
    main()
