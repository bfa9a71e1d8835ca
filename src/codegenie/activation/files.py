"""The files that make every start of an environment guarded: which, what is in them, and undoing.

One of two ways in, both run by ``site``:

- ``sitecustomize.py``, where no other one exists;
- else a module beside it, and a ``.pth`` file with a line that imports the module.

Never a ``.start`` file (PEP 829). ``site`` runs those after the import lines of all ``.pth`` files,
so another ``.pth`` file could import a plugin before the guard is there. It imports their modules
by name from ``sys.path``, so a folder of ``PYTHONPATH`` could replace the module. Their presence
also turns off the import lines of the ``.pth`` file with the same stem. Earlier versions wrote one
for Python 3.15, so its name stays in ``NAMES``: it is replaced and removed like the others.

Every file begins with a digest of the rest of it. So what this command wrote can be told from what
others wrote and from what was edited since, whatever version has written it. Only its own unedited
files are ever replaced or removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal

from codegenie import files, hashing
from codegenie.result import Err
from codegenie.writing import FolderNotFlushed, replace

Standing = Literal["ours", "edited", "foreign"]

SITECUSTOMIZE = "sitecustomize.py"
MODULE = "codegenie_activation.py"
# `site` runs .pth files in the order of their names, and what other ones import is to be guarded.
PTH = "00_codegenie_activation.pth"
START = "00_codegenie_activation.start"
NAMES = (MODULE, PTH, START, SITECUSTOMIZE)
"""In the order of writing: what imports a module comes after the module."""

MAX_FILE_BYTES = 64 * 1024
CACHE = "__pycache__"

_SEAL = "# codegenie activation file, format 1, sha256 of all that follows: "
_SEALED = re.compile(re.escape(_SEAL.encode()) + rb"([0-9a-f]{64})\n(.*)", re.DOTALL)
_UNDO = "# To undo it: codegenie guard uninstall --python <this interpreter>\n"
_OWN_CACHE = f"# There was no {CACHE} here before; undoing it takes that away too, if empty.\n"


@dataclass(frozen=True)
class Plan:
    """What is to stand in ``folder``: contents by name, in the order of writing."""

    folder: Path
    contents: Mapping[str, bytes]


@dataclass
class Changes:
    """What an operation did to which files."""

    added: list[Path] = field(default_factory=list)
    replaced: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    kept: dict[Path, Standing] = field(default_factory=dict)
    """Left where they are, because they are not ours any more, or never were."""


class Occupied(Exception):
    """A file stands in the way that only its owner may touch. Nothing was written."""

    def __init__(self, path: Path, standing: Standing) -> None:
        self.path = path
        self.standing = standing
        super().__init__(path, standing)


def present(folder: Path) -> dict[str, Standing]:
    """Whose file stands at each of the names where one stands."""
    return {name: whose for name in NAMES if (whose := _standing(folder / name)) is not None}


def may_be_sitecustomize(folder: Path, found: str | None) -> bool:
    """Whether ``sitecustomize.py`` in ``folder`` is, or would be, the only one there is.

    Args:
        found: the file that a start of the interpreter has found under that name.
    """
    path = folder / SITECUSTOMIZE
    whose = _standing(path)
    if whose is None:
        # Bytecode without its source is left of one that was removed; a start would overwrite it.
        return found is None and not _bytecode(path)
    return whose == "ours" and found is not None and Path(found).resolve() == path.resolve()


def plan(
    folder: Path,
    home: str,
    version: str,
    settings: Mapping[str, str],
    *,
    sitecustomize: bool,
) -> Plan:
    """What makes the starts of an environment guarded.

    Args:
        folder: where the environment keeps its modules.
        home: the folder that holds the package ``codegenie``.
        version: the version of that package.
        settings: what ``guard.pin`` is to be given.
        sitecustomize: what ``may_be_sitecustomize`` said.
    """
    text = (_OWN_CACHE if _made_the_cache(folder) else "") + _stub(home, version, settings)
    if sitecustomize:
        return Plan(folder, {SITECUSTOMIZE: _sealed(text)})
    module = MODULE.removesuffix(".py")
    # From this folder, whatever stands before it on sys.path.
    place = _expression(str(folder))
    line = f"import os, sys; sys.path.insert(0, {place}); import {module}; del sys.path[0]\n"
    return Plan(folder, {MODULE: _sealed(text), PTH: _sealed(line)})


def write(plan: Plan) -> Changes:
    """Make the folder as it is planned; files of ours that are not in the plan go.

    Raises:
        Occupied: a file of those names is not ours, or was edited. Nothing was written.
        OSError: a file cannot be written. What was there before is there again.
    """
    _refuse_occupied(plan.folder)
    before = {
        name: (plan.folder / name).read_bytes()
        for name, whose in present(plan.folder).items()
        if whose == "ours"
    }
    changes = Changes()
    try:
        _write_planned(plan, before, changes)
        _remove_unplanned(plan, before, changes)
    except OSError:
        _restore(changes, before)
        raise
    return changes


def _refuse_occupied(folder: Path) -> None:
    for name, whose in present(folder).items():
        # A sitecustomize of the application stays: the guard is activated by a .pth file then.
        if whose == "edited" or (whose == "foreign" and name != SITECUSTOMIZE):
            raise Occupied(folder / name, whose)


def _write_planned(plan: Plan, before: Mapping[str, bytes], changes: Changes) -> None:
    for name, data in plan.contents.items():
        path = plan.folder / name
        if before.get(name) == data:
            changes.unchanged.append(path)
            continue
        (changes.replaced if name in before else changes.added).append(path)
        _write(path, data)
        # Bytecode of an old file of the same size and second would be used for the new file.
        _remove_bytecode(path)


def _remove_unplanned(plan: Plan, before: Mapping[str, bytes], changes: Changes) -> None:
    for name in reversed(NAMES):
        if name in before and name not in plan.contents:
            changes.removed.append(plan.folder / name)
            _remove(plan.folder / name)


def _restore(changes: Changes, before: Mapping[str, bytes]) -> None:
    for path in changes.added:
        path.unlink(missing_ok=True)
    for path in (*changes.replaced, *changes.removed):
        if not path.exists() or path.read_bytes() != before[path.name]:
            _write(path, before[path.name])


def remove(folder: Path) -> Changes:
    """Undo ``write``: every file is again as it was before the first one.

    Raises:
        OSError: a file cannot be removed.
    """
    changes = Changes()
    own_cache = _made_the_cache(folder)
    # In the reverse order of writing: what imports a module goes before the module.
    for name, whose in reversed(present(folder).items()):
        if whose == "ours":
            _remove(folder / name)
            changes.removed.append(folder / name)
        elif whose == "edited" or name != SITECUSTOMIZE:
            changes.kept[folder / name] = whose
    cache = folder / CACHE
    if changes.removed and own_cache and cache.is_dir() and not any(cache.iterdir()):
        cache.rmdir()
    return changes


def _standing(path: Path) -> Standing | None:
    """Whose file stands at ``path``; ``None`` where there is nothing."""
    data = files.read_regular(str(path), max_bytes=MAX_FILE_BYTES)
    if isinstance(data, Err):
        return "foreign" if path.is_symlink() or path.exists() else None
    sealed = _SEALED.fullmatch(data.value)
    if sealed is None:
        return "foreign"
    return "ours" if hashing.file_digest(sealed[2]).hex().encode() == sealed[1] else "edited"


def _stub(home: str, version: str, settings: Mapping[str, str]) -> str:
    """``stub.py`` with its settings written in."""
    text = resources.files("codegenie.activation").joinpath("stub.py").read_text("utf-8")
    lines = "".join(f"    {name!r}: {_expression(value)},\n" for name, value in settings.items())
    for empty, written in (
        ('\nHOME = ""\n', f"\nHOME = {_expression(home)}\n"),
        ('\nVERSION = ""\n', f"\nVERSION = {_expression(version)}\n"),
        ('\nSETTINGS: "dict[str, Any]" = {}\n', f'\nSETTINGS: "dict[str, Any]" = {{\n{lines}}}\n'),
    ):
        before, found, after = text.partition(empty)
        if not found:
            raise AssertionError(f"stub.py has no line {empty.strip()}")
        text = before + written + after
    return text


def _expression(text: str) -> str:
    """A Python expression for a path, in ASCII: until Python 3.12 a .pth file is read in the
    encoding of the locale. A start in another locale decodes the bytes of a file's name to another
    text, so it is the bytes that are kept."""
    return repr(text) if text.isascii() else f"os.fsdecode({os.fsencode(text)!r})"


def _sealed(text: str) -> bytes:
    rest = (_UNDO + text).encode("ascii")
    return f"{_SEAL}{hashing.file_digest(rest).hex()}\n".encode("ascii") + rest


def _made_the_cache(folder: Path) -> bool:
    """Whether the folder had no cache of bytecode before the first of our files came."""
    ours = [folder / name for name, whose in present(folder).items() if whose == "ours"]
    if not ours:
        return not (folder / CACHE).exists()
    return any(_OWN_CACHE.encode() in path.read_bytes() for path in ours)


def _write(path: Path, data: bytes) -> None:
    """Write one activation file, readable for everyone who can use the environment.

    `site` passes over a file that it cannot read, so with the strict umask of an installing shell
    there would be no guard.
    """
    try:
        replace(str(path), data, mode=0o600 | path.parent.stat().st_mode & 0o044)
    except FolderNotFlushed:
        pass  # it is in place; `guard status` says so, and says it after a crash as well


def _remove(path: Path) -> None:
    path.unlink()
    _remove_bytecode(path)


def _remove_bytecode(module: Path) -> None:
    for path in _bytecode(module):
        path.unlink()


def _bytecode(module: Path) -> list[Path]:
    """The cached bytecode of a module, of every interpreter and optimisation level."""
    cache = module.parent / CACHE
    if module.suffix != ".py" or not cache.is_dir():
        return []
    return [
        path
        for path in cache.iterdir()
        if path.name.startswith(f"{module.stem}.") and path.suffix == ".pyc"
    ]
