"""The catalogue for a folder of another package: the same attacks, with the name replaced.

An attack names the package in scripts, in file names, and in what it expects. So the name is
replaced in the source of the modules that define attacks, and copies of them are imported. The
modules that describe and run attacks stay as they are.
"""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from tests.attacks.attack import Attack
from tests.attacks.catalogue import CATALOGUE, MODULES

PACKAGE = "custom_components"
"""The package of the copies that the tests run."""

EVERY = 6
"""The tests run one attack in six under another package: all of them would take as long again."""

NOT_RENAMED = (
    "displacement/guard-again",
    "displacement/guard-again-removed",
    "swallowed/pickle",
    "timing/folder-exchanged",
)
"""Attacks that need the folder of the default package, or name it where no name is replaced."""

_NAME = re.compile(r"(?<!codegenie\.)(?<!codegenie', ')(?<!codegenie\", \")\bplugins\b")
_OWN = re.compile(rf"tests\.attacks\.(?=(?:{'|'.join(MODULES)}|catalogue)\b)")
_OWN_LIST = "from tests.attacks import ("


def renamed(text: str, package: str) -> str:
    """Return a text with the name of the package replaced, but not that of the guard's modules."""
    return _NAME.sub(package, text)


def catalogue(package: str) -> tuple[Attack, ...]:
    """Return all attacks for a folder that another package claims."""
    if package == "plugins":
        return CATALOGUE
    copies = f"attacks_on_{package}"
    if copies not in sys.modules:
        _copy(copies, package)
    attacks: tuple[Attack, ...] = importlib.import_module(f"{copies}.catalogue").CATALOGUE
    return tuple(
        _replaced(attack, package)
        for attack in attacks
        # Attacks on several folders name their packages themselves.
        if attack.group != "several" and attack.name not in NOT_RENAMED
    )


def sample(package: str) -> tuple[Attack, ...]:
    """Return the attacks that the tests run for a folder of another package."""
    return tuple(attack for attack in catalogue(package)[::EVERY] if attack.group != "lazy")


def _copy(copies: str, package: str) -> None:
    with tempfile.TemporaryDirectory(prefix="attacks-") as place:
        folder = Path(place, copies)
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        for name in (*MODULES, "catalogue"):
            source = (Path(__file__).parent / f"{name}.py").read_text()
            source = _OWN.sub(f"{copies}.", renamed(source, package))
            source = source.replace(_OWN_LIST, f"from {copies} import (")
            (folder / f"{name}.py").write_text(source)
        sys.path.insert(0, place)
        try:
            importlib.import_module(f"{copies}.catalogue")
        finally:
            sys.path.remove(place)


def _replaced(value: Any, package: str) -> Any:
    """Replace the name in the texts of an attack whose default is in a module that stays."""
    if isinstance(value, str):
        return renamed(value, package)
    if isinstance(value, tuple):
        return tuple(_replaced(item, package) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {
            field.name: _replaced(getattr(value, field.name), package)
            for field in fields(value)
            if field.name not in ("name", "does", "needs")
        }
        return replace(value, **changed)
    return value
