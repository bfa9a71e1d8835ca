"""Install the plugin guard, by importing this module.

The start imports only ``codegenie``, and reads no settings and no plugin file. The first guarded
import does that.
"""

from codegenie import _start
from codegenie._start.audit_hook import add_audit_hook
from codegenie._start.finder import (
    GuardFinder,
    installed,
    is_too_late,
    move_to_front,
    set_up_lock,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from typing import Any, Literal

    from codegenie._enforce.status import GuardStatus

_BY_FILE: "Any" = object()
"""Stands for search locations that follow from the file: a package, or none."""

_AS_BEFORE: "Any" = object()
"""Stands for a package that is not given: None is the package of a folder that claims no name."""

_CHOICES = {
    "scope": ("all", "plugin"),
    "mode": ("enforce", "audit"),
    "on_refusal": ("raise", "exit"),
    "others": ("refuse", "leave"),
}


def install(
    *,
    root: "str | os.PathLike[str] | None" = None,
    lock: "str | os.PathLike[str] | None" = None,
    package: str | None = _AS_BEFORE,
    others: "Literal['refuse', 'leave'] | None" = None,
    scope: "Literal['all', 'plugin'] | None" = None,
    mode: "Literal['enforce', 'audit'] | None" = None,
    on_refusal: "Literal['raise', 'exit'] | None" = None,
    strict: bool | None = None,
    trust: "Mapping[str, Any] | None" = None,
) -> None:
    """Put the guard first on ``sys.meta_path``, and refine its set-up.

    The first four settings are those of the first guarded folder. ``add`` guards further folders,
    with the same scope and modes. Omitted settings keep the value of an earlier call, then the
    environment variable, then the default, which is the first choice of each type. Relative paths
    are relative to the current working directory.

    Args:
        root: the folder.
        lock: its lock; ``PLUGINS.lock`` in the folder by default.
        package: the name of the package whose modules the folder holds, ``"plugins"`` by default;
            ``""`` if each unit is a top-level module; None if the folder claims no name.
        others: with ``"leave"`` only what the lock names is guarded, in a folder that is shared.
        scope: verify all units before the first import, or each before its own.
        mode: refuse, or report what would be refused.
        on_refusal: raise, or end the process.
        strict: unless False, also check code that bypasses ``sys.meta_path``, with an audit hook
            (``codegenie._start.audit_hook``).
        trust: pins a policy by code: its path as ``policy``, the SHA-256 of the file as ``sha256``,
            and optionally the lowest accepted sequence number as ``floor``. With ``"at":
            "install"`` no signature of a key is verified in the process, and ``statement`` is the
            SHA-256 of the only accepted statement.

    Raises:
        GuardTooLate: plugin code was loaded without the guard. Nothing is installed; or, if another
            thread has loaded that code during this call, the guard stays, and refuses the others.
        GuardSettled: other settings are pinned, or the guard has already decided by other settings.
        ImportError: an audit hook of the application prevents the guard's own hook.
        ValueError: a setting has an invalid value.

    Example:
        guard.install(root="custom_components", package="custom_components")
    """
    requested = _chosen({"scope": scope, "mode": mode, "on_refusal": on_refusal})
    folder = _chosen({"others": others})
    for setting, path in (("root", root), ("lock", lock)):
        if path is not None:
            folder[setting] = _absolute(setting, path)
    if package is not _AS_BEFORE:
        folder["package"] = package
    if trust is not None:
        from codegenie.trust import pinned

        of_all, of_folder = pinned.checked(trust)
        requested.update(of_all)
        folder.update(of_folder)
    with set_up_lock:
        finder = installed()
        is_new = finder is None
        if finder is None:
            candidate = GuardFinder()
            _take_over(candidate, requested, _checked(candidate, folder, requested))
            _refuse_unguarded(candidate)
            finder = candidate
            add_audit_hook(finder)
        elif not finder.pinned and not _has_decided(finder):
            _take_over(finder, requested, _checked(finder, folder, requested))
        elif requested or folder or strict is not None:
            from codegenie._enforce import set_up

            set_up.refuse_another(finder, {**requested, **folder}, strict)
        if strict is not None:
            finder.strict = strict
        move_to_front(finder)
        if is_new:
            _refuse_unguarded(finder)


def add(
    root: "str | os.PathLike[str]",
    *,
    package: str | None,
    lock: "str | os.PathLike[str] | None" = None,
    others: "Literal['refuse', 'leave']" = "refuse",
    floor: int | None = None,
    statement: str | None = None,
) -> None:
    """Guard one more folder, before the first import of a plugin.

    Each folder has its own lock and its own verdict: a refusal in one says nothing about another.
    The same call again does nothing. ``package=""`` and ``others="leave"`` read the lock now,
    because only the lock knows the names to guard. The policy of ``install(trust=...)`` counts for
    this folder too.

    Args:
        root: the folder. Guarded folders must not nest.
        package: as in ``install``.
        lock: its lock; ``PLUGINS.lock`` in the folder by default. Without it, the first folder
            keeps the lock of the environment.
        others: as in ``install``.
        floor: the lowest accepted sequence number of this folder's statement.
        statement: the SHA-256 of this folder's only accepted statement, if the policy was pinned
            with ``"at": "install"``; else of the only one that may have the number ``floor``.

    Raises:
        ValueError: the folder is not there, overlaps another one, or claims a name of another one;
            or ``floor`` and ``statement`` are not valid, or no policy is pinned yet.
        GuardTooLate: modules of names that the folder claims are loaded already. If another thread
            has loaded them during this call, the folder stays guarded.
        GuardSettled: the folders are pinned, or the guard has already decided.

    Example:
        guard.add("integrations", package="host.integrations", lock="locks/integrations.lock")
    """
    from codegenie._enforce import set_up
    from codegenie.guarded_folder import GuardedFolder

    folder = GuardedFolder.at(
        _absolute("root", root),
        None if lock is None else _absolute("lock", lock),
        package,
        others,
    )
    install()
    with set_up_lock:
        finder = installed()
        assert finder is not None  # noqa: S101  # install() has added it
        seen = _seen(finder, floor, statement)
        set_up.add(finder, folder, seen, has_lock=lock is not None)


def pin(
    *,
    folders: "Sequence[Mapping[str, Any]] | None" = None,
    root: "str | os.PathLike[str] | None" = None,
    lock: "str | os.PathLike[str] | None" = None,
    scope: "Literal['all', 'plugin']" = "all",
    mode: "Literal['enforce', 'audit']" = "enforce",
    on_refusal: "Literal['raise', 'exit']" = "raise",
    log: str | None = None,
    trust: "Mapping[str, str] | None" = None,
) -> None:
    """Install the guard with settings that the process cannot change. For the activation file.

    From then on the environment is ignored, ``install()`` with other settings is an error, and
    ``load_plugins`` loads from no other folder.

    Args:
        folders: the guarded folders, each with ``root`` and, where they differ from the defaults of
            ``install``, ``lock``, ``package`` and ``others``; and with what else is pinned.
        root: the only guarded folder, in place of ``folders``.
        lock: its lock, if it is not ``PLUGINS.lock`` in the folder.
        scope: for all folders, as in ``install``.
        mode: for all folders, as in ``install``.
        on_refusal: for all folders, as in ``install``.
        log: a path or ``fd:N``. If it is omitted, ``CODEGENIE_GUARD_LOG`` is still used.
        trust: the policy that says which keys must vouch for the locks.

    Raises:
        GuardSettled: as ``install``, and if other folders or another ``log`` are pinned.
        GuardTooLate: as ``install``, like its other errors.
        TypeError: neither ``folders`` nor ``root`` is given, or both.

    Example:
        guard.pin(root="/srv/app/plugins", on_refusal="exit", log="/var/log/plugins.log")
    """
    import os

    from codegenie._enforce import set_up

    if (folders is None) == (root is None):
        raise TypeError("pin() takes either folders or root")
    if folders is None:
        only = {"root": root, "lock": lock}
        folders = [{name: os.fspath(path) for name, path in only.items() if path is not None}]
    settings: dict[str, Any] = _chosen({"scope": scope, "mode": mode, "on_refusal": on_refusal})
    if log and not log.startswith("fd:"):
        log = os.path.abspath(log)
    settings["log"] = log or None
    if trust is not None:
        settings["trust"] = dict(trust)
    with set_up_lock:
        set_up.pin(folders, settings)


def require(*, trust: bool = False) -> None:
    """Assert, in one line of an application, that its plugins are guarded by the deployment.

    Threat: a deployment that forgot ``codegenie guard install``, or undid it, runs every plugin
    unguarded, and prints nothing. Rule: the application refuses to continue (rule 7.5). If another
    finder is in front of the guard, as that of setuptools, the guard is moved to the front again.

    Args:
        trust: also require a pinned policy that says who must have signed the lock.

    Raises:
        GuardNotEnforcing: no guard was activated when the interpreter started (``-S`` disables all
            activation), its settings are not pinned, it only audits, no policy is pinned, or it
            does not support this interpreter and refuses every plugin.

    Example:
        import codegenie.plugins.guard as guard

        guard.require()
        from plugins.greeter import api
    """
    finder = installed()
    if _start.UNSUPPORTED:
        problem = _start.UNSUPPORTED
    elif finder is None or not finder.pinned:
        problem = "no activation file has pinned the guard when this interpreter started"
    elif finder.requested["mode"] != "enforce":
        problem = "the guard reports and refuses nothing (mode 'audit')"
    elif trust and not finder.requested.get("trust"):
        problem = "no trust policy is pinned, so any writer of the lock decides what may run"
    else:
        move_to_front(finder)
        return
    from codegenie.refusals.exceptions import GuardNotEnforcing

    raise GuardNotEnforcing(problem)


def spec_from_file_location(
    name: str,
    location: "str | os.PathLike[str] | None" = None,
    *,
    loader: "Loader | None" = None,
    submodule_search_locations: "list[str] | None" = _BY_FILE,
) -> "ModuleSpec | None":
    """Return the spec of a module at a path, with a verified loader if the guard decides the path.

    Call it instead of ``importlib.util.spec_from_file_location``, which takes the same arguments.
    The verified loader executes bytecode of the pack, and loads machine code from a sealed copy on
    every system. For a path outside every guarded folder, for a path through a link, and with a
    ``loader`` of the caller, the result is that of ``importlib.util``.

    Args:
        name: the name of the module in ``sys.modules``; any name, whatever the folder claims.
        location: the file.
        loader: a loader of the caller, which the guard does not replace.
        submodule_search_locations: where sub-modules of a package are; by default the folder of
            an ``__init__`` file.

    Returns:
        The spec; or None, as from ``importlib.util``, if the file has no suffix of a module.

    Raises:
        PluginImportRefused: the unit of the file does not pass, or the file was added to it.

    Example:
        spec = guard.spec_from_file_location("host_greeter", "plugins/greeter/__init__.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    """
    from importlib.util import spec_from_file_location as plain

    spec = None if loader is not None else _verified_spec(name, location)
    if spec is None:
        if submodule_search_locations is _BY_FILE:
            return plain(name, location, loader=loader)
        return plain(
            name,
            location,
            loader=loader,
            submodule_search_locations=submodule_search_locations,
        )
    if submodule_search_locations is not _BY_FILE:
        spec.submodule_search_locations = submodule_search_locations
    return spec


def _verified_spec(name: str, location: "str | os.PathLike[str] | None") -> "ModuleSpec | None":
    """Return the spec of a file with a verified loader; None if the guard does not decide it."""
    import os

    from codegenie._start.folder_paths import spelled_path

    finder = installed()
    path = "" if location is None else os.fspath(location)
    if finder is None or not path or not isinstance(path, str):
        return None
    path = spelled_path(path, os) or path
    found = finder.folder_at(os.path.dirname(path))
    claim = finder.claim_at(path) if found is None else found[0]  # a unit in a shared folder
    if claim is None:
        return None
    from codegenie._enforce import file_specs

    return file_specs.spec_of_file(claim.enforcer(), name, path)


def status() -> "GuardStatus":
    """Return what is active, with which settings, and what was verified and refused.

    Changes nothing and reads no plugin file, so a health check can call it at any time, also
    while another thread verifies.

    Returns:
        A ``GuardStatus``. ``folders`` has one entry for each guarded folder.

    Example:
        for folder in guard.status().folders:
            print(folder.root, len(folder.verified), "verified", len(folder.refused), "refused")
    """
    from codegenie._enforce.status import status as status_of_the_guard

    return status_of_the_guard()


def _chosen(values: "dict[str, str | None]") -> "dict[str, Any]":
    """Return the settings that are given, each one of its choices."""
    for setting, value in values.items():
        if value is not None and value not in _CHOICES[setting]:
            allowed = " or ".join(repr(choice) for choice in _CHOICES[setting])
            raise ValueError(f"{setting} must be {allowed}, not {value!r}")
    return {setting: value for setting, value in values.items() if value is not None}


def _seen(finder: GuardFinder, floor: int | None, statement: str | None) -> "dict[str, Any]":
    """Return what a folder's statement was when the application was deployed.

    Raises:
        ValueError: a value is not valid, or no policy is pinned that would check it.
    """
    trust = finder.requested.get("trust")
    if floor is None and statement is None:
        return {}
    if not trust:
        raise ValueError("floor and statement need a policy: call guard.install(trust=...) first")
    from codegenie.trust import pinned

    return pinned.checked({**trust, "floor": floor, "statement": statement})[1]


def _absolute(setting: str, path: "str | os.PathLike[str]") -> str:
    import os

    if not os.fspath(path):
        raise ValueError(f"{setting} must be a path, not an empty one")
    return os.path.abspath(os.fsdecode(path))


def _checked(
    finder: GuardFinder, folder: "dict[str, Any]", requested: "Mapping[str, Any]"
) -> "dict[str, Any]":
    """Return the settings of the first folder, with the names that only its lock knows.

    Raises:
        ValueError: the folder cannot claim that package, or not beside the other folders.
    """
    has_names = "names" in finder.claims[0].requested
    if not folder.keys() & {"package", "others"} and len(finder.claims) == 1 and not has_names:
        return folder  # the usual case: what could be wrong is refused at the first import
    from codegenie._enforce import set_up

    return set_up.refined(finder, folder, requested)


def _take_over(
    finder: GuardFinder, requested: "Mapping[str, Any]", folder: "dict[str, Any]"
) -> None:
    """Change the settings. Imports that audit mode reported before are decided again."""
    claim = finder.claims[0]
    if {**finder.requested, **claim.requested, **requested, **folder} == {
        **finder.requested,
        **claim.requested,
    }:
        return
    finder.requested.update(requested)
    claim.update(folder)
    finder.refresh()
    enforcer = claim.existing_enforcer()
    if enforcer is not None:
        enforcer.guard_audited()


def _refuse_unguarded(finder: GuardFinder) -> None:
    if not is_too_late(finder):
        return
    from codegenie._enforce import set_up

    for claim in finder.claims:
        set_up.refuse_loaded(claim)


def _has_decided(finder: GuardFinder) -> bool:
    """Return True if the guard has decided about any folder. A refusal without a root decides
    nothing."""
    enforcers = [claim.existing_enforcer() for claim in finder.claims]
    return any(enforcer is not None and enforcer.settings is not None for enforcer in enforcers)


install()
