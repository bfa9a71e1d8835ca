"""Guard one folder during a test, and restore the interpreter afterwards.

A test process may already have a guard and plugin modules of the application. Both are removed for
the test and restored after it. The temporary guard has no audit hook (``strict``), because a hook
cannot be removed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from codegenie._start import LOCK_NAME
from codegenie._start.finder import (
    GuardFinder,
    installed,
    move_to_front,
    the_guard,
)
from codegenie._start.loaders import stop_serving_folders
from codegenie.plugins import registry as registrations
from codegenie.refusals.exceptions import GuardTooLate

GUARD = "codegenie.plugins.guard"
"""The module whose first import installs the guard. A second import does nothing."""


class GuardIsPinned(RuntimeError):
    """The guard of this interpreter is pinned by an activation file."""

    def __init__(self, root: str) -> None:
        self.root = root
        super().__init__(
            f"the guard of this interpreter is pinned to the folder {root}, and guards no other\n"
            "  fix       run the tests with an interpreter that 'codegenie guard install' was not "
            "run for"
        )


@contextmanager
def isolated(root: str) -> Iterator[None]:
    """Guard only ``root``, an absolute path without links, until the block ends.

    Afterwards ``sys.modules`` has no module of the folder, and the earlier guard and modules are
    restored.

    Raises:
        GuardIsPinned: the guard is pinned, and a test must not remove a pinned guard.
    """
    present = installed()
    if present is not None and present.pinned:
        raise GuardIsPinned(str(present.claims[0].root()))
    guard = _guard_of(root)
    was_strict = present is not None and present.strict
    place = _place_of(present)
    guards = [guard] if present is None else [guard, present]
    modules = _take_modules(guards)
    made = registrations.remembered()
    registered = registrations.default_registry._plugins
    search_path = list(sys.path)
    had_guard_module = GUARD in sys.modules
    try:
        if present is not None:
            # Otherwise its audit hook would restore the guard and its modules.
            present.strict = False
            sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not present]
        move_to_front(guard)
        yield
    finally:
        _take_modules(guards, root)
        stop_serving_folders(guard)
        the_guard[:] = [] if present is None else [present]
        sys.meta_path[:] = [
            f for f in sys.meta_path if f is not guard and not _of_a_plugin(guards, f)
        ]
        if present is not None:
            present.strict = was_strict
            if place is not None:
                sys.meta_path.insert(place, present)
        sys.path[:] = search_path
        registrations.default_registry._plugins = registered
        registrations.restore(made)
        sys.modules.update(modules)
        if not had_guard_module and GUARD in sys.modules:
            _install_for_application()


@contextmanager
def guard_module_as_before() -> Iterator[None]:
    """Forget an import of the guard module in this block, as if the application had none."""
    was_loaded = GUARD in sys.modules
    try:
        yield
    finally:
        if not was_loaded:
            _forget_guard_module()


def _guard_of(root: str) -> GuardFinder:
    """Return a guard for ``root`` with fixed settings, independent of the environment."""
    guard = GuardFinder()
    guard.strict = False
    guard.requested.update(scope="all", mode="enforce", on_refusal="raise")
    (claim,) = guard.claims
    claim.update({"root": root, "lock": f"{root}/{LOCK_NAME}"})
    guard.refresh()
    claim.enforcer().resolve_settings()
    return guard


def _place_of(present: GuardFinder | None) -> int | None:
    for place, finder in enumerate(sys.meta_path):
        if finder is present:
            return place
    return None


def _take_modules(guards: list[GuardFinder], root: str | None = None) -> dict[str, ModuleType]:
    """Remove guarded modules from ``sys.modules``, and all modules that came from ``root``.

    A plugin may have added its own folder to ``sys.path``, so modules can have other names.
    """
    taken = {
        name: module
        for name, module in list(sys.modules.items())
        if _is_claimed(guards, name) or (root is not None and _is_from(module, root))
    }
    for name in taken:
        del sys.modules[name]
    return taken


def _is_from(module: ModuleType, root: str) -> bool:
    # Not getattr() for ``__file__``, because a module's class can compute its attributes.
    origin = getattr(module, "__dict__", {}).get("__file__")
    return isinstance(origin, str) and origin.startswith(root + os.sep)


def _is_claimed(guards: list[GuardFinder], name: str) -> bool:
    return any(guard.claim_of(name) is not None for guard in guards)


def _of_a_plugin(guards: list[GuardFinder], finder: object) -> bool:
    """Return True for a finder that a plugin has added to ``sys.meta_path``.

    Other finders stay, because the library that added one may stay imported.
    """
    described = finder if isinstance(finder, type) else type(finder)
    return _is_claimed(guards, described.__module__)


def _install_for_application() -> None:
    """Install the guard for an application that the test has imported and that relies on it."""
    try:
        sys.modules[GUARD].install()
    except GuardTooLate:
        # Plugins had been loaded without the guard before the test. The next import of the guard
        # module must raise this error.
        _forget_guard_module()


def _forget_guard_module() -> None:
    if sys.modules.pop(GUARD, None) is not None:
        del sys.modules["codegenie.plugins"].guard
