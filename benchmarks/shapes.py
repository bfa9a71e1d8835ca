"""Plugin folders of named shapes, and the commands that hash the same files in other ways."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from benchmarks.packages import MANIFEST, codegenie

SMALL_FILE = 1_024
"""Bytes of each of the many small files."""

FILES_PER_FOLDER = 100

PLUGIN = "subject"


def small_files(folder: Path, number: int) -> Path:
    """A locked plugin folder with ``number`` files of ``SMALL_FILE`` bytes, no two the same."""
    root = folder / f"{number}-files" / "plugins"
    for index in range(number - 1):  # the manifest is one, too
        place = root / PLUGIN / f"f{index // FILES_PER_FOLDER:04}"
        if index % FILES_PER_FOLDER == 0:
            place.mkdir(parents=True)
        (place / f"{index:06}.txt").write_bytes(f"{index:08}".encode() * (SMALL_FILE // 8))
    return locked(root)


def large_files(folder: Path, size: int, number: int = 1) -> Path:
    """A locked plugin folder with ``number`` files of ``size`` bytes."""
    root = folder / f"{number}-of-{size}" / "plugins"
    (root / PLUGIN).mkdir(parents=True)
    block = bytes(range(256)) * 4096
    for index in range(number):
        with (root / PLUGIN / f"{index}.bin").open("wb") as file:
            missing = size
            while missing:
                missing -= file.write(block[:missing])
    return locked(root)


def locked(root: Path) -> Path:
    """Write the manifest and the lock of a folder with the one plugin."""
    (root / PLUGIN).mkdir(parents=True, exist_ok=True)
    (root / PLUGIN / "plugin.yaml").write_text(MANIFEST.format(name=PLUGIN))
    codegenie("plugins", "lock", str(root))
    return root


def coreutils(root: Path) -> list[str]:
    """The digest by the shell pipeline that the format is defined by."""
    return [
        "sh",
        "-c",
        f"cd {shlex.quote(str(root / PLUGIN))} && "
        "find . -type f ! -path '*/__pycache__/*' ! -path '*/.git/*' ! -name .git ! -name '*.pyc' "
        "-printf '%P\\n' "
        "| LC_ALL=C sort | xargs -rd '\\n' sha256sum -- | sha256sum",
    ]


def openssl(root: Path) -> list[str]:
    """The same pipeline with OpenSSL's SHA-256 in place of that of coreutils."""
    return [
        "sh",
        "-c",
        f"cd {shlex.quote(str(root / PLUGIN))} && "
        "find . -type f ! -path '*/__pycache__/*' ! -path '*/.git/*' ! -name .git ! -name '*.pyc' "
        "-printf '%P\\n' "
        "| LC_ALL=C sort | xargs -rd '\\n' openssl dgst -sha256 | openssl dgst -sha256",
    ]


def guarded(python: str, root: Path) -> list[str]:
    """The guard's own path: a start, the guard, and the first guarded import, which verifies all
    and runs no plugin."""
    code = (
        "import codegenie.plugins.guard as guard\n"
        f"guard.install(root={str(root)!r})\n"
        "import plugins\n"
    )
    return [python, "-c", code]


def plain_walk(python: str, root: Path) -> list[str]:
    """The least that Python can do for a digest of each file, without a check and without a guard:
    list each folder, and open, read, hash and close each file."""
    return [python, "-c", PLAIN_WALK, str(root / PLUGIN)]


def model_signing(python: str, root: Path) -> list[str]:
    """Sigstore's ``model_signing``: its manifest of the same folder, with its defaults."""
    code = f"import model_signing\nmodel_signing.hashing.hash({str(root / PLUGIN)!r})\n"
    return [python, "-c", code]


def environment(packages: Path) -> Mapping[str, str]:
    """For ``model_signing``: where it was installed."""
    return {"PYTHONPATH": str(packages)}


PLAIN_WALK = """
import os, sys
from _hashlib import openssl_sha256 as sha256

digests = {}

def walk(folder, prefix):
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        if entry.is_dir():
            descriptor = os.open(entry.name, os.O_RDONLY, dir_fd=folder)
            walk(descriptor, prefix + entry.name + "/")
        else:
            descriptor = os.open(entry.name, os.O_RDONLY, dir_fd=folder)
            data = os.read(descriptor, os.fstat(descriptor).st_size)
            digests[prefix + entry.name] = sha256(data).digest()
        os.close(descriptor)

walk(os.open(sys.argv[1], os.O_RDONLY), "")
lines = "".join(f"{digests[path].hex()}  {path}\\n" for path in sorted(digests))
print(sha256(lines.encode()).hexdigest())
"""

# Run in a process of its own, so that it measures nothing but itself. Prints JSON: milliseconds of
# the guard's walk and of the floor (read every byte, one SHA-256 over all of it), taken in turn.
IN_PROCESS = """
import json, os, sys, time
from codegenie.hashing import sha256
from codegenie.integrity import walk as tree

root, plugin, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])

def floor():
    total = sha256(b"")
    for folder, _, names in os.walk(os.path.join(root, plugin)):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                while block := file.read(1 << 20):
                    total.update(block)
    return total.digest()

def one(function):
    started = time.perf_counter()
    function()
    return (time.perf_counter() - started) * 1000

def walk():
    tree.walk(root, plugin).unwrap()

walk(), floor()
pairs = [(one(walk), one(floor)) for _ in range(rounds)]
json.dump({"walk": [a for a, _ in pairs], "floor": [b for _, b in pairs]}, sys.stdout)
"""
