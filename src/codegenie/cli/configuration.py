"""Read ``codegenie.toml``, or ``[tool.codegenie]`` in ``pyproject.toml``: the guarded folders.

Only the command line reads a configuration. A start of an interpreter reads none: ``guard install``
pins the folders in the activation file, so a later edit of the configuration changes nothing there.

Example of a file:

    application = "home-assistant"

    [[folder]]
    root = "custom_components"
    package = "custom_components"
"""

from __future__ import annotations

import os
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME
from codegenie.authoring.manifests import DEFAULT_POLICY, ManifestPolicy
from codegenie.files import read_regular
from codegenie.folder_problems import problem_of
from codegenie.guarded_folder import GuardedFolder
from codegenie.result import Err
from codegenie.text import printable

FILE_NAME = "codegenie.toml"
PROJECT_FILE = "pyproject.toml"
MAX_BYTES = 1024 * 1024
"""A ``pyproject.toml`` may hold the settings of many tools."""

NonEmpty = Annotated[str, Field(min_length=1)]


class FolderTable(BaseModel):
    """One ``[[folder]]``. Relative paths are relative to the folder of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    root: NonEmpty
    package: str | Literal[False] = DEFAULT_PACKAGE
    lock: NonEmpty | None = None
    others: Literal["refuse", "leave"] = "refuse"
    manifest: ManifestPolicy = DEFAULT_POLICY


class Tables(BaseModel):
    """The whole configuration, as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    application: NonEmpty | None = None
    folder: list[FolderTable] = []


@dataclass(frozen=True)
class ConfiguredFolder:
    """A guarded folder, and the policy for its manifests."""

    folder: GuardedFolder
    manifest: ManifestPolicy = DEFAULT_POLICY


@dataclass(frozen=True)
class Configuration:
    """A configuration that was read and checked.

    Attributes:
        path: the file.
        application: what a statement about a lock is valid for; None if it is not given.
        folders: the guarded folders, in the order of the file.
    """

    path: str
    application: str | None
    folders: tuple[ConfiguredFolder, ...]


class BadConfiguration(click.UsageError):
    """The configuration is wrong: one sentence, which begins with the file. The status is 2."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(printable(f"{path}: {problem}"))


def nearest() -> Configuration | None:
    """Return the configuration in the working folder, or else in the nearest folder above it.

    Raises:
        BadConfiguration: it is wrong, one folder has two, or it is in a guarded folder.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working folder was removed
        return None
    for folder in (here, *here.parents):
        found = _in_folder(folder)
        if found is not None:
            _refuse_planted(found, folder)
            return found
    return None


def _in_folder(folder: Path) -> Configuration | None:
    """Return the configuration in one folder; None if there is none."""
    own, project = folder / FILE_NAME, folder / PROJECT_FILE
    tables = _project_tables(str(project)) if os.path.lexists(project) else None
    if os.path.lexists(own):
        if tables is not None:
            problem = f"[tool.codegenie] in {PROJECT_FILE} beside it configures this as well"
            raise BadConfiguration(str(own), f"{problem}: remove one of the two")
        return read(str(own))
    return _checked(str(project), tables) if tables is not None else None


def _refuse_planted(found: Configuration, folder: Path) -> None:
    """Refuse a configuration that is in a guarded folder.

    Threat: a plugin brings a configuration along, and a command that is run in its folder checks
    other plugins, or by another lock. Rule: a guarded folder, by its lock or by a configuration
    above it, does not decide how it is checked.
    """
    for place in (folder, *folder.parents):
        is_guarded = os.path.lexists(place / LOCK_NAME)
        if place != folder and not is_guarded:
            with suppress(BadConfiguration):  # of another project, perhaps
                is_guarded = _names_folder_of(_in_folder(place), folder)
        if is_guarded:
            problem = f"is in a guarded folder of {place}, so a plugin may have brought it along"
            raise BadConfiguration(found.path, f"{problem}: delete it, or move it out of there")


def _names_folder_of(outer: Configuration | None, folder: Path) -> bool:
    """Return True if ``folder`` is in a guarded folder of a configuration."""
    roots = () if outer is None else (os.path.realpath(one.folder.root) for one in outer.folders)
    place = os.path.realpath(folder)
    return any(f"{place}/".startswith(f"{root.rstrip('/')}/") for root in roots)


def application() -> str | None:
    """Return the ``application`` of the nearest configuration; None if there is none.

    Raises:
        BadConfiguration: as ``nearest``.
    """
    found = nearest()
    return found.application if found else None


def read(path: str) -> Configuration:
    """Return the configuration in a file: ``codegenie.toml``, or a ``pyproject.toml``.

    Raises:
        BadConfiguration: the file cannot be read, has unknown keys, or names folders that cannot be
            guarded together.
    """
    if Path(path).name != PROJECT_FILE:
        return _checked(path, _toml(path))
    tables = _project_tables(path)
    if tables is None:
        raise BadConfiguration(path, "has no [tool.codegenie]")
    return _checked(path, tables)


def folders_problem(folders: Sequence[GuardedFolder]) -> str | None:
    """Return one sentence on why these folders cannot be guarded together; None if they can.

    Beside the rules for a process, this checks spelling: Python normalizes the names in an import,
    and a file system may ignore case, so two such names could mean the same package.
    """
    packages = [folder.package for folder in folders if folder.package]
    for package in packages:
        if unicodedata.normalize("NFKC", package) != package:
            return f"package {package!r} is not spelled as Python normalizes it (NFKC)"
    for one, other in combinations(packages, 2):
        if one != other and one.casefold() == other.casefold():
            return f"packages {one!r} and {other!r} differ only in case"
    return problem_of(folders)


def _checked(path: str, tables: Any) -> Configuration:
    try:
        written = Tables.model_validate(tables)
    except ValidationError as error:
        # An unknown key first: it is usually a misspelling of the one that is missing.
        errors = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise BadConfiguration(path, _in_words(errors[0])) from None
    base = Path(path).absolute().parent
    folders = tuple(
        ConfiguredFolder(
            GuardedFolder.at(
                base / table.root,
                base / table.lock if table.lock else None,
                None if table.package is False else table.package,
                table.others,
            ),
            table.manifest,
        )
        for table in written.folder
    )
    problem = folders_problem([configured.folder for configured in folders])
    if problem:
        raise BadConfiguration(path, problem)
    return Configuration(path, written.application, folders)


def _project_tables(path: str) -> Any:
    """Return ``[tool.codegenie]`` of a project; None if there is none."""
    tool = _toml(path).get("tool")
    return tool.get("codegenie") if isinstance(tool, dict) else None


def _toml(path: str) -> dict[str, Any]:
    data = read_regular(path, max_bytes=MAX_BYTES)
    if isinstance(data, Err):
        raise BadConfiguration(path, data.error.detail)
    try:
        return tomllib.loads(data.value.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadConfiguration(path, f"is not TOML: {error}") from None


def _in_words(error: Mapping[str, Any]) -> str:
    """Return one sentence about the first error that pydantic has found."""
    loc = [part for part in error["loc"] if part not in ("str", "literal[False]")]
    names = [part for part in loc if isinstance(part, str)]
    numbers = [part for part in loc if isinstance(part, int)]
    where = f"[[folder]] {numbers[0] + 1}: " if numbers else ""
    key = names[-1] if names else "[tool.codegenie]"
    if error["type"] == "extra_forbidden":
        known = FolderTable if numbers else Tables
        return f"{where}{key!r} is not a setting; these are: {', '.join(known.model_fields)}"
    if error["type"] == "missing":
        return f"{where}{key!r} is missing"
    if key == "package":
        return f"{where}'package' must be a name, or false for a folder that claims no name"
    message = error["msg"]
    return f"{where}{key!r}: {message[:1].lower()}{message[1:]}"
