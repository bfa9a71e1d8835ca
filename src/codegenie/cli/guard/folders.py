"""Choose the folders that ``guard install`` pins, and refuse a bad choice before any writing.

A mistake here is silent later: a folder that is no longer guarded runs whatever is in it. So each
rule ends the command with one sentence that names the folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from codegenie._start import DEFAULT_PACKAGE
from codegenie.activation import files, places, probe
from codegenie.cli import configuration, output
from codegenie.folder_problems import names_problem
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import lock as lock_format
from codegenie.result import Err
from codegenie.text import printable

_SHARED_PLACES = ("its site-packages", "its site-packages for machine code", "codegenie")
"""Places that a folder with ``others="leave"`` may hold, because it guards only what is locked."""


def from_options(
    config: str | None,
    roots: Sequence[str],
    package: str | None,
    no_package: bool,
    lock: str | None,
    others: str | None,
) -> tuple[GuardedFolder, ...]:
    """Return the folders of a configuration, or the one that the options describe.

    Raises:
        click.UsageError: the options contradict each other, or the folders cannot be guarded.
    """
    if config is not None:
        if roots or no_package or (package, lock, others) != (None, None, None):
            raise click.UsageError("--config names the folders: give no option for one folder")
        found = configuration.read(str(Path(config).absolute())).folders
        if not found:
            raise click.UsageError(printable(f"{config}: there is no [[folder]] in it"))
        return tuple(one.folder for one in found)
    if len(roots) > 1:
        raise click.UsageError("--root is given twice: name several folders in codegenie.toml")
    if not roots:
        raise click.UsageError("give --root or --config")
    for option, value in (("--root", roots[0]), ("--lock", lock)):
        if value == "":
            raise click.BadParameter("must not be empty", param_hint=option)
    if no_package and package is not None:
        raise click.UsageError("give either --package or --no-package")
    claimed = None if no_package else DEFAULT_PACKAGE if package is None else package
    folder = GuardedFolder.at(roots[0], lock, claimed, others or "refuse")
    problem = configuration.folders_problem([folder])
    if problem:
        raise click.UsageError(printable(problem))
    return (folder,)


def pinned(folders: Sequence[GuardedFolder], *, as_json: bool) -> list[dict[str, object]]:
    """Return the folders as an activation file holds them, with the names that they claim.

    A folder of top-level modules claims the names in its lock, and a shared folder guards only
    those. Both are pinned, because a start must know them before it has read a lock.
    """
    result = []
    claimed: dict[str, GuardedFolder] = {}
    for folder in folders:
        one: dict[str, object] = {
            "root": folder.root,
            "lock": folder.lock,
            "package": folder.package,
            "others": folder.others,
        }
        if folder.package == "" or folder.others == "leave":
            one["names"] = names = _names(folder, as_json=as_json)
            _refuse_names(folder, names, folders, claimed, as_json=as_json)
        result.append(one)
    return result


def refuse_other_code(
    folders: Sequence[GuardedFolder], start: probe.Start, home: str, *, as_json: bool
) -> None:
    """End the command if a root holds the interpreter, its environment or ``codegenie``."""
    held_places = {**start.places, "codegenie": f"{home}/codegenie"}
    for folder in folders:
        relevant = {
            name: path
            for name, path in held_places.items()
            if folder.others == "refuse" or name not in _SHARED_PLACES
        }
        held = places.first_held(folder.root, relevant)
        if held is not None:
            output.fail(
                f"the root holds {held[0]}, so code that is no plugin would be refused",
                ("root", folder.root),
                ("holds", held[1]),
                ("fix", "give the plugins a folder of their own, or move the environment out"),
                as_json=as_json,
            )


def refuse_unguarding(
    site: Path, folders: Sequence[GuardedFolder], *, replace: bool, as_json: bool
) -> None:
    """End the command if a folder that is guarded now would not be guarded any longer.

    Threat: a second installation for another folder replaces the first, without a message.
    Rule: name each such folder, unless the operator says ``--replace``.
    """
    if replace:
        return
    kept = {os.path.realpath(folder.root) for folder in folders}
    lost = [root for root in _guarded_now(site) if os.path.realpath(root) not in kept]
    if lost:
        output.fail(
            f"this would stop guarding {output.shown_path(lost[0])}, so nothing was written",
            *(("guarded", root) for root in lost),
            ("fix", f"name all folders in {configuration.FILE_NAME}, and give it with --config"),
            ("or", "add --replace, to guard only what you name"),
            as_json=as_json,
        )


def _guarded_now(site: Path) -> list[str]:
    settings = files.pinned_settings(site) or {}
    return [str(folder["root"]) for folder in settings.get("folders", ())]


def _names(folder: GuardedFolder, *, as_json: bool) -> list[str]:
    entries = lock_format.read(folder.lock)
    if isinstance(entries, Err):
        output.fail(
            "the names in the lock are pinned for this folder, and there is no valid lock",
            ("root", folder.root),
            ("lock", folder.lock),
            ("fix", "lock the folder first"),
            as_json=as_json,
        )
    names = lock_format.names_of(entries.value)
    if not names and folder.others == "leave":
        output.fail(
            "the lock names no plugin, so nothing in this folder would be guarded",
            ("root", folder.root),
            ("lock", folder.lock),
            ("fix", "lock each plugin by its name: codegenie plugins lock ROOT ID"),
            as_json=as_json,
        )
    return names


def _refuse_names(
    folder: GuardedFolder,
    names: Sequence[str],
    folders: Sequence[GuardedFolder],
    claimed: dict[str, GuardedFolder],
    *,
    as_json: bool,
) -> None:
    """End the command if a start could not tell whose a top-level name is."""
    problem = _problem_of_names(folder, names, folders, claimed)
    if problem:
        output.fail(problem, ("root", folder.root), ("lock", folder.lock), as_json=as_json)


def _problem_of_names(
    folder: GuardedFolder,
    names: Sequence[str],
    folders: Sequence[GuardedFolder],
    claimed: dict[str, GuardedFolder],
) -> str | None:
    problem = names_problem(folder.package, names)
    if problem is not None or folder.package != "":
        return problem
    packages = {(one.package or "").partition(".")[0].casefold() for one in folders if one.package}
    for name in names:
        other = claimed.setdefault(name.casefold(), folder)
        if other is not folder:
            return f"the name {name!r} is claimed by {other.root!r} as well"
        if name.casefold() in packages:
            return f"the name {name!r} is that of a package that another folder claims"
    return None


def shown(folder: Mapping[str, Any]) -> str:
    """Return a guarded folder in words: the names that it claims."""
    package = folder.get("package", DEFAULT_PACKAGE)
    if package is None:
        return "by path only"
    return f"package {package}" if package else "top-level names"
