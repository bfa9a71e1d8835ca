"""Two guards that are not good enough. With either of them the catalogue must fail.

Imported in the interpreter of an attack, in the place of ``codegenie.plugins.guard``.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace


class PluginImportRefused(ImportError):
    """Imitate a refusal of the real guard, by the name of its exception."""

    def __init__(self, kind: str, plugin: str, evidence: dict[str, str]) -> None:
        super().__init__(f"{plugin} is refused: {kind}")
        self.refusal = SimpleNamespace(kind=kind, plugin=plugin, evidence=evidence)


class RefusesEverything(MetaPathFinder):
    """No payload ever runs, and no plugin either."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != "plugins":
            return None
        evidence = {"expected": "0" * 64, "actual": "f" * 64}
        raise PluginImportRefused("integrity_mismatch", "alpha", evidence)


class DigestOnly(MetaPathFinder):
    """Compares every tree with the lock, once, and leaves the import to Python."""

    def __init__(self) -> None:
        self.checked = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "plugins" and not self.checked:
            with open("plugins/PLUGINS.lock") as file:
                locked = json.load(file)
            for plugin, expected in locked.items():
                actual = digest(f"plugins/{plugin}")
                if actual != expected:
                    evidence = {"expected": expected, "actual": actual}
                    raise PluginImportRefused("integrity_mismatch", plugin, evidence)
            self.checked = True
        return None


def digest(folder: str) -> str:
    """Return the tree digest of what is a file, and leads to one."""
    lines = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            path = os.path.join(place, name)
            if os.path.isfile(path) and not name.endswith(".pyc"):
                with open(path, "rb") as file:
                    lines.append((os.path.relpath(path, folder), hashlib.sha256(file.read())))
    lines.sort(key=lambda line: line[0].encode())
    text = "".join(f"{line[1].hexdigest()}  {line[0]}\n" for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()


WEAK_GUARDS = {"refuses-everything": RefusesEverything, "digest-only": DigestOnly}


def install(name: str) -> None:
    sys.meta_path.insert(0, WEAK_GUARDS[name]())
