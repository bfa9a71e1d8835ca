"""Decide one import: return a verified module, refuse, or raise ``ModuleNotFoundError``.

The steps of ``import plugins.x.api``:

1. ``GuardFinder.find_spec("plugins")`` returns a spec for the synthetic package and decides
   nothing, because under the global import lock a wait for another thread can deadlock.
2. The package's loader calls ``Enforcer.execute_package`` under the lock of that one module. The
   settings are resolved (``settings``). With ``scope="all"`` the whole folder is verified
   (``verification``): the first refusal is raised, and the trees are kept only if every plugin
   passes.
3. ``find_spec("plugins.x")`` takes ``x``'s tree from the cache, or with ``scope="plugin"`` verifies
   it now, and gets the spec from ``specs``: a module of the verified tree, or
   ``ModuleNotFoundError`` (``absence``). ``__path__``, ``sys.path`` and the disk are not consulted.
4. The loader reads the module through ``Enforcer.read`` (``reading``): open, hash, compare, and
   compile that buffer.

The audit hook (``codegenie._start.audit_hook``) sees code that bypasses these steps. The rules in
``strict`` decide about that code; they get the plugin's tree from the enforcer, and refuse through
it.

``mode="audit"`` changes only the consequence of a refusal: the refusal is reported, and the import
continues as if there were no guard (``audit_mode``).

``Enforcer.state`` holds the settings and the verified trees as one value (``folder_state``).
``load_plugins`` replaces that value by one assignment, also to undo a load.
"""

import os
import sys
from _thread import get_ident

from codegenie._enforce import names, report, settings, specs
from codegenie._enforce.folder_state import COMPLETE, EXECUTED, LOCK_AUDITED, FolderState
from codegenie._enforce.identities import IdentityMap
from codegenie._enforce.loaders import VerifiedBytecodeLoader, VerifiedSourceLoader
from codegenie._enforce.packages import RootPackage
from codegenie._start import LOCK_NAME, ROOT_VARIABLE
from codegenie._start.finder import late_module, set_up_lock
from codegenie._start.folder_paths import absolute, is_below
from codegenie._start.own_modules import Late, guard_load_error
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock, packs, verification
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.result import Err

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _frozen_importlib import ModuleSpec  # noqa: F401
    from collections.abc import Iterable, Iterator, Mapping, Sequence  # noqa: F401
    from types import CodeType, ModuleType  # noqa: F401
    from typing import Any

    from codegenie._enforce.settings import ResolvedSettings, Settings  # noqa: F401
    from codegenie._start.finder import Claim
    from codegenie._start.loaders import FolderFinder  # noqa: F401
    from codegenie.integrity.packs import Pack  # noqa: F401
    from codegenie.integrity.verification import TreeCheck  # noqa: F401
    from codegenie.refusals.record import Refusal
    from codegenie.result import Result
    from codegenie.trust import pinned, trusted_lock
    from codegenie.trust.trusted_lock import TrustedLock

    Lock = Result[dict[str, str], Refusal]
    from codegenie import text
    from codegenie._enforce import (
        absence,
        audit_mode,
        extensions,
        folders,
        package_loaders,
        pinned_lock,
        refusal_report,
        strict,
    )
    from codegenie._enforce.pinned_lock import PinnedLock
    from codegenie.integrity import reading
    from codegenie.refusals import exceptions, explanation, kinds
else:
    # Loaded when they are first used: a verified import needs none of them.
    absence, audit_mode = Late("_enforce.absence"), Late("_enforce.audit_mode")
    extensions, folders = Late("_enforce.extensions"), Late("_enforce.folders")
    strict, reading = Late("_enforce.strict"), Late("integrity.reading")
    refusal_report = Late("_enforce.refusal_report")
    exceptions, kinds = Late("refusals.exceptions"), Late("refusals.kinds")
    trusted_lock, pinned = Late("trust.trusted_lock"), Late("trust.pinned")
    package_loaders, pinned_lock = Late("_enforce.package_loaders"), Late("_enforce.pinned_lock")
    explanation, text = Late("refusals.explanation"), Late("text")

REFUSED_STATUS = 4
"""The exit status for ``on_refusal="exit"``. The command line uses the same."""


class Enforcer:
    """All that the guard remembers about one guarded folder, and every decision about it."""

    def __init__(self, claim):
        # type: (Claim) -> None
        self.claim = claim
        self.guard = claim.finder
        self.state = FolderState(check_tree=verification.compare_with_lock)
        self.refused: dict[tuple[str, str], Refusal] = {}
        """The latest refusal by subject and kind."""
        self._made_code = IdentityMap(self.guard.made_code)
        # Specs of modules of which verified code has begun to run.
        self.executed = IdentityMap()
        self._trusted: dict[str, PinnedLock | TrustedLock] = {}
        self._last_lock: tuple[object, Lock | None] = (None, None)
        self._deciding_within: list[int] = []

    @property
    def settings(self):
        # type: () -> Settings | None
        """The settings, once they were resolved."""
        return self.state.settings

    @property
    def mode(self):
        # type: () -> str
        """``enforce`` or ``audit``."""
        return self.state.mode

    @property
    def on_refusal(self):
        # type: () -> str
        """``raise`` or ``exit``."""
        return self.state.on_refusal

    @property
    def verified(self):
        # type: () -> dict[str, VerifiedTree]
        """The verified trees, by unit."""
        return self.state.verified

    @property
    def is_complete(self):
        # type: () -> bool
        """True if every unit was verified (``scope="all"``)."""
        return COMPLETE in self.state.marks

    @property
    def package_executed(self):
        # type: () -> bool
        """True if the claimed package was executed, or the first decision was taken."""
        return EXECUTED in self.state.marks

    @property
    def requested(self):
        # type: () -> dict[str, Any]
        """The settings that the application or the activation asked for, as a new dictionary."""
        return {**self.guard.requested, **self.claim.requested}

    @property
    def subject(self):
        # type: () -> str
        """The name of the package; of a folder without one, the path of the root."""
        root = self.claim.root()
        return self.claim.package or root or "the guarded folder"

    def name_of(self, unit):
        # type: (str) -> str
        """Return the name as which a unit is imported; the unit's own name without a package."""
        name = names.module_of(unit)[0]
        return f"{self.claim.package}.{name}" if self.claim.package else name

    # --- requests, from the finder and the loaders ----------------------------------------------

    def execute_package(self, module):
        # type: (ModuleType) -> None
        """Execute the package that the folder claims.

        Raises:
            PluginImportRefused: there is no root, no valid lock, or (``scope="all"``) a plugin that
                does not pass.
        """
        current = self.decide(module.__name__)
        self.note_executed(module)
        if current is None or LOCK_AUDITED in self.state.marks:
            plain = audit_mode.plain_spec(module.__name__)
            if plain is not None or current is None:
                audit_mode.run_package(module.__name__, plain)
                return
        package = self.root_package()
        if not self.claim.is_shared:
            self.serve_folder(current.root)
        package.execute(module)

    def decide(self, module):
        # type: (str) -> Settings | None
        """Take the first decision: resolve the settings, and verify what the scope says.

        Args:
            module: the guarded name that is being imported.

        Raises:
            PluginImportRefused: as ``execute_package``.
        """
        while True:
            if self.settings is None:
                self.guard_audited()  # there was no root, so it is searched again
            state = self._resolved_state()
            if state.settings is None:
                self.refuse_or_report(_no_root(self.claim.package), module, state)
            else:
                self._verify_root(state, module)
            with set_up_lock:  # a load that replaces the state now must keep the mark
                if self.state.marks is state.marks:
                    state.marks.add(EXECUTED)
                    return state.settings
            # Another mode, or another folder, decides since then.

    def decide_within(self, module):
        # type: (str) -> None
        """Take the first decision in the middle of it, in the same thread.

        Raises:
            PluginImportRefused: as ``decide``. Also if a report of this decision imports a plugin:
                that import would report again, and never end.
        """
        thread = get_ident()
        if self.refused or thread in self._deciding_within:
            raise self.not_executed_error(module)
        try:
            self._deciding_within.append(thread)
            self.decide(module)
        finally:
            self._deciding_within.remove(thread)

    def find_spec(self, fullname, path=None):
        # type: (str, Sequence[str] | None) -> ModuleSpec | None
        """Return the spec of a module below ``plugins``.

        Returns:
            The spec. ``None`` if ``mode="audit"`` has reported a refusal, and for a query for a
            module that its plugin does not contain (``absence``).

        Raises:
            PluginImportRefused: its plugin did not pass.
            ModuleNotFoundError: its plugin passed and contains no such module.
        """
        try:
            return self._find(fullname)
        except ModuleNotFoundError:
            if absence.is_query(fullname, path, sys._getframe(1)):
                return None
            raise

    def _find(self, fullname):
        # type: (str) -> ModuleSpec | None
        name, path = names.split(self.claim.package, fullname)
        unit = name if path else self.unit_of_name(name)
        tree = self.verified.get(unit)
        if tree is None and not self.is_audited(unit):
            self._verify_named(unit, fullname)
            # A file comes before a folder without __init__, which is known only now.
            unit = name if path else self.unit_of_name(name)
            tree = self.verified.get(unit)
        if self.is_audited(unit):
            return None
        if tree is not None and path is not None:
            # A unit that is one file is a tree of that file.
            spec = specs.spec_for(self, tree, fullname, path if unit == name else name)
            if spec is not None:
                return spec
            if self.mode == "audit":
                return audit_mode.added_since(self, tree, fullname)
        raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    def unit_of_name(self, name):
        # type: (str) -> str
        """Return the unit that a module is: a folder, or a single file, in CPython's order."""
        known: Mapping[str, object] = self.verified
        if not self.is_complete and self.settings is not None:
            locked = self._lock_of(self.settings)
            known = {} if isinstance(locked, Err) else locked.value
        if name in known and not self._is_without_code(name):
            return name
        for suffix in names.SUFFIXES:
            if name + suffix in known or name + suffix in self.state.audited:
                return name + suffix
        return name

    def _is_without_code(self, unit):
        # type: (str) -> bool
        """Return True if a unit is a folder without ``__init__``, before which a file comes."""
        tree = self.verified.get(unit)
        return tree is not None and specs.locate(tree, "") == ("", True)

    def is_file_unit(self, entry):
        # type: (str) -> bool
        """Return True if an entry of the root is a unit that is one file."""
        tree = self.verified.get(entry)
        if tree is None and names.module_of(entry)[1]:
            return False
        if tree is None and self.settings is not None and not self.is_complete:
            locked = self._lock_of(self.settings)
            return not isinstance(locked, Err) and entry in locked.value
        return tree is not None and tree.is_file

    def unit_of_module(self, module):
        # type: (str) -> str | None
        """Return the unit that a claimed name belongs to; ``None`` for the package itself."""
        if module == self.claim.package or not self.claim.claims(module):
            return None
        name, path = names.split(self.claim.package, module)
        return name if path else self.unit_of_name(name)

    def resolve(self, spec):
        # type: (ModuleSpec) -> None
        """Complete a deferred spec: overwrite it with what ``find_spec`` returns now.

        Raises:
            PluginImportRefused, ModuleNotFoundError: as ``find_spec`` for an import.
        """
        found = self._find(spec.name)
        if found is None:
            found = audit_mode.plain_spec(spec.name)
            if found is None:
                raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)
        vars(spec).update(vars(found))

    def not_executed_error(self, module):
        # type: (str) -> ImportError
        """Return the exception for a module below a package that the guard did not execute."""
        if self.refused:
            return exceptions.PluginImportRefused(list(self.refused.values())[-1], module)
        package = str(self.claim.package)
        present = sys.modules.get(package)
        refused = kinds.unverified_code(
            None,
            str(getattr(present, "__file__", None) or package),
            f"the module {package!r} in sys.modules is not the guard's",
            remedy="find what puts it there",
            package=package,
        )
        return exceptions.PluginImportRefused(refused, module)

    def read(self, tree, relative, module, *, opened_as=""):
        # type: (VerifiedTree, str, str, str) -> bytes
        """Return the verified bytes of a file. ``opened_as``: see ``read_verified``.

        Raises:
            PluginImportRefused: the file is not what was verified.
        """
        data = reading.read_verified(tree, relative, opened_as=opened_as)
        if isinstance(data, Err):
            self.refuse(data.error, module)
            return audit_mode.read_unverified(tree.path_of(relative), module)
        return data.value

    def bytes_to_show(self, tree, relative):
        # type: (VerifiedTree, str) -> bytes | None
        """Return the verified bytes of a file for display; None if it has changed since.

        In audit mode a changed file runs, so the present bytes are returned. Never refuses, reports
        or ends the process.
        """
        data = reading.read_verified(tree, relative)
        if not isinstance(data, Err):
            return data.value
        if self.mode == "enforce":
            return None
        try:
            return audit_mode.read_unverified(tree.path_of(relative), tree.plugin)
        except ImportError:
            return None

    def pack(self, tree):
        # type: (VerifiedTree) -> Pack | None
        """Return the pack of a verified tree; None in audit mode.

        In audit mode a changed file must run as without the guard, so no pack is used.
        """
        state = self.state
        if state.settings is None or state.mode != "enforce":
            return None
        pack = state.packs.get(tree)
        if pack is None:
            # Two threads may load a pack at once. Keep the first, because a pack counts its uses.
            trusted = self.trusted_lock(state.settings.lock)
            covers = None if trusted is None else trusted.covers
            loaded = packs.load_pack(state.settings.lock, tree.plugin, tree.digest, covers)
            pack = state.packs.setdefault(tree, loaded)
        return pack

    def locked_plugins(self):
        # type: () -> Iterator[str]
        """Yield the plugins that can be imported, for listing. Verifies no further plugin."""
        if self.settings is not None and self.settings.scope == "plugin":
            locked = self.read_lock(self.settings.lock)
            if not isinstance(locked, Err):
                yield from sorted(locked.value)
        else:
            yield from sorted(self.verified.copy())

    def root_package(self):
        # type: () -> RootPackage
        """Return the object that describes the package, once the first decision was taken.

        Raises:
            PluginImportRefused: ``scope="plugin"``, and the root's ``__init__.py`` does not pass.
        """
        assert self.settings is not None  # noqa: S101  # it was decided
        package = str(self.claim.package)
        return RootPackage(self, self.settings.root, package, self._tree_of_init(package))

    def _tree_of_init(self, package):
        # type: (str) -> VerifiedTree | None
        """Return the verified tree of the root's own ``__init__.py``; ``None`` if not locked."""
        return self.locked_tree("__init__.py", package)

    # --- requests, from the path hook ------------------------------------------------------------

    def is_decided(self):
        # type: () -> bool
        """Return True if a folder's finder can find a module without a further decision.

        With ``scope="plugin"`` it may still verify one unit.
        """
        return self.settings is not None and (self.is_complete or self.settings.scope == "plugin")

    def find_in_folder(self, finder, fullname):
        # type: (FolderFinder, str) -> ModuleSpec | None
        """Return the spec of a module that is searched in a folder of the guarded folder."""
        return folders.find_spec(self, finder, fullname)

    def resolve_in_folder(self, spec, finder):
        # type: (ModuleSpec, FolderFinder) -> None
        """Complete a spec that the finder of such a folder deferred before the first decision."""
        folders.resolve(self, spec, finder)

    def list_folder(self, finder, prefix):
        # type: (FolderFinder, str) -> Iterator[tuple[str, bool]]
        """Yield the verified modules of such a folder for ``pkgutil``."""
        return folders.iter_modules(self, finder, prefix)

    def names_in_folder(self, finder):
        # type: (FolderFinder) -> Iterable[str]
        """Return the names of the modules that can be imported from such a folder."""
        return folders.names(self, finder)

    def serve_folder(self, path):
        # type: (str) -> None
        """Cache the guard's finder for a folder, so it is used even if the path hook was removed.

        Does nothing in audit mode, because CPython's own finder must still find added files.
        """
        if self.mode == "enforce":
            kind = late_module("loaders").FolderFinder
            present: Any = sys.path_importer_cache.get(path)
            if type(present) is not kind or present.claim is not self.claim:
                sys.path_importer_cache[path] = kind(self.claim, path)

    def has_folder(self, path):
        # type: (str) -> bool
        """Return True if the path is a folder of a verified tree."""
        return folders.has_folder(self, path)

    def locked_tree(self, unit, module):
        # type: (str, str) -> VerifiedTree | None
        """Return the verified tree of a unit, verified now with ``scope="plugin"`` if it is locked.

        Raises:
            PluginImportRefused: it does not pass.
        """
        if unit not in self.verified and self.settings is not None and not self.is_complete:
            locked = self._lock_of(self.settings)
            if isinstance(locked, Err) or unit in locked.value:
                self._verify_named(unit, module)
        return self.verified.get(unit)

    def refuse_file(self, path):
        # type: (str) -> None
        """Refuse a file of the guarded folder that no verified tree has."""
        strict.check_file(self, path)

    # --- requests, from `strict` ---------------------------------------------------------------

    def is_own_loader(self, loader):
        # type: (object) -> bool
        """Return True if a loader is the guard's, by its exact type.

        Does not check its methods, which may have been replaced. ``file_of_code`` decides about the
        code that they execute.
        """
        kind = type(loader)
        # Not `in`, which calls ==: a metaclass of the application can override it.
        for own in (
            VerifiedBytecodeLoader,
            VerifiedSourceLoader,
            package_loaders.RootInitLoader,
            extensions.VerifiedExtensionLoader,
        ):
            if kind is own:
                return loader.belongs_to(self)  # type: ignore[attr-defined, no-any-return]
        return False

    def file_of_code(self, code):
        # type: (CodeType) -> str | None
        """Return the file from which the guard itself made this code object, or None.

        Unverified code of ``mode="audit"`` counts only while that mode is in force.
        """
        made: tuple[str, bool, Claim] | None = self._made_code.get(code)
        if made is None or made[2] is not self.claim or not (made[1] or self.mode == "audit"):
            return None
        return made[0]

    def note_code(self, code, path, *, is_verified):
        # type: (CodeType, str, bool) -> None
        """Remember a code object that a loader has made from the verified bytes of a file.

        Code from unverified bytes is remembered in audit mode only.
        """
        if is_verified or self.mode == "audit":
            self._made_code.add(code, (path, is_verified, self.claim))

    def note_executed(self, module):
        # type: (ModuleType) -> None
        """Remember that a module with verified code, or without code, has begun to execute."""
        self.executed.add(getattr(module, "__spec__", None))

    def verified_tree(self, plugin, module):
        # type: (str, str) -> VerifiedTree | None
        """Return a plugin's tree, and verify it first if that was not done yet.

        Never call this in ``find_spec``: it may import.

        Raises:
            PluginImportRefused: it does not pass, or (``scope="all"``) another plugin does not.
        """
        state = self._resolved_state()
        has_root = state.settings is not None
        if has_root and plugin not in self.verified and not self.is_audited(plugin):
            if state.settings is not None and state.settings.scope == "all":
                self._verify_root(state, module)
            else:
                self._verify_named(plugin, module)
        return self.verified.get(plugin)

    # --- the outcome ----------------------------------------------------------------------------

    def refuse(self, refused, module):
        # type: (Refusal, str) -> None
        """Report a refusal and act on it. Returns only with ``mode="audit"``.

        Raises:
            PluginImportRefused: unless ``mode="audit"`` or ``on_refusal="exit"``.
        """
        if self.settings is not None:
            refused.with_context(self.settings.root, self.settings.lock)
            refused.under_policy = self.requested.get("trust") is not None
        if self.mode == "audit":
            self.report(refused, module)
            return
        error = exceptions.PluginImportRefused(refused, names.requested(module))
        if self.on_refusal == "exit":
            try:
                self.report(refused, module)
                refusal_report.say_last(str(error), explanation.last_line(refused))
            finally:
                # Exit even if the message cannot be written. Not by SystemExit, because a thread or
                # a bare `except` swallows that.
                os._exit(REFUSED_STATUS)
        for failure in self.report(refused, module):
            error.add_note(failure)
        raise error

    def report(self, refused, module):
        # type: (Refusal, str) -> Sequence[str]
        """Remember a refusal for ``status()``, log it and raise its audit event.

        Returns:
            The reasons why logging or the event failed, one sentence each.
        """
        self.refused[refused.subject, refused.kind] = refused
        return refusal_report.refused(refused, module, audit_only=self.mode == "audit")

    def refuse_or_report(self, refused, module, state):
        # type: (Refusal, str, FolderState) -> None
        """Refuse; in audit mode, report once and let later imports of the plugin continue.

        A plugin may have any name, even one that a refusal of the lock reports. So the kind of the
        refusal decides if one plugin is marked as audited, or all of them.

        Threat: while the refusal is reported, a log handler or another thread sets the mode to
        "enforce". Rule: the refusal counts for the state that it was decided by.
        """
        self.refuse(refused, module)
        if refused.is_about_lock:
            state.marks.add(LOCK_AUDITED)
        else:
            state.audited.add(refused.plugin)

    # --- for the four-gate loader ---------------------------------------------------------------

    def settings_for(self, root, lock_path):
        # type: (str, str) -> Settings
        """Return the settings for another root. Sets the modes if no settings were resolved."""
        if self.settings is not None:
            known = self.settings.folder
            return self.settings.at(GuardedFolder(root, lock_path, known.package, known.others))
        found = self._resolve({**self.requested, "root": root, "lock": lock_path})
        assert found.settings is not None  # noqa: S101  # a root was given
        with set_up_lock:
            self._take_modes(found)
        return found.settings

    def adopt(self, current, verified, check_tree):
        # type: (Settings, dict[str, VerifiedTree], TreeCheck) -> None
        """Enforce another root, or the same root with newly verified trees."""
        if self.settings is None or self.settings.root != current.root:
            self._forget_folders()
            _forget_folders(current.root)
        kept: dict[str, VerifiedTree] = {}
        _keep(kept, verified)
        with set_up_lock:
            executed = self.state.marks & {EXECUTED}
            self._replace_state(
                FolderState(
                    check_tree=check_tree,
                    settings=current,
                    mode=self.mode,
                    on_refusal=self.on_refusal,
                    verified=kept,
                    marks={COMPLETE, *executed},
                )
            )

    def restore(self, state):
        # type: (FolderState) -> None
        """Enforce an earlier state again, because the load that replaced it has failed."""
        self._forget_folders()
        with set_up_lock:
            self._replace_state(state)
        self._forget_folders()

    def _replace_state(self, state):
        # type: (FolderState) -> None
        """Replace settings and trees. Call it with ``set_up_lock``, and never in ``find_spec``."""
        self.state = state
        self.guard.refresh()  # which folder the guard looks for depends on the settings

    def _forget_folders(self):
        # type: () -> None
        current = self.settings
        if current is not None:
            _forget_folders(current.root)

    # --- settings, and audited plugins ------------------------------------------------------------

    def resolve_settings(self):
        # type: () -> Settings | None
        """Return the settings, resolved at the first call that finds a root, or None."""
        return self._resolved_state().settings

    def _resolved_state(self):
        # type: () -> FolderState
        """Return the state; with settings, if there is a root.

        Resolving reads the disk and may import, so it runs without the lock. The result is used
        only if neither the requested nor the resolved settings have changed since.
        """
        while True:
            state = self.state
            if state.settings is not None:
                return state
            requested = self.requested
            found = self._resolve(requested)
            with set_up_lock:
                counts = self.settings is None and self.requested == requested
                if counts:
                    self._take_modes(found)
                    state = self.state.replaced(settings=found.settings)
                    self._replace_state(state)
            if counts:
                self._note_units()
                self._forget_folders()
                return state

    def _note_units(self):
        # type: () -> None
        """Find out what is guarded in a folder that is shared: only what the lock names.

        With a lock that cannot be read, the names that were pinned stay guarded, and are refused.
        """
        if self.claim.is_shared and self.settings is not None:
            locked = self._lock_of(self.settings)
            if not isinstance(locked, Err):
                late_module("loaders").note_units(self.claim, locked.value)

    def is_audited(self, plugin):
        # type: (str | None) -> bool
        """Return True if audit mode has reported the plugin's refusal, so its imports continue.

        Args:
            plugin: ``None`` for the guarded package itself.
        """
        state = self.state
        return LOCK_AUDITED in state.marks or plugin in state.audited

    def guard_audited(self):
        # type: () -> None
        """Guard audited plugins again, because another mode or folder decides now.

        Their modules are unverified, so they are removed from ``sys.modules``, as those of an
        earlier root are. The next import verifies them.
        """
        with set_up_lock:
            state = self.state
            is_any = state.audited or LOCK_AUDITED in state.marks
            if not is_any and state.mode != "audit":
                return
            # Also if nothing is audited yet: a refusal may be being reported now.
            self._replace_state(state.unaudited())
        if is_any:
            audit_mode.forget_modules(self.claim)

    def _take_modes(self, found):
        # type: (ResolvedSettings) -> None
        if found.mode == "enforce":
            self.guard_audited()
        self._replace_state(self.state.replaced(mode=found.mode, on_refusal=found.on_refusal))

    # --- steps ----------------------------------------------------------------------------------

    def _resolve(self, requested):
        # type: (Mapping[str, Any]) -> ResolvedSettings
        found = settings.resolve({**requested, **self._decided_modes()})
        scope = found.settings.scope if found.settings else "all"
        try:
            report.prepare(
                scope=scope,
                mode=found.mode,
                on_refusal=found.on_refusal,
                log=found.log,
                has_policy=requested.get("trust") is not None,
            )
        except ImportError as error:
            raise guard_load_error(error) from error
        for message in found.ignored:
            refusal_report.warning(message)
        if found.settings is not None:
            self.trusted_lock(found.settings.lock)  # loads it before `find_spec` needs it
        return found

    def _decided_modes(self):
        # type: () -> dict[str, str]
        """Return the modes by which another folder has decided: they hold for all folders."""
        for claim in self.guard.claims:
            other = claim.existing_enforcer()
            if other is not None and other.settings is not None:
                return {"mode": other.mode, "on_refusal": other.on_refusal}
        return {}

    def _verify_root(self, state, module):
        # type: (FolderState, str) -> None
        """Verify what the scope says before the first module of the folder runs.

        With ``scope="all"`` the trees are kept only if every unit passes. They are kept in
        ``state``, because they count for its settings only.

        Raises:
            PluginImportRefused: the lock, or (``scope="all"``) a unit, does not pass.
        """
        current = state.settings
        assert current is not None  # noqa: S101  # `_resolved_state` returned it
        if current.scope == "plugin":
            # A lock that does not parse refuses every plugin, even before a plugin is imported.
            locked = self.read_lock(current.lock)
            if isinstance(locked, Err):
                self.refuse_or_report(locked.error, module, state)
            return
        if COMPLETE in state.marks:
            return
        passed: dict[str, VerifiedTree] = {}
        for verdict in verification.verify_root(current.folder, state.check_tree, self.read_lock):
            if isinstance(verdict, Err):
                self.refuse_or_report(verdict.error, module, state)
            else:
                passed[verdict.value.plugin] = verdict.value
        _keep(state.verified, passed)
        state.marks.add(COMPLETE)

    def read_lock(self, path):
        # type: (str) -> Lock
        """Read a lock. If a policy is pinned, check the lock's signers first."""
        trusted = self.trusted_lock(path)
        if trusted is None:
            return lock.read(path)
        by_unit = self.settings is not None and self.settings.scope == "plugin"
        data = trusted.read_again() if by_unit else trusted.read()
        return data if isinstance(data, Err) else lock.parse(path, data.value)

    def trusted_lock(self, path):
        # type: (str) -> PinnedLock | TrustedLock | None
        """Return the check of the signers of a lock; None if no policy is pinned."""
        requested = self.requested
        if requested.get("trust") is None:
            return None
        trusted = self._trusted.get(path)
        if trusted is None:
            try:
                created = _trusted_lock(requested, path)
            except (ImportError, ValueError) as error:
                raise guard_load_error(error) from error
            trusted = self._trusted.setdefault(path, created)
        return trusted

    def _lock_of(self, current):
        # type: (Settings) -> Lock
        """Return the present lock. Reads the file only if it has changed.

        A finder of a folder on ``sys.path`` calls this for each module that the process imports.
        """
        try:
            status = os.lstat(current.lock)
            state = (current.lock, status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns)
        except OSError:
            return self.read_lock(current.lock)
        known, locked = self._last_lock
        if locked is None or known != state:
            locked = self.read_lock(current.lock)
            self._last_lock = state, locked
        return locked

    def _verify_named(self, plugin, fullname):
        # type: (str, str) -> None
        """Verify the units of one module name now (``scope="plugin"``).

        Imports nothing, because it runs in ``find_spec``.
        """
        state = self.state
        current = state.settings
        if current is None or current.scope == "all" or COMPLETE in state.marks:
            return  # every plugin that can be imported is verified, and this one is not
        kept = state.verified
        verdict = verification.verify_named(
            current.folder, plugin, state.check_tree, self.read_lock
        )
        if isinstance(verdict, Err):
            self.refuse_or_report(verdict.error, fullname, state)
            state.audited.add(plugin)  # even if the lock is at fault
        else:
            _keep(kept, {tree.plugin: tree for tree in verdict.value if tree.plugin not in kept})


def _keep(kept, passed):
    # type: (dict[str, VerifiedTree], dict[str, VerifiedTree]) -> None
    """Report the verified trees, then keep them. If an audit hook raises, none of them is kept."""
    for tree in passed.values():
        report.verified(tree.plugin, tree.digest)
    kept.update(passed)


def _trusted_lock(requested, path):
    # type: (Mapping[str, Any], str) -> PinnedLock | TrustedLock
    """Return the check of the signers of a lock, by the pinned settings.

    Raises:
        ImportError, ValueError: the check cannot be loaded, or a setting is missing.
    """

    def complete():
        # type: () -> TrustedLock
        return trusted_lock.TrustedLock(pinned.pin_of(requested), path)

    trust, statement = requested["trust"], requested.get("statement")
    has_settings = statement and trust.get("policy") and trust.get("sha256")
    # With `scope="plugin"` a lock is read for each unit, and must be the accepted one.
    if has_settings and trust.get("at") == "install" and requested.get("scope", "all") == "all":
        return pinned_lock.PinnedLock(path, str(statement), complete)
    return complete()


def _forget_folders(root):
    # type: (str) -> None
    """Remove the folders of a guarded folder from ``sys.path_importer_cache``.

    These are CPython's own finders, if the root was not known before, and the guard's, if it is no
    longer the root.
    """
    for path in list(sys.path_importer_cache):
        try:
            folder = absolute(path, os)
        except (OSError, TypeError, ValueError):
            continue
        if is_below(folder, root) or is_below(folder, settings.real_root(root)):
            sys.path_importer_cache.pop(path, None)


def _no_root(package):
    # type: (str | None) -> Refusal
    folder = settings.folder_of(package)
    detail = f"no folder {folder!r} on sys.path holds a {LOCK_NAME}, and {ROOT_VARIABLE} is not set"
    return kinds.lock_file_malformed(
        LOCK_NAME,
        detail,
        remedy=f"set {ROOT_VARIABLE}; {_how_to_lock(folder)}",
    )


def _how_to_lock(folder):
    # type: (str) -> str
    """Return the advice for a folder that has no lock, with a command that works from everywhere.

    The folder is the first one of that name on ``sys.path``, where an import would find it.
    """
    for entry in sys.path:
        if isinstance(entry, str) and os.path.isdir(os.path.join(entry, folder)):
            path = os.path.abspath(os.path.join(entry, folder))
            return f"or review the folder and run: codegenie plugins lock {text.quoted(path)}"
    return "or run codegenie plugins lock with the folder that the application loads plugins from"
