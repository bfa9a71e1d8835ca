"""Trees and files from their description in JSON. Uses nothing of the project."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

Case = dict[str, Any]


def contents(described: str | dict[str, Any] | list[Any]) -> bytes:
    """Return the bytes of a file: base64, or base64 and how often it is repeated, or a list of
    parts."""
    if isinstance(described, str):
        return base64.b64decode(described, validate=True)
    if isinstance(described, list):
        return b"".join(map(contents, described))
    return contents(described["base64"]) * int(described["times"])


def entries(case: Case) -> Iterator[tuple[bytes, bytes]]:
    """Path and bytes of every readable regular file."""
    for path, described in (*case["files"].items(), *case.get("large", {}).items()):
        yield path.encode(), contents(described)
    for raw in case.get("raw", []):
        yield contents(raw["path"]), contents(raw["content"])


def build(case: Case, plugin: Path) -> None:
    """Make the folder of a plugin as the case describes it."""
    special = case.get("special", {})
    if "" in special:
        place(plugin, special[""])
        return
    plugin.mkdir()
    for path, data in entries(case):
        target = os.path.join(os.fsencode(plugin), path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "xb") as file:
            file.write(data)
    for path, kind in special.items():
        (plugin / path).parent.mkdir(parents=True, exist_ok=True)
        place(plugin / path, kind)


def place(path: Path, kind: dict[str, Any]) -> None:
    """Make what is no ordinary file."""
    match kind:
        case {"symlink": target}:
            path.symlink_to(target)
        case {"fifo": True}:
            os.mkfifo(path)
        case {"folder": True}:
            path.mkdir()
        case {"file": data}:
            path.write_bytes(contents(data))
        case {"unreadable": data}:
            path.write_bytes(contents(data))
            path.chmod(0)
        case {"socket": True}:
            # Its path may be longer than the address of a socket can be.
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            with socket.socket(socket.AF_UNIX) as unix:
                unix.bind(f"/proc/self/fd/{folder}/{path.name}")
            os.close(folder)
        case _:
            raise ValueError(kind)
