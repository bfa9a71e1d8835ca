"""Modules that audit mode let through, when another mode decides."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from codegenie._enforce import audit_mode
from codegenie._start.finder import GuardFinder

PACKAGE = "made_up_plugins"


@pytest.mark.parametrize(
    ("executing", "stay"),
    [
        (None, ()),
        ("", ("",)),
        (".alpha", ("", ".alpha")),
        (".alpha.sub.api", ("", ".alpha", ".alpha.sub", ".alpha.sub.api")),
    ],
)
def test_modules_that_are_executed_stay_with_their_parents(
    monkeypatch: pytest.MonkeyPatch, executing: str | None, stay: tuple[str, ...]
) -> None:
    guard = GuardFinder({"folders": [{"root": "/plugins", "package": PACKAGE, "others": "refuse"}]})
    modules = {"other": ModuleType("other"), f"{PACKAGE}x": ModuleType(f"{PACKAGE}x")}
    for below in "", ".alpha", ".alpha.sub", ".alpha.sub.api", ".beta":
        module = ModuleType(PACKAGE + below)
        module.__spec__ = ModuleSpec(module.__name__, None)
        vars(module.__spec__)["_initializing"] = below == executing
        modules[module.__name__] = module
    monkeypatch.setattr(sys, "modules", modules)
    audit_mode.forget_modules(guard.claims[0])
    monkeypatch.undo()
    assert modules.keys() == {"other", f"{PACKAGE}x", *(PACKAGE + below for below in stay)}
