"""Record what a load changes in the interpreter, and undo it if the load fails."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from codegenie._enforce.enforcer import Enforcer
from codegenie._enforce.folder_state import LOCK_AUDITED
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.plugins import registry as registrations


class Snapshot:
    """A copy of the guarded modules, the registrations and the guard's state."""

    def __init__(self, enforcer: Enforcer) -> None:
        self._enforcer = enforcer
        self._state = enforcer.state
        self._modules = _guarded_modules(enforcer)
        self._made = registrations.remembered()

    def restore(self) -> None:
        """Restore modules, registrations and the guard's state.

        Modules of the failed load are also unbound from parents that stay. Otherwise
        ``plugins.x`` would still lead to a module of the load.
        """
        for name, module in _guarded_modules(self._enforcer).items():
            if self._modules.get(name) is not module:
                parent, _, child = name.rpartition(".")
                # importlib binds a submodule in its parent, so unbind it from a parent that stays.
                _unbind(self._modules.get(parent), child, module)
        _forget_modules(self._enforcer)
        sys.modules.update(self._modules)
        registrations.restore(self._made)
        self._enforcer.restore(self._state)


def _unbind(parent: object, child: str, module: object) -> None:
    """Remove the attribute that importlib has set on a parent for its submodule.

    Code can replace a module in ``sys.modules`` by anything: None, an object with ``__slots__``, a
    lazy module that loads on attribute access. So the parent's own attribute methods are not
    called, and an attribute that cannot be removed does not stop the undo.
    """
    # Not isinstance(), which reads __class__ of the parent.
    kind: Any = type if issubclass(type(parent), type) else object
    try:
        if kind.__getattribute__(parent, child) is module:
            kind.__delattr__(parent, child)
    except Exception:  # noqa: S110  # a descriptor of the parent's class can raise anything
        pass


def forget_what_changed(enforcer: Enforcer, root: str, verified: dict[str, VerifiedTree]) -> None:
    """Remove modules that were loaded from another root, or from another state of a plugin."""
    state = enforcer.state
    another_root = state.settings is not None and state.settings.root != root
    if another_root or (LOCK_AUDITED in state.marks and verified):
        _forget_modules(enforcer)
        return
    for plugin in state.audited & verified.keys():
        _forget_modules_of(
            enforcer, plugin
        )  # allowed in audit mode, by another lock or another state
    for plugin, earlier in state.verified.copy().items():
        now = verified.get(plugin)
        if now is None or now.digest != earlier.digest:
            _forget_modules_of(enforcer, plugin)


def _guarded_modules(enforcer: Enforcer) -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in list(sys.modules.items())
        if enforcer.guard.claim_of(name) is enforcer.claim
    }


def _forget_modules_of(enforcer: Enforcer, plugin: str) -> None:
    for name in _guarded_modules(enforcer):
        if enforcer.unit_of_module(name) == plugin:
            sys.modules.pop(name, None)  # another thread may have taken it out


def _forget_modules(enforcer: Enforcer) -> None:
    for name in _guarded_modules(enforcer):
        sys.modules.pop(name, None)  # another thread may have taken it out
