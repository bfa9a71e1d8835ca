"""Install the plugin guard, by importing this module.

The start imports only ``codegenie``, and reads no settings and no plugin file. The first guarded
import does that.
"""

from codegenie import _start
from codegenie._start import LOCK_NAME
from codegenie._start.audit_hook import add_audit_hook
from codegenie._start.finder import (
    GuardFinder,
    installed,
    is_too_late,
    move_to_front,
    set_up_lock,
)
from codegenie._start.folder_paths import spelled_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from typing import Any, Literal

    from codegenie._enforce.status import GuardStatus

_BY_FILE: "Any" = object()
"""Stands for search locations that follow from the file: a package, or none."""

_CHOICES = {
    "scope": ("all", "plugin"),
    "mode": ("enforce", "audit"),
    "on_refusal": ("raise", "exit"),
}


def install(
    *,
    root: "str | os.PathLike[str] | None" = None,
    lock: "str | os.PathLike[str] | None" = None,
    scope: "Literal['all', 'plugin'] | None" = None,
    mode: "Literal['enforce', 'audit'] | None" = None,
    on_refusal: "Literal['raise', 'exit'] | None" = None,
    strict: bool | None = None,
) -> None:
    """Put the guard first on ``sys.meta_path``, and refine its set-up.

    Omitted settings keep the value of an earlier call, then the environment variable, then the
    default, which is the first choice of each type. Relative paths are relative to the current
    working directory. Unless it is False, ``strict`` also checks code that bypasses
    ``sys.meta_path``, with an audit hook (``codegenie._start.audit_hook``).

    Raises:
        GuardTooLate: plugin code was loaded without the guard. Nothing is installed.
        GuardSettled: other settings are pinned, or the guard has already decided by other settings.
        ImportError: an audit hook of the application prevents the guard's own hook.
        ValueError: a setting has an invalid value.
    """
    requested: dict[str, str] = {}
    for setting, value in (("scope", scope), ("mode", mode), ("on_refusal", on_refusal)):
        if value is not None:
            if value not in _CHOICES[setting]:
                allowed = " or ".join(repr(choice) for choice in _CHOICES[setting])
                raise ValueError(f"{setting} must be {allowed}, not {value!r}")
            requested[setting] = value
    for setting, path in (("root", root), ("lock", lock)):
        if path is not None:
            import os

            if not os.fspath(path):
                raise ValueError(f"{setting} must be a path, not an empty one")
            requested[setting] = os.path.abspath(os.fsdecode(path))

    with set_up_lock:
        finder = installed()
        if finder is None:
            if is_too_late():
                from codegenie._enforce import strict as strict_rules

                strict_rules.refuse_unguarded()
            finder = GuardFinder()
            add_audit_hook(finder)
        _take_over(finder, _refuse_another_set_up(finder, requested, strict))
        if strict is not None:
            finder.strict = strict
        move_to_front(finder)


def pin(
    *,
    root: "str | os.PathLike[str]",
    lock: "str | os.PathLike[str] | None" = None,
    scope: "Literal['all', 'plugin']" = "all",
    mode: "Literal['enforce', 'audit']" = "enforce",
    on_refusal: "Literal['raise', 'exit']" = "raise",
    log: str | None = None,
) -> None:
    """Install the guard with settings that the process cannot change. For the activation file.

    From then on the environment is ignored, ``install()`` with other settings is an error, and
    ``load_plugins`` loads from no other folder. ``log`` is a path or ``fd:N``. If it is omitted,
    ``CODEGENIE_GUARD_LOG`` is still used.

    Raises:
        GuardSettled: as ``install``, and if another ``log`` is pinned.
        GuardTooLate: as ``install``, like its other errors.
    """
    import os

    if lock is None:
        lock = os.path.join(root, LOCK_NAME)
    if log and not log.startswith("fd:"):
        log = os.path.abspath(log)
    with set_up_lock:
        install(root=root, lock=lock, scope=scope, mode=mode, on_refusal=on_refusal, strict=True)
        finder = installed()
        assert finder is not None  # noqa: S101  # install() has added it
        if finder.pinned and finder.requested.get("log") != log:
            from codegenie.refusals.exceptions import GuardSettled

            raise GuardSettled("log", finder.requested.get("log"), log, True)
        if log:
            finder.requested["log"] = log
        finder.pinned = True


def require() -> None:
    """Assert, in one line of an application, that its plugins are guarded by the deployment.

    If another finder is in front of the guard, as that of setuptools, the guard is moved to the
    front again.

    Raises:
        GuardNotEnforcing: no guard was activated when the interpreter started (``-S`` disables all
            activation), its settings are not pinned, it only audits, or it does not support this
            interpreter and refuses every plugin.
    """
    finder = installed()
    if _start.UNSUPPORTED:
        problem = _start.UNSUPPORTED
    elif finder is None or not finder.pinned:
        problem = "no activation file has pinned the guard when this interpreter started"
    elif finder.requested["mode"] != "enforce":
        problem = "the guard reports and refuses nothing (mode 'audit')"
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

        spec = guard.spec_from_file_location("host_greeter", "plugins/greeter/__init__.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)

    Raises:
        PluginImportRefused: the unit of the file does not pass, or the file was added to it.
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

    finder = installed()
    path = "" if location is None else os.fspath(location)
    if finder is None or not path or not isinstance(path, str):
        return None
    path = spelled_path(path, os) or path
    if finder.folder_path(os.path.dirname(path)) is None:
        return None
    from codegenie._enforce import file_specs

    return file_specs.spec_of_file(finder.enforcer(), name, path)


def status() -> "GuardStatus":
    """Return what is active, with which settings, and what was verified and refused."""
    from codegenie._enforce.status import status as status_of_the_guard

    return status_of_the_guard()


def _take_over(finder: GuardFinder, requested: "Mapping[str, str]") -> None:
    """Change the settings. Imports that audit mode reported before are decided again."""
    if all(finder.requested.get(setting) == value for setting, value in requested.items()):
        return
    finder.requested.update(requested)
    enforcer = finder.existing_enforcer()
    if enforcer is not None and enforcer.settings is None:
        enforcer.forget_waivers()


def _refuse_another_set_up(
    finder: GuardFinder, requested: "Mapping[str, str]", strict: bool | None
) -> "Mapping[str, str]":
    """Return the requested settings, with folder and lock by the names that the guard uses.

    Raises:
        GuardSettled: other settings are pinned, or the guard has already decided by others.
    """
    enforcer = finder.existing_enforcer()
    settled = None if enforcer is None else enforcer.settings
    if not finder.pinned and settled is None:
        return requested  # nothing is decided yet; a refusal without a root decides nothing
    changes: dict[str, tuple[object, object]] = {
        setting: (finder.requested[setting] if finder.pinned else getattr(settled, setting), value)
        for setting, value in requested.items()
    }
    if strict is not None:
        changes["strict"] = (finder.strict, strict)
    for setting, (present, value) in changes.items():
        if present != value and not _is_same_path(setting, present, value):
            from codegenie.refusals.exceptions import GuardSettled

            raise GuardSettled(setting, present, value, finder.pinned)
    return {setting: str(changes[setting][0]) for setting in requested}


def _is_same_path(setting: str, present: object, value: object) -> bool:
    if setting not in ("root", "lock"):
        return False
    from codegenie._enforce.settings import same_path

    return same_path(setting, str(present), str(value))


install()
