"""The decision about one import: serve, refuse, or not there.

The way of ``import plugins.x.api``:

1. ``_finder.GuardFinder.find_spec("plugins")`` gives a spec for the synthetic package and decides
   nothing: it runs under the global import lock, where importing anything can hang.
2. The package's loader calls ``Enforcer.open_root`` under the lock of that one module. The set-up
   is resolved (``settings``). With ``scope="all"`` the whole folder is verified
   (``verification``): the first refusal is the answer, and only if every plugin passed are the
   trees kept.
3. ``find_spec("plugins.x")`` takes ``x``'s tree from the cache, or with ``scope="plugin"`` verifies
   it now, and gets the spec from ``serving``: a module of the verified tree, or
   ``ModuleNotFoundError``. ``__path__``, ``sys.path`` and the disk are not consulted.
4. The loader reads the module through ``Enforcer.read`` (``reading``): open, hash, compare, and
   compile that buffer.

``mode="audit"`` changes what a refusal leads to, nothing before it: it is reported, and the import
goes on as if there were no guard.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder

from codegenie.plugins._enforce import (
    lock,
    names,
    refusal,
    report,
    serving,
    settings,
    verification,
)
from codegenie.plugins._enforce.cache import VerifiedTree
from codegenie.plugins._enforce.reading import read_verified
from codegenie.plugins._enforce.refusal import GuardSettled, PluginImportRefused
from codegenie.result import Err

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType
    from typing import NoReturn

    from codegenie.plugins._enforce.refusal import Refusal
    from codegenie.plugins._enforce.settings import Settings
    from codegenie.plugins._enforce.verification import Judge

    State = tuple[Settings | None, Judge, dict[str, VerifiedTree], set[str]]

REFUSED_STATUS = 4
"""The status a process ends with when ``on_refusal="exit"``; the command line uses the same."""


class Enforcer:
    """All that the guard remembers about one interpreter, and every decision it takes."""

    def __init__(self, requested: "Mapping[str, str]") -> None:
        self.requested = requested
        self.settings: Settings | None = None
        self.mode = "enforce"
        self.on_refusal = "raise"
        self.verified: dict[str, VerifiedTree] = {}
        self.refused: dict[tuple[str, str], Refusal] = {}
        # mode="audit": plugins whose refusal was reported; their imports go on unguarded.
        self.waived: set[str] = set()
        self._judge: Judge = verification.compare_with_lock

    # --- requests, from the finder and the loaders ----------------------------------------------

    def open_root(self, module: "ModuleType") -> None:
        """Execute the synthetic package ``plugins``.

        Raises:
            PluginImportRefused: there is no root, no valid lock, or (``scope="all"``) a plugin that
                does not pass.
        """
        current = self._settle()
        if current is None:
            self.refuse(_no_root(), names.PACKAGE)
            _run_unguarded(names.PACKAGE)
            return
        self._verify_root(current)
        path = [current.root]
        module.__path__ = path
        spec = module.__spec__
        if spec is not None:
            spec.submodule_search_locations = path
        if self.mode == "enforce":
            # In audit mode CPython's own finder must still find what was waived.
            sys.path_importer_cache[current.root] = RootListing(self)

    def find_spec(self, fullname: str) -> ModuleSpec | None:
        """The spec of a module below ``plugins``.

        Returns:
            The spec; ``None`` only where ``mode="audit"`` has waived a refusal.

        Raises:
            PluginImportRefused: its plugin did not pass.
            ModuleNotFoundError: its plugin passed and holds no such module. Returning ``None``
                instead would let the next finder look at the disk.
        """
        plugin, path = names.split(fullname)
        if plugin in self.waived:
            return None
        tree = self.verified.get(plugin)
        if tree is None:
            tree = self._verify_one(plugin, fullname)
            if plugin in self.waived:
                return None
        if tree is not None and path is not None:
            spec = serving.spec_for(self, tree, fullname, path)
            if spec is not None:
                return spec
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    def read(self, tree: VerifiedTree, relative: str, module: str) -> bytes:
        """The verified bytes of a file.

        Raises:
            PluginImportRefused: the file is not what was verified.
        """
        data = read_verified(tree, relative)
        if isinstance(data, Err):
            self.refuse(data.error, module)
            with open(tree.path_of(relative), "rb") as file:
                return file.read()
        return data.value

    def locked_plugins(self) -> "Iterator[str]":
        """The plugins that can be imported, for listing. Verifies nothing that is not verified."""
        if self.settings is not None and self.settings.scope == "plugin":
            locked = lock.read(self.settings.lock)
            if not isinstance(locked, Err):
                yield from sorted(locked.value)
        else:
            yield from sorted(self.verified)

    # --- the outcome ----------------------------------------------------------------------------

    def refuse(self, refused: "Refusal", module: str) -> None:
        """Report a refusal and act on it. Returns only where ``mode="audit"``.

        Raises:
            PluginImportRefused: unless ``mode="audit"`` or ``on_refusal="exit"``.
        """
        self.report(refused, module)
        if self.mode == "audit":
            return
        error = PluginImportRefused(refused, module)
        if self.on_refusal == "exit":
            _exit(error)
        raise error

    def report(self, refused: "Refusal", module: str) -> None:
        """Remember a refusal for ``status()``, log it and raise its audit event."""
        self.refused[refused.plugin, refused.kind] = refused
        report.refused(refused, module, audit_only=self.mode == "audit")

    def refuse_or_waive(self, refused: "Refusal", module: str) -> None:
        """Refuse; in audit mode, let the later imports of the plugin pass unreported."""
        self.refuse(refused, module)
        self.waived.add(refused.plugin)

    # --- for the four-gate loader ---------------------------------------------------------------

    def adopt(
        self, current: "Settings", verified: "dict[str, VerifiedTree]", judge: "Judge"
    ) -> None:
        """Enforce another root, or the same one as verified anew by ``judge``."""
        serving.forget_listings(self)
        self.settings = current
        self._judge = judge
        self.verified = verified
        self.waived = set()
        for tree in verified.values():
            report.verified(tree.plugin, tree.digest)

    def state(self) -> "State":
        """What ``adopt`` replaces."""
        return self.settings, self._judge, self.verified, self.waived

    def restore(self, state: "State") -> None:
        """Go back to what ``state`` returned."""
        serving.forget_listings(self)
        self.settings, self._judge, self.verified, self.waived = state

    def settle(self, requested: "Mapping[str, str]") -> None:
        """Check that a later ``install()`` asks for nothing else than what is in force.

        Raises:
            GuardSettled: it does.
        """
        if self.settings is None:
            return  # nothing is decided yet: a refusal for want of a root keeps nothing
        for setting, value in requested.items():
            present = getattr(self.settings, setting)
            if value != present:
                raise GuardSettled(setting, present, value)

    # --- steps ----------------------------------------------------------------------------------

    def _settle(self) -> "Settings | None":
        """Resolve the set-up. Once found it is kept; while there is no root, it is sought again."""
        if self.settings is None:
            found = settings.resolve(self.requested)
            self.mode, self.on_refusal = found.mode, found.on_refusal
            self.settings = found.settings
            scope = found.settings.scope if found.settings else "all"
            report.prepare(scope=scope, mode=found.mode)
            for message in found.ignored:
                report.warning(message)
        return self.settings

    def _verify_root(self, current: "Settings") -> None:
        if current.scope == "plugin":
            # A lock that does not parse refuses everything, before anything is asked for.
            locked = lock.read(current.lock)
            if isinstance(locked, Err):
                self.refuse_or_waive(locked.error, names.PACKAGE)
            return
        if self.verified:
            return  # `plugins` left sys.modules and is imported again
        passed: dict[str, VerifiedTree] = {}
        for verdict in verification.verify_root(current, self._judge):
            if isinstance(verdict, Err):
                self.refuse_or_waive(verdict.error, names.PACKAGE)
            else:
                passed[verdict.value.plugin] = verdict.value
        self._keep(passed)

    def _verify_one(self, plugin: str, fullname: str) -> VerifiedTree | None:
        current = self._settle()
        if current is None:
            self.refuse_or_waive(_no_root(), fullname)
            self.waived.add(plugin)
            return None
        if refusal.LOCKFILE_PLUGIN in self.waived:
            self.waived.add(plugin)
            return None
        if current.scope == "all" and self.verified:
            return None  # everything that can be imported was verified, and this is not in it
        verdict = verification.verify_one(current, plugin, self._judge)
        if isinstance(verdict, Err):
            self.refuse_or_waive(verdict.error, fullname)
            self.waived.add(plugin)
            return None
        if verdict.value is not None:
            self._keep({plugin: verdict.value})
        return verdict.value

    def _keep(self, passed: "dict[str, VerifiedTree]") -> None:
        for tree in passed.values():
            report.verified(tree.plugin, tree.digest)
        self.verified.update(passed)


class RootListing:
    """The path entry finder of the plugin folder: ``pkgutil`` lists the locked plugins, all of
    them as packages, and nothing else that lies there."""

    def __init__(self, enforcer: Enforcer) -> None:
        self.access = enforcer

    def find_spec(self, fullname: str, target: "ModuleType | None" = None) -> ModuleSpec | None:
        plugin = fullname.rpartition(".")[2]
        tree = self.access.verified.get(plugin)
        return None if tree is None else serving.spec_for(self.access, tree, fullname, "")

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        for plugin in self.access.locked_plugins():
            yield prefix + plugin, True

    def invalidate_caches(self) -> None:
        """What was verified holds for the process."""


def _no_root() -> "Refusal":
    detail = (
        f"no folder 'plugins' on sys.path holds a {lock.LOCK_NAME}, "
        f"and {settings.ROOT_VARIABLE} is not set"
    )
    return refusal.lock_file_malformed(
        lock.LOCK_NAME,
        detail,
        fix=f"set {settings.ROOT_VARIABLE}, or run: codegenie plugins lock plugins",
    )


def _run_unguarded(name: str) -> None:
    """``mode="audit"`` without a root: import the package as if there were no guard.

    ``_load_unlocked`` in ``Lib/importlib/_bootstrap.py`` takes what stands in ``sys.modules`` after
    the loader has run, so the module that plain Python finds can take the synthetic one's place.
    """
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def _exit(error: PluginImportRefused) -> "NoReturn":
    """End the process. Not by ``SystemExit``: a thread or a bare ``except`` swallows it."""
    print(error, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(REFUSED_STATUS)
