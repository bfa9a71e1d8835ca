"""Add and pin guarded folders, before the first decision. ``codegenie.plugins.guard`` calls it.

Everything is checked before anything changes: one clear error, and the guard stays as it was. An
installation loads no more than it needs, so the lock and the rules are loaded only when they are.
"""

import sys

from codegenie._enforce.settings import lock_of, same_path
from codegenie._start.audit_hook import add_audit_hook
from codegenie._start.finder import (
    Claim,
    GuardFinder,
    forget_folders,
    installed,
    move_to_front,
)
from codegenie.folder_problems import names_problem, package_problem, problem_of
from codegenie.guarded_folder import OTHERS, GuardedFolder
from codegenie.refusals.exceptions import GuardSettled
from codegenie.result import Err

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from codegenie.refusals.record import Refusal
    from codegenie.result import Result

_OF_A_FOLDER = frozenset(("root", "lock", "package", "others", "names", "floor", "statement"))
_COMPARED = ("lock", "package", "others")
_MEMORY = ("floor", "statement")
"""Of a folder's statement, as the installation saw it."""


def add(
    finder: GuardFinder, folder: GuardedFolder, seen: "Mapping[str, Any]", *, has_lock: bool
) -> None:
    """Guard one more folder. Does nothing if the same folder is guarded in the same way.

    Args:
        finder: the guard.
        folder: the folder.
        seen: the floor and the digest of its statement, as far as they are given.
        has_lock: False if no lock was given. Then ``folder.lock`` is the default, and a first
            folder without a given lock keeps the lock of the environment.

    Raises:
        ValueError: the folder cannot be guarded beside the others, or its names are not known.
        GuardSettled: the guard is pinned, or has already decided.
        GuardTooLate: modules of names that the folder claims are loaded already.
    """
    for claim in finder.claims:
        root = claim.root()
        if root is not None and same_path("root", root, folder.root):
            compared = _COMPARED if has_lock or "lock" in claim.requested else _COMPARED[1:]
            _compare(finder, claim, folder, compared)
            _compare_memory(finder, claim, seen)
            return
    if finder.pinned or has_decided(finder):
        present = [claim.root() for claim in finder.claims]
        raise GuardSettled("folders", present, folder.root, finder.pinned)
    settings = {**complete(folder, {**finder.requested, **seen}), **seen}
    claims = [*finder.claims, Claim(finder, settings)]
    _refuse_conflicts(claims)
    refuse_loaded(claims[-1])
    finder.claims = tuple(claims)
    finder.refresh()
    forget_folders(finder)
    refuse_loaded(claims[-1])  # another thread may have imported in between


def pin(folders: "Iterable[Mapping[str, Any]]", settings: "dict[str, Any]") -> None:
    """Guard exactly these folders, with settings that the process cannot change.

    Raises:
        As ``add``. The folders are compared with those of a guard that is pinned or has decided.
    """
    pinned = [_checked(folder, settings) for folder in folders]
    finder = installed()
    if finder is not None and (finder.pinned or has_decided(finder)):
        _refuse_others(finder, pinned, settings)
        for claim, folder in zip(finder.claims, pinned, strict=True):
            claim.update({**folder, "root": claim.root()})
        finder.requested.update(settings)
        finder.pinned = True
        finder.refresh()
        return
    candidate = GuardFinder({**settings, "folders": pinned})
    _refuse_conflicts(candidate.claims)
    for claim in finder.claims if finder is not None else ():
        enforcer = claim.existing_enforcer()
        if enforcer is not None:
            enforcer.guard_audited()  # what audit mode let pass is decided again
    for claim in candidate.claims:
        refuse_loaded(claim)
    if finder is None:
        add_audit_hook(candidate)
        move_to_front(candidate)
        return
    finder.strict = True
    finder.requested.update(settings)
    finder.claims = tuple(Claim(finder, folder) for folder in pinned)
    finder.pinned = True
    finder.refresh()
    move_to_front(finder)
    forget_folders(finder)


def refined(
    finder: GuardFinder, folder: "dict[str, Any]", requested: "Mapping[str, Any]"
) -> "dict[str, Any]":
    """Return settings of the first folder that can be taken over, with the names that it claims.

    Args:
        finder: the guard.
        folder: new settings of its first folder.
        requested: new settings of all folders.

    Raises:
        ValueError: the folder cannot claim that package, or not beside the other folders.
        GuardTooLate: modules of names that it would claim are loaded already.
    """
    settings = {**finder.claims[0].requested, **folder}
    problem = package_problem(settings.get("package", ""))
    if problem:
        raise ValueError(problem)
    if not settings.get("package", "plugins") or settings.get("others") == "leave":
        if "root" not in settings:
            raise ValueError("root must be given for a folder without a package of its own")
        settings.update(lock=lock_of(settings["root"], settings))
    of_all = {**finder.requested, **requested}
    if settings.get("package") == "" or settings.get("others") == "leave":
        package = settings.get("package")
        settings["names"] = _claimed_names(package, settings["lock"], {**of_all, **settings})
    if "trust" in requested:
        for other in finder.claims[1:]:
            _check_names(other, of_all)
    claim = Claim(finder, settings)
    if len(finder.claims) > 1:
        _refuse_conflicts([claim, *finder.claims[1:]])
    if claim.heads != finder.claims[0].heads:
        refuse_loaded(claim)
    return settings


def refuse_another(
    finder: GuardFinder, requested: "Mapping[str, Any]", strict: bool | None
) -> None:
    """Refuse settings of ``guard.install`` that differ from those of a guard that cannot change.

    Args:
        finder: the guard, which is pinned or has decided.
        requested: new settings of all folders, and of the first folder.
        strict: the new value of that setting, or None.

    Raises:
        GuardSettled: with the first setting that differs.
    """
    for setting, value in requested.items():
        present = _present_in_first(finder, setting)
        is_path = setting in ("root", "lock") and present is not None
        if present != value and not (is_path and same_path(setting, str(present), str(value))):
            raise GuardSettled(setting, present, value, finder.pinned)
    if strict is not None and strict != finder.strict:
        raise GuardSettled("strict", finder.strict, strict, finder.pinned)


def refuse_loaded(claim: Claim) -> None:
    """Refuse to guard a folder if modules of the names that it claims are loaded already.

    Raises:
        GuardTooLate: with the names of the modules.
    """
    if any(isinstance(name, str) and claim.claims(name) for name in list(sys.modules)):
        from codegenie._enforce import strict

        strict.refuse_unguarded(claim)


def has_decided(finder: GuardFinder) -> bool:
    """Return True if the guard has decided about any folder. A refusal without a root decides
    nothing."""
    enforcers = [claim.existing_enforcer() for claim in finder.claims]
    return any(enforcer is not None and enforcer.settings is not None for enforcer in enforcers)


def complete(folder: GuardedFolder, settings: "Mapping[str, Any]") -> "dict[str, Any]":
    """Return the settings of a folder, with the names that only its lock knows.

    Args:
        folder: the folder.
        settings: those that tell whether a policy is pinned for its lock.

    Raises:
        ValueError: the names are needed, and the lock cannot be read or is not trusted.
    """
    requested: dict[str, Any] = {
        "root": folder.root,
        "lock": folder.lock,
        "package": folder.package,
        "others": folder.others,
    }
    if folder.package == "" or folder.others == "leave":
        requested["names"] = _claimed_names(folder.package, folder.lock, settings)
    return requested


def _claimed_names(package: str | None, lock_path: str, settings: "Mapping[str, Any]") -> list[str]:
    """Return the names in a lock, as ``names_in``; raise ValueError if they cannot be guarded."""
    names = names_in(lock_path, settings)
    problem = names_problem(package, names)
    if problem:
        raise ValueError(problem)
    return names


def names_in(lock_path: str, settings: "Mapping[str, Any]") -> list[str]:
    """Return the first part of the name of each unit of a lock: the top-level names.

    Threat: where a policy is pinned, an attacker removes a unit from the lock, and its name is no
    longer guarded. Rule: take names from a lock only after its signers vouch for it.

    Raises:
        ValueError: the lock cannot be read or is not trusted.
    """
    from codegenie.integrity import lock

    locked: Result[dict[str, str], Refusal]
    if settings.get("trust") is not None:
        from codegenie.trust.pinned import pin_of
        from codegenie.trust.trusted_lock import TrustedLock

        data = TrustedLock(pin_of(settings), lock_path).read()
        locked = data if isinstance(data, Err) else lock.parse(lock_path, data.value)
    else:
        locked = lock.read(lock_path)
    if isinstance(locked, Err):
        raise ValueError(
            f"the names to guard are not known, because {lock_path!r} {locked.error.reason}"
        )
    return lock.names_of(locked.value)


def _check_names(claim: Claim, of_all: "Mapping[str, Any]") -> None:
    """Check that a folder claims the names of a trusted lock, now that a policy is pinned.

    Raises:
        ValueError: its lock is not trusted, or was another when the names were read.
    """
    if "names" not in claim.requested:
        return
    lock_path = claim.requested["lock"]
    if claim.names != frozenset(names_in(lock_path, {**of_all, **claim.requested})):
        raise ValueError(f"{lock_path!r} has other names than when its folder was added")


def _checked(given: "Mapping[str, Any]", of_all: "Mapping[str, Any]") -> "dict[str, Any]":
    """Return the pinned settings of one folder, complete and with absolute paths."""
    unknown = sorted(set(given) - _OF_A_FOLDER)
    if unknown:
        raise ValueError(f"a guarded folder has no setting {unknown[0]!r}")
    if not given.get("root"):
        raise ValueError("a guarded folder needs a root")
    folder = GuardedFolder.at(
        given["root"],
        given.get("lock"),
        given.get("package", "plugins"),
        given.get("others", OTHERS[0]),
    )
    settings = dict(given)
    settings.update(
        root=folder.root, lock=folder.lock, package=folder.package, others=folder.others
    )
    if "names" in given:
        return settings
    return {**settings, **complete(folder, {**of_all, **given})}


def _refuse_conflicts(claims: "Iterable[Claim]") -> None:
    """Refuse folders that cannot be guarded together.

    Two folders that claim one name, or of which one contains the other, would leave open which lock
    decides.

    Raises:
        ValueError: with the name or the roots.
    """
    folders = []
    top_names: dict[str, bool] = {}
    for claim in claims:
        requested = claim.requested
        root = requested.get("root", "")
        folders.append(
            GuardedFolder(
                root, requested.get("lock", ""), claim.package, requested.get("others", OTHERS[0])
            )
        )
        # A package below a top-level name is part of that name, so compare the first parts. Two
        # packages below one name, which is no unit, are two folders of one application.
        for name in sorted({head.partition(".")[0] for head in claim.heads}):
            is_unit = claim.package == ""
            if name in top_names and (is_unit or top_names[name]):
                folder = repr(root) if root else "the default folder"
                raise ValueError(f"the name {name!r} of {folder} is claimed by another folder")
            top_names[name] = is_unit
    problem = problem_of(folders)
    if problem:
        raise ValueError(problem)


def _compare(
    finder: GuardFinder,
    claim: Claim,
    folder: GuardedFolder,
    settings: "Sequence[str]" = _COMPARED,
) -> None:
    """Raise unless a folder is guarded with the same settings."""
    enforcer = claim.existing_enforcer()
    if enforcer is not None and enforcer.settings is not None:
        present = enforcer.settings.folder
    else:
        root, requested = str(claim.root()), claim.requested
        present = GuardedFolder.at(
            root,
            lock_of(root, requested),
            claim.package,
            requested.get("others", OTHERS[0]),
        )
    for setting in settings:
        known, value = getattr(present, setting), getattr(folder, setting)
        if known == value or (setting == "lock" and same_path("lock", known, value)):
            continue
        if finder.pinned or has_decided(finder):
            raise GuardSettled(setting, known, value, finder.pinned)
        raise ValueError(f"{folder.root!r} is guarded already, with {setting}={known!r}")


def _compare_memory(finder: GuardFinder, claim: Claim, seen: "Mapping[str, Any]") -> None:
    """Raise unless a folder has this floor and this statement. A second call lowers no floor."""
    for setting, value in seen.items():
        known = claim.requested.get(setting)
        if known == value:
            continue
        if finder.pinned or has_decided(finder):
            raise GuardSettled(setting, known, value, finder.pinned)
        raise ValueError(f"{claim.root()!r} is guarded already, with {setting}={known!r}")


def _refuse_others(
    finder: GuardFinder, pinned: "list[dict[str, Any]]", settings: "dict[str, Any]"
) -> None:
    """Raise ``GuardSettled`` unless a guard that cannot change has these folders and settings."""
    roots = [claim.root() for claim in finder.claims]
    wanted = [folder["root"] for folder in pinned]
    if len(roots) != len(wanted):
        raise GuardSettled("folders", roots, wanted, finder.pinned)
    for claim, folder in zip(finder.claims, pinned, strict=True):
        if not same_path("root", str(claim.root()), folder["root"]):
            raise GuardSettled("root", claim.root(), folder["root"], finder.pinned)
        _compare(finder, claim, GuardedFolder(*(folder[s] for s in ("root", *_COMPARED))))
        if finder.pinned:
            _compare_memory(finder, claim, {setting: folder.get(setting) for setting in _MEMORY})
    for setting, value in settings.items():
        present = _present(finder, setting)
        if present != value and (finder.pinned or setting not in ("log", "trust")):
            raise GuardSettled(setting, present, value, finder.pinned)


def _present(finder: GuardFinder, setting: str) -> object:
    """Return a present setting of all folders."""
    if not finder.pinned:
        for claim in finder.claims:
            enforcer = claim.existing_enforcer()
            if enforcer is not None and enforcer.settings is not None:
                return getattr(enforcer.settings, setting, finder.requested.get(setting))
    return finder.requested.get(setting)


def _present_in_first(finder: GuardFinder, setting: str) -> object:
    """Return a present setting of the first folder, or of all folders."""
    claim = finder.claims[0]
    if finder.pinned or setting in ("trust", *_MEMORY):
        return {**finder.requested, **claim.requested}.get(setting)
    if setting in ("scope", "mode", "on_refusal"):
        return _present(finder, setting)
    enforcer = claim.existing_enforcer()
    if enforcer is not None and enforcer.settings is not None:
        return getattr(enforcer.settings.folder, setting)
    return claim.requested.get(setting)
