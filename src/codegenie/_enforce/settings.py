"""Resolve root, lock, scope and modes once, in this order:

1. the arguments of ``guard.install``;
2. the environment, unless the interpreter ignores it (``-E``, ``-I``); its relative paths are
   resolved against the folder in which the interpreter was started;
3. the default; for the root: the first folder on ``sys.path`` that has the name of the package and
   contains a lock.
"""

import os
import sys

from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME
from codegenie._start.finder import expected_root, from_the_start
from codegenie._start.folder_paths import kernel_folder, spelled_path
from codegenie.guarded_folder import GuardedFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any  # noqa: F401

LOCK_VARIABLE = "CODEGENIE_PLUGINS_LOCK"
MODE_VARIABLE = "CODEGENIE_GUARD_MODE"
ON_REFUSAL_VARIABLE = "CODEGENIE_GUARD_ON_REFUSAL"
LOG_VARIABLE = "CODEGENIE_GUARD_LOG"

LOG_DESCRIPTOR = "fd:"
"""The prefix of a log that is a descriptor, not a file."""


class Settings:
    """The settings of the guard. The value never changes."""

    __slots__ = ("folder", "mode", "on_refusal", "scope")

    def __init__(self, folder, scope, mode, on_refusal):
        # type: (GuardedFolder, str, str, str) -> None
        self.folder = folder
        self.scope = scope
        self.mode = mode
        self.on_refusal = on_refusal

    @property
    def root(self):
        # type: () -> str
        """The guarded folder's path."""
        return self.folder.root

    @property
    def lock(self):
        # type: () -> str
        """The path of the lock."""
        return self.folder.lock

    def at(self, folder):
        # type: (GuardedFolder) -> Settings
        """Return the same settings for another folder."""
        return Settings(folder, self.scope, self.mode, self.on_refusal)


class ResolvedSettings:
    """The result of resolving: settings, or None because there is no root; and ignored values.

    ``log`` is the event log: an absolute path or ``fd:N``; empty if there is none.
    """

    __slots__ = ("ignored", "log", "mode", "on_refusal", "settings")

    def __init__(self, settings, mode, on_refusal, log, ignored):
        # type: (Settings | None, str, str, str, list[str]) -> None
        self.settings = settings
        self.mode = mode
        self.on_refusal = on_refusal
        self.log = log
        self.ignored = ignored


def resolve(requested):
    # type: (Mapping[str, Any]) -> ResolvedSettings
    """Resolve the set-up of one folder from what was requested, the environment and ``sys.path``.

    Args:
        requested: the settings for all folders, and those of this folder.
    """
    environment: Mapping[str, str] = {} if sys.flags.ignore_environment else os.environ
    ignored: list[str] = []
    mode = requested.get("mode") or _choice(
        environment, MODE_VARIABLE, ("enforce", "audit"), ignored
    )
    on_refusal = requested.get("on_refusal") or _choice(
        environment, ON_REFUSAL_VARIABLE, ("raise", "exit"), ignored
    )
    log = requested.get("log") or _log(environment.get(LOG_VARIABLE, ""))
    package = requested.get("package", DEFAULT_PACKAGE)
    root = expected_root(requested.get("root")) or _first_on_path(package)
    if not root:
        return ResolvedSettings(None, mode, on_refusal, log, ignored)
    lock = lock_of(root, requested)
    scope = requested.get("scope", "all")
    folder = GuardedFolder(root, lock, package, requested.get("others", "refuse"))
    current = Settings(folder, scope, mode, on_refusal)
    return ResolvedSettings(current, mode, on_refusal, log, ignored)


def lock_of(root, requested):
    # type: (str, Mapping[str, Any]) -> str
    """Return the path of a folder's lock: as requested, or of the environment, or in the folder.

    Args:
        root: the folder, absolute.
        requested: its settings. ``install()`` and the activation file give absolute paths.
    """
    environment: Mapping[str, str] = {} if sys.flags.ignore_environment else os.environ
    lock = requested.get("lock") or environment.get(LOCK_VARIABLE)
    return from_the_start(lock, os) if lock else os.path.join(root, LOCK_NAME)


def _log(target):
    # type: (str) -> str
    if not target or target.startswith(LOG_DESCRIPTOR):
        return target
    return from_the_start(target, os)


def same_path(setting, one, other):
    # type: (str, str, str) -> bool
    """Return True if two absolute paths mean one root, or one lock, to the kernel.

    A root that is reached through a link has two names. The lock itself is no link.
    """
    if one == other:
        return True
    if setting == "root":
        return kernel_folder(one, os) == kernel_folder(other, os)
    (folder, name), (other_folder, other_name) = os.path.split(one), os.path.split(other)
    return name == other_name and same_path("root", folder, other_folder)


_real_roots: dict[str, str] = {}


def real_root(root):
    # type: (str) -> str
    """Return ``os.path.realpath`` of a root. Remembered, because each import needs it."""
    real = _real_roots.get(root)
    if real is None:
        real = _real_roots[root] = os.path.realpath(root)
    return real


def _choice(environment, variable, allowed, ignored):
    # type: (Mapping[str, str], str, tuple[str, str], list[str]) -> str
    """Return a variable's value, or the strict default for a value that is not allowed.

    The caller reports the ignored values.
    """
    value = environment.get(variable, "")
    if value in allowed:
        return value
    if value:
        ignored.append(
            f"{variable}={value!r} is not one of {', '.join(allowed)}; using {allowed[0]!r}"
        )
    return allowed[0]


def folder_of(package):
    # type: (str | None) -> str
    """Return the folder of a package's name, below a folder on ``sys.path``; empty for none."""
    return package.replace(".", "/") if package else ""


def _first_on_path(package):
    # type: (str | None) -> str | None
    name = folder_of(package)
    if not name:
        return None
    for entry in sys.path:
        if isinstance(entry, str):
            # As importlib: where the working folder is gone, there is nothing in it.
            folder = spelled_path(entry, os)
            if folder is None:
                continue
            root = os.path.join(folder, name)
            if os.path.lexists(os.path.join(root, LOCK_NAME)):
                return root
    return None
