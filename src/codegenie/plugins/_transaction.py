"""What a load changes in the interpreter before it knows that it succeeds, and the way back."""

from __future__ import annotations

import sys
from types import ModuleType

from codegenie import _start
from codegenie.plugins import registry as registrations
from codegenie.plugins._enforce.cache import VerifiedTree
from codegenie.plugins._enforce.decision import Enforcer


class Snapshot:
    """Guarded modules, registrations and the guard's state, as they were when it was taken."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        self._state = enforcer.state()
        self._modules = _guarded_modules()
        self._made = registrations.remembered()

    def restore(self) -> None:
        for name, module in _guarded_modules().items():
            if self._modules.get(name) is not module:
                parent, _, child = name.rpartition(".")
                kept = self._modules.get(parent)
                # importlib binds a submodule in its parent; a parent that stays must forget it.
                if kept is not None and vars(kept).get(child) is module:
                    delattr(kept, child)
        _forget_modules()
        sys.modules.update(self._modules)
        registrations.restore(self._made)
        self._enforcer.restore(self._state)


def forget_what_changed(enforcer: Enforcer, root: str, verified: dict[str, VerifiedTree]) -> None:
    """Take modules out that were loaded from another root, or from another state of a plugin."""
    if enforcer.settings is not None and enforcer.settings.root != root:
        _forget_modules()
        return
    for plugin, earlier in enforcer.verified.items():
        now = verified.get(plugin)
        if now is None or now.digest != earlier.digest:
            for name in _guarded_modules():
                if name.split(".")[1:2] == [plugin]:
                    del sys.modules[name]


def _guarded_modules() -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name == _start.PACKAGE or name.startswith(_start.PREFIX)
    }


def _forget_modules() -> None:
    for name in _guarded_modules():
        del sys.modules[name]
