"""Load plugins through four gates: discover, verify all, import all, register.

No plugin executes before all plugins have passed. A load succeeds for all plugins or changes
nothing: on a rejection the registry, ``sys.modules`` and the guard are as before.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel, ConfigDict

from codegenie._enforce.enforcer import Enforcer
from codegenie._enforce.settings import same_path
from codegenie._start import DEFAULT_PACKAGE
from codegenie._start.finder import Claim, GuardFinder, installed
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.integrity import verification
from codegenie.integrity.verification import MANIFEST_NAME
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.integrity.walk import ROOT_MODULE, Tree
from codegenie.plugins import registry as registrations
from codegenie.plugins._transaction import Snapshot, forget_what_changed
from codegenie.plugins._walks import asking_about, forget_walks, walk_as_the_guard
from codegenie.plugins.errors import (
    MissingPluginDirectory,
    PluginRejected,
    SymlinkEscape,
    UnhashableTree,
    model_of,
)
from codegenie.plugins.manifest import PluginManifest, read_manifest
from codegenie.plugins.registry import PluginAlreadyRegistered, PluginRegistry, default_registry
from codegenie.plugins.verifiers import (
    PluginVerifier,
    TreeVerifier,
    VerificationError,
    WalkedTree,
)
from codegenie.refusals import kinds
from codegenie.refusals.exceptions import PluginImportRefused
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.text import printable
from codegenie.types.identifiers import BlobDigest, PluginId
from codegenie.types.parsers import parse_blob_digest

if TYPE_CHECKING:
    from codegenie.integrity.verification import LockReader, TreeCheck

Verifier: TypeAlias = PluginVerifier | TreeVerifier

__all__ = ["LoadReport", "compute_plugin_tree_digest", "load_plugins"]

_one_load_at_a_time = threading.RLock()
"""A load that fails undoes its changes. Two at once would undo each other's changes."""


def _after_fork() -> None:
    """Forget the load of another thread in the child, but not this thread's own."""
    if not _one_load_at_a_time._is_owned():  # type: ignore[attr-defined]
        _one_load_at_a_time._at_fork_reinit()  # type: ignore[attr-defined]
        registrations.forget_loads()
        forget_walks()


os.register_at_fork(after_in_child=_after_fork)


GUARD_PLUGIN = "<guard>"
"""Reported as the plugin if the guard's own state is the error. Never used in a comparison, because
a plugin may have this name."""


class LoadReport(BaseModel):
    """The result of a load: plugins in load order, and the number of manifests found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    loaded: tuple[PluginId, ...]
    total_walked: int


def compute_plugin_tree_digest(
    plugin_dir: Path,
) -> Result[BlobDigest, SymlinkEscape | UnhashableTree]:
    """Return the tree digest of one plugin's folder.

    While a verifier of ``load_plugins`` checks the folder, this is the digest of the guard's walk.

    Args:
        plugin_dir: the folder, absolute or relative to the working folder.

    Returns:
        The digest (rule 3.1) that ``PLUGINS.lock`` pins; or ``SymlinkEscape`` or
        ``UnhashableTree`` with the entry that has no digest.

    Example:
        digest = compute_plugin_tree_digest(Path("plugins/greeter")).unwrap()
        assert digest == LockFile.from_path("plugins/PLUGINS.lock").unwrap().root["greeter"]
    """
    folder = Path(os.path.abspath(plugin_dir))
    walked = walk_as_the_guard(folder)
    if isinstance(walked, Ok):
        return Ok(parse_blob_digest(walked.value.digest).unwrap())
    match model_of(walked.error):
        case SymlinkEscape() | UnhashableTree() as rejection:
            return Err(rejection)
        case MissingPluginDirectory():
            detail = "does not exist"
        case _:  # no walk reports another kind today; its own words say what is wrong
            detail = walked.error.reason
    return Err(UnhashableTree(plugin=PluginId(folder.name), offending_path=folder, detail=detail))


def load_plugins(
    plugin_root: Path,
    lock_path: Path,
    *,
    registry: PluginRegistry | None = None,
    verifier: Verifier | None = None,
) -> Result[LoadReport, PluginRejected]:
    """Discover, verify all, import all, register. Stops at the first rejection.

    Installs the guard if it is not installed, and points it at ``plugin_root``. Modules that were
    imported from an earlier root are removed from ``sys.modules``. Do not load from a new root
    while another thread still imports from an earlier one, because those imports fail.

    With ``on_refusal="exit"`` a rejection is returned as well. Then only a file that changes after
    its plugin has passed ends the process, as for any import.

    Args:
        plugin_root: the folder of the plugins. Each has an ``api.py`` and a ``plugin.yaml``.
        lock_path: its lock.
        registry: receives the registrations; ``default_registry`` if omitted.
        verifier: replaces the comparison of the tree digest. Even then, only bytes of the guard's
            own walk execute.

    Returns:
        The ids in the order in which they were loaded; or the first rejection (rule 5.1), and
        then nothing is imported or registered (rule 5.2). ``unwrap()`` raises a rejection as a
        ``PluginImportRefused``, which names the files and the commands that help.

    Raises:
        KeyboardInterrupt: like any exception that is no ``Exception``, it passes through. The load
            first undoes its changes.

    Example:
        registry = PluginRegistry()
        load_plugins(Path("plugins"), Path("plugins/PLUGINS.lock"), registry=registry).unwrap()
        registry.get("greeter").greet("world")
    """
    loaded = run_gates(
        os.path.abspath(plugin_root),
        os.path.abspath(lock_path),
        registry=default_registry if registry is None else registry,
        verifier=verifier,
    )
    if isinstance(loaded, Ok):
        return loaded
    refused = loaded.exception or PluginImportRefused(loaded.error, _package_of(plugin_root))
    return Err(model_of(loaded.error), refused)


def run_gates(
    root: str, lock: str, *, registry: PluginRegistry, verifier: Verifier | None = None
) -> Result[LoadReport, Refusal]:
    """Do the work of ``load_plugins`` with absolute paths, and return a plain refusal.

    If a plugin has raised, the error's ``exception`` has that exception as its cause.
    """
    # A plugin that loads others during its own import holds its module lock. To wait here for a
    # load that waits for that module would be a deadlock.
    if not _one_load_at_a_time.acquire(blocking=not _called_by_an_importing_plugin()):
        detail = "another load is running, and a plugin that is being imported must not wait for it"
        return Err(_guard_unusable(root, detail))
    try:
        return _run_gates(root, lock, registry, verifier)
    finally:
        _one_load_at_a_time.release()


def _called_by_an_importing_plugin() -> bool:
    """Return True if a plugin that is being imported has called ``load_plugins``.

    It holds the lock of its module, for which a running load may wait.
    """
    guard = installed()
    frame: FrameType | None = sys._getframe(1) if guard is not None else None
    while frame is not None and guard is not None:
        name = frame.f_globals.get("__name__", "")
        claim = guard.claim_of(name) if frame.f_code.co_name == "<module>" else None
        if claim is not None and name != claim.package:
            return True
        frame = frame.f_back
    return False


def _run_gates(
    root: str, lock: str, registry: PluginRegistry, verifier: Verifier | None
) -> Result[LoadReport, Refusal]:
    """Take the four gates in order. A refusal in one leaves the interpreter as it was.

    All trees are verified before the first import, because a plugin that ran could change the
    files of the next one.
    """
    enforcer = _enforcer(root, lock)
    if isinstance(enforcer, Err):
        return enforcer
    root, lock = _known_names(enforcer.value, root, lock)

    # Gate 1: discover.
    discovered = sorted(Path(root).glob(f"*/{MANIFEST_NAME}"))

    # Gate 2: verify all.
    settings = enforcer.value.settings_for(root, lock)
    check_tree = _check_of(verifier)
    verdicts = _verdicts(enforcer.value, settings.folder, check_tree)
    if isinstance(verdicts, Err):
        return verdicts
    verified, audited = verdicts.value

    # Gate 3: import all, through the guard.
    before = Snapshot(enforcer.value)
    # In audit mode, plugins that did not pass are imported as well, as without a guard.
    passing = {unit for unit, tree in verified.items() if not _is_root_module(unit, tree)}
    plugins = sorted({*passing, *(path.parent.name for path in discovered if audited)})
    try:
        forget_what_changed(enforcer.value, root, verified)
        outdated = registrations.forget_unloaded()
        enforcer.value.adopt(settings, verified, check_tree)
        state = enforcer.value.state
        for refused in audited:
            name = enforcer.value.name_of(refused.plugin)
            enforcer.value.refuse_or_report(refused, name, state)
        modules = [enforcer.value.name_of(plugin) for plugin in plugins]
        with registrations.loading(modules):
            for plugin in plugins:
                failed = _import_plugin(enforcer.value, root, plugin)
                if failed is not None:
                    before.restore()
                    return failed

        # Gate 4: register all or none.
        made = [item for module in modules for item in registrations.made_by(module)]
        registry.replace(outdated, made)
    except PluginAlreadyRegistered as error:
        before.restore()
        return Err(kinds.PLUGIN_IMPORT_ERROR.refusal(root, error.name, detail=str(error)))
    except BaseException:
        before.restore()
        raise
    return Ok(LoadReport(loaded=tuple(PluginId(p) for p in plugins), total_walked=len(discovered)))


def _verdicts(
    enforcer: Enforcer, folder: GuardedFolder, check_tree: TreeCheck
) -> Result[tuple[dict[str, VerifiedTree], list[Refusal]], Refusal]:
    """Return the units that passed and, in audit mode, the refusals of the others."""
    verified: dict[str, VerifiedTree] = {}
    audited: list[Refusal] = []
    for verdict in verify_plugins(folder, check_tree, enforcer.read_lock):
        if isinstance(verdict, Ok):
            passed, _ = verdict.value
            verified[passed.plugin] = passed
        elif enforcer.mode == "audit":
            audited.append(verdict.error)
        else:
            enforcer.report(verdict.error, __name__)
            return verdict
    return Ok((verified, audited))


def verify_plugins(
    folder: GuardedFolder, check_tree: TreeCheck, read_lock: LockReader = lock_format.read
) -> Iterator[Result[tuple[VerifiedTree, PluginManifest | None], Refusal]]:
    """Yield one verdict per plugin: check its tree against the lock, then its manifest.

    The ``__init__.py`` of the folder itself must match the lock, and is no plugin.
    """
    for verdict in verification.verify_root(folder, check_tree, read_lock):
        if isinstance(verdict, Err):
            yield verdict
            continue
        if _is_root_module(verdict.value.plugin, verdict.value):
            yield Ok((verdict.value, None))
            continue
        manifest = read_manifest(verdict.value)
        if isinstance(manifest, Err):
            yield Err(manifest.error.with_context(folder.root, folder.lock))
        else:
            yield Ok((verdict.value, manifest.value))


def require_manifest(root: str, plugin: str, expected: str, found: Tree) -> Refusal | None:
    """Return a refusal unless a manifest exists and the digest is the locked one."""
    if MANIFEST_NAME not in found.files and not _is_root_module(plugin, found):
        return kinds.MISSING_MANIFEST.refusal(root, plugin)
    return verification.compare_with_lock(root, plugin, expected, found)


def _is_root_module(unit: str, found: Tree | VerifiedTree) -> bool:
    return found.is_file and unit == ROOT_MODULE


def _check_of(verifier: Verifier | None) -> TreeCheck:
    """Return the check of one tree: the lock alone, or the application's verifier.

    A verifier is code of the application and may fail in any way. Rule: only ``Ok`` accepts.
    An exception, or any other value, refuses the plugin.
    """
    if verifier is None:
        return require_manifest

    def ask(root: str, plugin: str, expected: str, found: Tree) -> Refusal | None:
        if MANIFEST_NAME not in found.files and not _is_root_module(plugin, found):
            return kinds.MISSING_MANIFEST.refusal(root, plugin)
        try:
            answer = _answer(verifier, root, plugin, expected, found)
        except Exception as error:  # a verifier that fails has not accepted anything
            detail = f"the verifier failed: {type(error).__name__}: {error}"
            return kinds.PLUGIN_IMPORT_ERROR.refusal(root, plugin, detail=detail)
        if isinstance(answer, Ok):
            return None
        if not isinstance(answer, Err) or not isinstance(answer.error, VerificationError):
            detail = f"the verifier answered {answer!r}, neither Ok nor Err(VerificationError)"
            return kinds.PLUGIN_IMPORT_ERROR.refusal(root, plugin, detail=detail)
        claimed = parse_blob_digest(answer.error.actual)
        actual = claimed.value if isinstance(claimed, Ok) else found.digest
        refused = kinds.INTEGRITY_MISMATCH.refusal(root, plugin, expected=expected, actual=actual)
        why = printable(answer.error.detail or "it gave no reason")
        refused.reason = f"is not accepted by the verifier: {why}"
        return refused

    return ask


def _answer(verifier: Verifier, root: str, plugin: str, expected: str, found: Tree) -> object:
    """Call a verifier with a tree that the guard has walked, and return its answer."""
    folder = Path(root, plugin)
    digest = parse_blob_digest(expected).unwrap()
    with asking_about(folder, found):
        if _takes_the_walk(verifier):
            walked = WalkedTree(root, plugin, found)
            return verifier.verify_tree(folder, digest, walked)  # type: ignore[union-attr]
        return verifier.verify(folder, digest)  # type: ignore[union-attr]


def _takes_the_walk(verifier: object) -> bool:
    """Return True if ``verify_tree`` of a verifier must be called, and not ``verify``.

    A class that overrides only ``verify`` has rules that an inherited ``verify_tree`` does not
    have.
    """
    for names in (getattr(verifier, "__dict__", {}), *map(vars, type(verifier).__mro__)):
        if "verify_tree" in names:
            return True
        if "verify" in names:
            return False
    return not hasattr(verifier, "verify")


def _enforcer(root: str, lock: str) -> Result[Enforcer, Refusal]:
    """Return the enforcer, and install the guard first if needed.

    Returns:
        A refusal if the guard cannot be installed, or is pinned to another folder or lock.
    """
    try:
        from codegenie.plugins import guard

        guard.install()
        finder = installed()
        assert finder is not None  # noqa: S101  # install() has added it
        claim = _claim_of_root(finder, root)
        if finder.pinned and not (
            same_path("root", claim.requested["root"], root)
            and same_path("lock", claim.requested["lock"], lock)
        ):
            pinned = claim.requested
            detail = (
                f"the guard is pinned to the folder {pinned['root']} and the lock {pinned['lock']}"
            )
            return Err(_guard_unusable(root, detail))
        if claim.package is None:
            return Err(_guard_unusable(root, "the folder claims no package to import plugins from"))
        return Ok(claim.enforcer())
    except ImportError as error:
        return Err(_guard_unusable("", str(error)))


def _claim_of_root(finder: GuardFinder, root: str) -> Claim:
    """Return the claim of the guarded folder with this root, or else of the first folder."""
    for claim in finder.claims:
        known = claim.root()
        if known is not None and same_path("root", known, root):
            return claim
    return finder.claims[0]


def _package_of(root: Path) -> str:
    """Return the package that is reported as refused, where a load from a folder is."""
    finder = installed()
    claim = None if finder is None else _claim_of_root(finder, os.path.abspath(root))
    return DEFAULT_PACKAGE if claim is None else claim.package or DEFAULT_PACKAGE


def _known_names(enforcer: Enforcer, root: str, lock: str) -> tuple[str, str]:
    """Return the folder and the lock by the names that the guard uses for them.

    A folder that is reached through a link has two names but is one folder, so its modules stay.
    """
    known = enforcer.settings
    requested = enforcer.requested
    known_root = known.root if known is not None else requested.get("root", root)
    known_lock = known.lock if known is not None else requested.get("lock", lock)
    if same_path("root", known_root, root):
        root = known_root
    if same_path("lock", known_lock, lock):
        lock = known_lock
    return root, lock


def _guard_unusable(root: str, detail: str) -> Refusal:
    """Return the refusal of a load because of the guard's own state, not of a plugin."""
    refused = kinds.PLUGIN_IMPORT_ERROR.refusal(root, GUARD_PLUGIN, detail=detail)
    refused.subject = "the guard"
    refused.location = root
    return refused


def _import_plugin(enforcer: Enforcer, root: str, plugin: str) -> Err[Refusal] | None:
    """Import ``<plugin>.api`` and return the refusal if it fails.

    Catches ``SystemExit``, because a plugin that exits has failed to load. ``KeyboardInterrupt``
    passes, because it comes from the operator.
    """
    name = enforcer.name_of(plugin)
    module = f"{name}.api"
    with registrations.importing(name):
        try:
            importlib.import_module(module)
        except PluginImportRefused as error:
            return Err(error.refusal)
        except (Exception, SystemExit) as error:
            # A plugin that exits has failed to load. KeyboardInterrupt comes from the user.
            refused = kinds.PLUGIN_IMPORT_ERROR.refusal(root, plugin, detail=_described(error))
            exception = PluginImportRefused(refused, module)
            exception.__cause__ = error.with_traceback(_from_the_plugin(error.__traceback__, root))
            return Err(refused, exception)
    return None


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # code of the plugin creates the text
        return type(error).__name__


def _from_the_plugin(trace: TracebackType | None, root: str) -> TracebackType | None:
    """Return a traceback without the frames of this module and importlib above the plugin.

    If no frame is in the plugin folder, a loader has raised the error, so all frames stay.
    """
    below = trace
    while below is not None:
        if below.tb_frame.f_code.co_filename.startswith(root + os.sep):
            return below
        below = below.tb_next
    return trace
