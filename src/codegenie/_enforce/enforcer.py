"""The decision about one import: serve, refuse, or not there.

The way of ``import plugins.x.api``:

1. ``_start.GuardFinder.find_spec("plugins")`` gives a spec for the synthetic package and decides
   nothing: it runs under the global import lock, where waiting for another thread can hang.
2. The package's loader calls ``Enforcer.execute_package`` under the lock of that one module. The
   set-up is resolved (``settings``). With ``scope="all"`` the whole folder is verified
   (``verification``): the first refusal is the answer, and only if every plugin passed are the
   trees kept.
3. ``find_spec("plugins.x")`` takes ``x``'s tree from the cache, or with ``scope="plugin"`` verifies
   it now, and gets the spec from ``serving``: a module of the verified tree, or
   ``ModuleNotFoundError`` (``absence``). ``__path__``, ``sys.path`` and the disk are not consulted.
4. The loader reads the module through ``Enforcer.read`` (``reading``): open, hash, compare, and
   compile that buffer.

What goes around all this (``strict``) is seen by the audit hook (``codegenie._start``) and judged
by the rules in ``strict``, which asks here for the plugin's tree and has refusals carried out
here.

``mode="audit"`` changes what a refusal leads to, nothing before it: it is reported, and the import
goes on as if there were no guard.
"""

import os
import sys
from _frozen_importlib import ModuleSpec

from codegenie import _start
from codegenie._enforce import absence, folders, names, report, settings, specs, strict
from codegenie._enforce.extensions import VerifiedExtensionLoader
from codegenie._enforce.identities import IdentityMap
from codegenie._enforce.loaders import VerifiedBytecodeLoader, VerifiedSourceLoader
from codegenie._enforce.packages import RootPackage
from codegenie._start import LOCK_NAME, PACKAGE, ROOT_VARIABLE, is_guarded
from codegenie.files import read_regular
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock, packs, verification
from codegenie.integrity.reading import read_verified
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.refusals import kinds
from codegenie.refusals.exceptions import PluginImportRefused
from codegenie.result import Err
from codegenie.text import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import CodeType, ModuleType
    from typing import Any

    from codegenie._enforce.settings import Found, Settings
    from codegenie._start import FolderFinder, GuardFinder
    from codegenie.integrity.packs import Pack
    from codegenie.integrity.verification import Judge
    from codegenie.refusals.record import Refusal
    from codegenie.result import Result

    State = dict[str, Any]
    Lock = Result[dict[str, str], Refusal]

REFUSED_STATUS = 4
"""The status a process ends with when ``on_refusal="exit"``; the command line uses the same."""


_STATE = (
    "settings",
    "_judge",
    "verified",
    "complete",
    "package_executed",
    "audited",
    "lock_audited",
)


class Enforcer:
    """All that the guard remembers about one interpreter, and every decision it takes."""

    def __init__(self, guard: "GuardFinder") -> None:
        self.guard = guard
        self.requested = guard.requested
        self.settings: Settings | None = None
        self.mode = "enforce"
        self.on_refusal = "raise"
        self.verified: dict[str, VerifiedTree] = {}
        self.refused: dict[tuple[str, str], Refusal] = {}
        """The latest refusal by subject and kind."""
        # scope="all": every plugin was verified; nothing else can be imported.
        self.complete = False
        # The package `plugins` was executed, or its refusal waived.
        self.package_executed = False
        # mode="audit": plugins whose refusal was reported; their imports go on unguarded.
        self.audited: set[str] = set()
        # mode="audit": the refusal of the lock was reported; no import is guarded.
        self.lock_audited = False
        self._judge: Judge = verification.compare_with_lock
        self.packs: dict[VerifiedTree, Pack] = {}
        self._made_code = IdentityMap(guard.made_code)
        # Specs of modules of which verified code has begun to run.
        self.executed = IdentityMap()
        self._last_lock: tuple[object, Lock | None] = (None, None)

    # --- requests, from the finder and the loaders ----------------------------------------------

    def execute_package(self, module: "ModuleType") -> None:
        """Execute the synthetic package ``plugins``.

        Raises:
            PluginImportRefused: there is no root, no valid lock, or (``scope="all"``) a plugin that
                does not pass.
        """
        if self.settings is None:
            self.forget_waivers()  # for want of a root: it is sought again
        current = self.resolve_settings()
        if current is None:
            self.refuse_or_report(_no_root(), PACKAGE)
        else:
            self._verify_root(current)
        self.package_executed = True
        self.note_executed(module)
        if self.lock_audited:
            plain = _plain_spec(PACKAGE, None)
            if plain is not None or current is None:
                _run_unguarded(PACKAGE, plain)
                return
        assert current is not None  # noqa: S101  # without a root it was refused or waived
        RootPackage(self, current.root).describe(module)
        self.serve_folder(current.root)

    def find_spec(self, fullname: str, path: "Sequence[str] | None" = None) -> ModuleSpec | None:
        """Return the spec of a module below ``plugins``.

        Returns:
            The spec; ``None`` where ``mode="audit"`` has waived a refusal, and for a query for a
            module that its plugin does not hold (``absence``).

        Raises:
            PluginImportRefused: its plugin did not pass.
            ModuleNotFoundError: its plugin passed and holds no such module.
        """
        try:
            return self._find(fullname)
        except ModuleNotFoundError:
            if absence.is_query(fullname, path, sys._getframe(1)):
                return None
            raise

    def _find(self, fullname: str) -> ModuleSpec | None:
        plugin, path = names.split(fullname)
        tree = self.verified.get(plugin)
        if tree is None and not self.is_audited(plugin):
            tree = self._verify_one(plugin, fullname)
        if self.is_audited(plugin):
            return None
        if tree is not None and path is not None:
            spec = specs.spec_for(self, tree, fullname, path)
            if spec is not None:
                return spec
            if self.mode == "audit":
                return self._added_since(tree, fullname)
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    def resolve(self, spec: ModuleSpec) -> None:
        """Make a spec that was handed out before anything was decided what ``find_spec`` says now.

        Raises:
            PluginImportRefused, ModuleNotFoundError: as ``find_spec`` where an import asks.
        """
        found = self._find(spec.name)
        if found is None:
            parent = sys.modules[spec.name.rpartition(".")[0]]
            found = _plain_spec(spec.name, parent.__path__)
            if found is None:
                raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)
        vars(spec).update(vars(found))

    def not_executed_error(self, module: str) -> ImportError:
        """What to raise for a module below a ``plugins`` that was not executed by the guard."""
        if self.refused:
            return PluginImportRefused(list(self.refused.values())[-1], module)
        present = sys.modules.get(PACKAGE)
        refused = kinds.unverified_code(
            None,
            str(getattr(present, "__file__", None) or PACKAGE),
            "the module 'plugins' in sys.modules is not the guard's",
            remedy="find what puts it there",
        )
        return PluginImportRefused(refused, module)

    def read(self, tree: VerifiedTree, relative: str, module: str, *, opened_as: str = "") -> bytes:
        """Return the verified bytes of a file. ``opened_as``: see ``read_verified``.

        Raises:
            PluginImportRefused: the file is not what was verified.
        """
        data = read_verified(tree, relative, opened_as=opened_as)
        if isinstance(data, Err):
            self.refuse(data.error, module)
            return _read_unverified(tree.path_of(relative), module)
        return data.value

    def bytes_to_show(self, tree: VerifiedTree, relative: str) -> bytes | None:
        """Return the verified bytes of a file for display; None if it has changed since.

        In audit mode a changed file runs, so the file as it is now is what there is to show. Never
        refuses, reports or ends the process.
        """
        data = read_verified(tree, relative)
        if not isinstance(data, Err):
            return data.value
        if self.mode == "enforce":
            return None
        try:
            return _read_unverified(tree.path_of(relative), tree.plugin)
        except ImportError:
            return None

    def pack(self, tree: VerifiedTree) -> "Pack | None":
        """The pack of a verified tree. None is used in audit mode: a changed file must then run as
        it would without the guard."""
        if self.settings is None or self.mode != "enforce":
            return None
        known = self.packs
        pack = known.get(tree)
        if pack is None:
            # Two threads may load it at once: the first one's is kept, which counts what it is
            # used for.
            pack = known.setdefault(tree, packs.load(self.settings.lock, tree.plugin, tree.digest))
        return pack

    def locked_plugins(self) -> "Iterator[str]":
        """The plugins that can be imported, for listing. Verifies nothing that is not verified."""
        if self.settings is not None and self.settings.scope == "plugin":
            locked = lock.read(self.settings.lock)
            if not isinstance(locked, Err):
                yield from sorted(locked.value)
        else:
            yield from sorted(self.verified.copy())

    def root_package(self) -> RootPackage:
        """Return what describes the package ``plugins``, once it was executed."""
        assert self.settings is not None  # noqa: S101  # it was executed
        return RootPackage(self, self.settings.root)

    # --- requests, from the path hook ------------------------------------------------------------

    def is_decided(self) -> bool:
        """Return True if a folder's finder can answer without loading or deciding anything more
        than, with ``scope="plugin"``, one unit."""
        return self.settings is not None and (self.complete or self.settings.scope == "plugin")

    def find_in_folder(self, finder: "FolderFinder", fullname: str) -> ModuleSpec | None:
        """Return the spec of a module that is searched in a folder of the guarded folder."""
        return folders.find_spec(self, finder, fullname)

    def resolve_in_folder(self, spec: ModuleSpec, finder: "FolderFinder") -> None:
        """Complete a spec that was handed out for such a folder before the first decision."""
        folders.resolve(self, spec, finder)

    def list_folder(self, finder: "FolderFinder", prefix: str) -> "Iterator[tuple[str, bool]]":
        """List such a folder for ``pkgutil``."""
        return folders.iter_modules(self, finder, prefix)

    def names_in_folder(self, finder: "FolderFinder") -> "Iterable[str]":
        """Return the names of what can be imported from such a folder."""
        return folders.names(self, finder)

    def serve_folder(self, path: str) -> None:
        """Answer for the folder of a served package, also if the path hook was removed since.

        In audit mode CPython's own finder must still find what was added or waived.
        """
        if self.mode == "enforce":
            present = sys.path_importer_cache.get(path)
            if type(present) is not _start.FolderFinder or present.guard is not self.guard:
                sys.path_importer_cache[path] = _start.FolderFinder(self.guard, path)

    def has_folder(self, path: str) -> bool:
        """Return True if the path is a folder of a verified tree."""
        return folders.has_folder(self, path)

    def locked_tree(self, unit: str, module: str) -> VerifiedTree | None:
        """Return the verified tree of a unit, verified now with ``scope="plugin"`` if it is locked.

        Raises:
            PluginImportRefused: it does not pass.
        """
        tree = self.verified.get(unit)
        if tree is None and self.settings is not None and not self.complete:
            locked = self._lock_of(self.settings)
            if isinstance(locked, Err) or unit in locked.value:
                tree = self._verify_one(unit, module)
        return tree

    def refuse_file(self, path: str) -> None:
        """Refuse a file of the guarded folder that no verified tree has."""
        strict.judge_file(self, path)

    # --- requests, from `strict` ---------------------------------------------------------------

    def is_own_loader(self, loader: object) -> bool:
        """Return True if a loader is the guard's. Its methods may have been replaced: what it
        executes is decided by ``file_of_code``."""
        kind = type(loader)
        # Not `in`, which calls ==: a class can have a class that answers.
        for own in (VerifiedBytecodeLoader, VerifiedSourceLoader, VerifiedExtensionLoader):
            if kind is own:
                return loader.belongs_to(self)  # type: ignore[attr-defined, no-any-return]
        return False

    def file_of_code(self, code: "CodeType") -> str | None:
        """Return the file of which the guard itself made this code object, or None.

        Code that ``mode="audit"`` let through counts only while that mode is in force.
        """
        made: tuple[str, bool] | None = self._made_code.get(code)
        if made is None or not (made[1] or self.mode == "audit"):
            return None
        return made[0]

    def note_code(self, code: "CodeType", path: str, *, is_verified: bool) -> None:
        """Remember a code object that a loader has just made of the verified bytes of a file, or in
        audit mode of others."""
        if is_verified or self.mode == "audit":
            self._made_code.add(code, (path, is_verified))

    def note_executed(self, module: "ModuleType") -> None:
        """Remember that a module of verified code, or of none, has begun to be executed."""
        self.executed.add(getattr(module, "__spec__", None))

    def verified_tree(self, plugin: str, module: str) -> VerifiedTree | None:
        """A plugin's tree, verified now if it was not yet. Not in ``find_spec``.

        Raises:
            PluginImportRefused: it does not pass, or (``scope="all"``) another one does not.
        """
        current = self.resolve_settings()
        if current is not None and plugin not in self.verified and not self.is_audited(plugin):
            if current.scope == "all":
                self._verify_root(current, module)
            else:
                self._verify_one(plugin, module)
        return self.verified.get(plugin)

    # --- the outcome ----------------------------------------------------------------------------

    def refuse(self, refused: "Refusal", module: str) -> None:
        """Report a refusal and act on it. Returns only where ``mode="audit"``.

        Raises:
            PluginImportRefused: unless ``mode="audit"`` or ``on_refusal="exit"``.
        """
        if self.settings is not None:
            refused.settle(self.settings.root, self.settings.lock)
        if self.mode == "audit":
            self.report(refused, module)
            return
        error = PluginImportRefused(refused, names.requested(module))
        if self.on_refusal == "exit":
            try:
                self.report(refused, module)
                print(error, file=sys.stderr, flush=True)
                sys.stdout.flush()
            finally:
                # Whatever became of the message. Not by SystemExit, which a thread or a bare
                # `except` swallows.
                os._exit(REFUSED_STATUS)
        for failure in self.report(refused, module):
            error.add_note(failure)
        raise error

    def report(self, refused: "Refusal", module: str) -> "Sequence[str]":
        """Remember a refusal for ``status()``, log it and raise its audit event.

        Returns:
            Why that failed, one sentence for each way.
        """
        self.refused[refused.subject, refused.kind] = refused
        return report.refused(refused, module, audit_only=self.mode == "audit")

    def refuse_or_report(self, refused: "Refusal", module: str) -> None:
        """Refuse; in audit mode, let the later imports of the plugin pass unreported.

        A plugin may have any name, also that which a refusal of the lock reports. So the kind of
        the refusal decides whether one plugin is waived or all of them.
        """
        self.refuse(refused, module)
        if refused.is_about_lock:
            self.lock_audited = True
        else:
            self.audited.add(refused.plugin)

    # --- for the four-gate loader ---------------------------------------------------------------

    def settings_for(self, root: str, lock_path: str) -> "Settings":
        """The set-up for another root. Nothing is changed but the modes, where none were known."""
        if self.settings is not None:
            return self.settings.at(GuardedFolder(root, lock_path))
        found = self._resolve({**self.requested, "root": root, "lock": lock_path})
        assert found.settings is not None  # noqa: S101  # a root was given
        with _start.set_up_lock:
            self._take_modes(found)
        return found.settings

    def adopt(
        self, current: "Settings", verified: "dict[str, VerifiedTree]", judge: "Judge"
    ) -> None:
        """Enforce another root, or the same one as verified anew by ``judge``."""
        if self.settings is None or self.settings.root != current.root:
            self._forget_folders()
            folders.forget(current.root)
        kept: dict[str, VerifiedTree] = {}
        _keep(kept, verified)
        with _start.set_up_lock:
            self.settings = current
            self._judge = judge
            self.verified = kept
            self.complete = True
            self.audited = set()
            self.lock_audited = False
            self.packs = {}

    def state(self) -> "State":
        """What ``adopt`` replaces."""
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state: "State") -> None:
        """Go back to what ``state`` returned."""
        self._forget_folders()
        with _start.set_up_lock:
            for name, value in state.items():
                setattr(self, name, value)
        self._forget_folders()

    def _forget_folders(self) -> None:
        current = self.settings
        if current is not None:
            folders.forget(current.root)

    # --- the set-up, and what was waived ----------------------------------------------------------

    def resolve_settings(self) -> "Settings | None":
        """Resolve the set-up. Once found it is kept; while there is no root, it is sought again.

        Resolving reads the disk and may import, so it is done without the lock. What it found
        counts if nothing else was requested or found in between.
        """
        while self.settings is None:
            requested = dict(self.requested)
            found = self._resolve(requested)
            with _start.set_up_lock:
                counts = self.settings is None and self.requested == requested
                if counts:
                    self._take_modes(found)
                    self.settings = found.settings
            if counts:
                self._forget_folders()
                break
        return self.settings

    def is_audited(self, plugin: str | None) -> bool:
        """Return True if audit mode has reported the plugin's refusal, and its imports go on.

        Args:
            plugin: ``None`` for the guarded package itself.
        """
        return self.lock_audited or plugin in self.audited

    def forget_waivers(self) -> None:
        """Guard again what audit mode has let through: another mode or folder decides now.

        Modules that were loaded meanwhile are unverified. They leave ``sys.modules``, as those of
        an earlier root do, and are verified when they are imported again.
        """
        if not self.audited and not self.lock_audited:
            return
        self.audited = set()
        self.lock_audited = self.package_executed = self.complete = False
        for name in _guarded_modules():
            sys.modules.pop(name, None)  # another thread may have taken it out

    def _take_modes(self, found: "Found") -> None:
        self.mode, self.on_refusal = found.mode, found.on_refusal
        if self.mode == "enforce":
            self.forget_waivers()

    # --- steps ----------------------------------------------------------------------------------

    def _resolve(self, requested: "Mapping[str, str]") -> "Found":
        found = settings.resolve(requested)
        scope = found.settings.scope if found.settings else "all"
        try:
            report.prepare(scope=scope, mode=found.mode, log=found.log)
        except ImportError as error:
            raise _start.guard_load_error(error) from error
        for message in found.ignored:
            report.warning(message)
        return found

    def _verify_root(self, current: "Settings", module: str = PACKAGE) -> None:
        if current.scope == "plugin":
            # A lock that does not parse refuses everything, before anything is asked for.
            locked = lock.read(current.lock)
            if isinstance(locked, Err):
                self.refuse_or_report(locked.error, module)
            return
        if self.complete:
            return
        kept = self.verified
        passed: dict[str, VerifiedTree] = {}
        for verdict in verification.verify_root(current.folder, self._judge):
            if isinstance(verdict, Err):
                self.refuse_or_report(verdict.error, module)
            else:
                passed[verdict.value.plugin] = verdict.value
        _keep(kept, passed)
        # `adopt` has put another dictionary in place if a load took another root meanwhile; what
        # was verified here must not count there.
        if kept is self.verified:
            self.complete = True

    def _lock_of(self, current: "Settings") -> "Lock":
        """Return the lock as it is now. It is read again only if the file has changed, because a
        folder on ``sys.path`` is asked for each module that the process imports."""
        try:
            status = os.lstat(current.lock)
            state = (current.lock, status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
        except OSError:
            return lock.read(current.lock)
        known, locked = self._last_lock
        if locked is None or known != state:
            locked = lock.read(current.lock)
            self._last_lock = state, locked
        return locked

    def _verify_one(self, plugin: str, fullname: str) -> VerifiedTree | None:
        """Verify one plugin now (``scope="plugin"``). Runs in ``find_spec``: imports nothing."""
        current = self.settings
        if current is None or current.scope == "all" or self.complete:
            return None  # what can be imported was verified, and this is not in it
        kept = self.verified
        verdict = verification.verify_one(current.folder, plugin, self._judge)
        if isinstance(verdict, Err):
            self.refuse_or_report(verdict.error, fullname)
            self.audited.add(plugin)  # also where the lock is at fault
            return None
        if verdict.value is not None:
            _keep(kept, {plugin: verdict.value})
        return verdict.value

    def _added_since(self, tree: VerifiedTree, fullname: str) -> ModuleSpec | None:
        """``mode="audit"``: a module that plain Python finds in a folder that passed without it."""
        parent = sys.modules.get(fullname.rpartition(".")[0])
        plain = _plain_spec(fullname, getattr(parent, "__path__", []))
        if plain is None:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        now = verification.verify_plugin(tree.root, tree.plugin, tree.digest)
        if isinstance(now, Err):
            self.refuse(now.error, fullname)
        return plain


def _keep(kept: "dict[str, VerifiedTree]", passed: "dict[str, VerifiedTree]") -> None:
    """Report what passed, then keep it: an audit hook may raise, and then it does not count."""
    for tree in passed.values():
        report.verified(tree.plugin, tree.digest)
    kept.update(passed)


def _guarded_modules() -> list[str]:
    """Return the names of the guarded modules, without those that are being executed.

    importlib takes a module out itself when it has executed it, and binds it in its parent. It
    fails if either is not there (``_load_unlocked`` and ``_find_and_load_unlocked`` in
    ``Lib/importlib/_bootstrap.py``).
    """
    guarded = {name: module for name, module in list(sys.modules.items()) if is_guarded(name)}
    needed: set[str] = set()
    for name, module in guarded.items():
        if getattr(getattr(module, "__spec__", None), "_initializing", False):
            parts = name.split(".")
            needed.update(".".join(parts[: end + 1]) for end in range(len(parts)))
    return [name for name in guarded if name not in needed]


def _no_root() -> "Refusal":
    detail = f"no folder 'plugins' on sys.path holds a {LOCK_NAME}, and {ROOT_VARIABLE} is not set"
    return kinds.lock_file_malformed(
        LOCK_NAME,
        detail,
        remedy=f"set {ROOT_VARIABLE}, or run: codegenie plugins lock plugins",
    )


def _plain_spec(name: str, path: "Sequence[str] | None") -> ModuleSpec | None:
    """``mode="audit"``: what the finders behind the guard find."""
    for finder in sys.meta_path:
        if type(finder).__module__ != "codegenie._start":
            spec = finder.find_spec(name, path, None)
            if spec is not None:
                return spec
    return None


def _run_unguarded(name: str, spec: ModuleSpec | None) -> None:
    """``mode="audit"`` without a valid lock: import the package as if there were no guard.

    ``_load_unlocked`` in ``Lib/importlib/_bootstrap.py`` takes what stands in ``sys.modules`` after
    the loader has run, so the module that plain Python finds can take the synthetic one's place.
    """
    from importlib.util import module_from_spec

    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    module = module_from_spec(spec)  # gives the spec of a namespace package its loader
    sys.modules[name] = module
    if spec.loader is not None:
        spec.loader.exec_module(module)


def _read_unverified(path: str, module: str) -> bytes:
    """``mode="audit"``: the bytes as they are now, whatever they are; still never a FIFO."""
    try:
        data = read_regular(path, max_bytes=os.stat(path).st_size)
    except OSError as error:
        shown = shortened(path)
        raise ImportError(f"{shown} cannot be read: {error.strerror}", name=module) from error
    if isinstance(data, Err):
        raise ImportError(str(data.error), name=module, path=path)
    return data.value
