"""Write and remove the files that activate the guard at every start of an environment.

There are two kinds of activation, both run by ``site``:

- ``sitecustomize.py``, if no other one exists;
- otherwise a module of another name, and a ``.pth`` file with a line that imports the module.

Never a ``.start`` file (PEP 829). ``site`` runs those after the import lines of all ``.pth`` files,
so another ``.pth`` file could import a plugin before the guard is there. ``site`` imports the
module of a ``.start`` file by name from ``sys.path``, so a folder of ``PYTHONPATH`` could replace
the module. A ``.start`` file also turns off the import lines of the ``.pth`` file with the same
stem. Earlier versions wrote one for Python 3.15, so its name stays in ``NAMES``: it is replaced and
removed like the others.

Every file begins with a digest of the rest of it. The digest distinguishes a file of this command,
of any version, from an edited file and from a file of another author. Only unedited files of this
command are ever replaced or removed.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from codegenie import files, hashing
from codegenie.result import Err
from codegenie.writing import FolderNotFlushed, replace

FileOwner = Literal["ours", "edited", "foreign"]

SITECUSTOMIZE = "sitecustomize.py"
MODULE = "codegenie_activation.py"
# `site` runs .pth files in the order of their names. This one must come first: plugins that an
# earlier file imports are not guarded.
PTH = "00_codegenie_activation.pth"
START = "00_codegenie_activation.start"
NAMES = (MODULE, PTH, START, SITECUSTOMIZE)
"""In the order of writing: a file that imports a module comes after that module."""

MAX_FILE_BYTES = 64 * 1024
CACHE = "__pycache__"

_SEAL = "# codegenie activation file, format 1, sha256 of all that follows: "
_SEALED = re.compile(re.escape(_SEAL.encode()) + rb"([0-9a-f]{64})\n(.*)", re.DOTALL)
_UNDO = "# To undo it: codegenie guard uninstall --python <this interpreter>\n"
_OWN_CACHE = f"# There was no {CACHE} here before; undoing it takes that away too, if empty.\n"


@dataclass(frozen=True)
class Plan:
    """The files to write in ``folder``: contents by name, in the order of writing."""

    folder: Path
    contents: Mapping[str, bytes]


@dataclass
class Changes:
    """The files that an operation has added, replaced, removed or left."""

    added: list[Path] = field(default_factory=list)
    replaced: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    kept: dict[Path, FileOwner] = field(default_factory=dict)
    """Files that were left, because they were edited or are of another author."""


class Occupied(Exception):
    """A file of another author, or an edited one, has the name of an activation file.

    Nothing was written.
    """

    def __init__(self, path: Path, owner: FileOwner) -> None:
        self.path = path
        self.owner = owner
        super().__init__(path, owner)


def present(folder: Path) -> dict[str, FileOwner]:
    """Return the author of each file in ``folder`` that has the name of an activation file."""
    return {name: whose for name in NAMES if (whose := _owner(folder / name)) is not None}


def pinned_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings in the activation file of an environment; None if there is no such file.

    Reads the file as text and runs no code of it. A file of an earlier version pins one folder.
    """
    for name in (SITECUSTOMIZE, MODULE):
        if _owner(folder / name) == "ours":
            found = _settings_of((folder / name).read_text("ascii"))
            if found is not None:
                return found
    return None


_SETTINGS = "SETTINGS"


def _settings_of(text: str) -> dict[str, Any] | None:
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == _SETTINGS:
            value = _PathsAsText().visit(node.value)
            settings: dict[str, Any] = ast.literal_eval(value)
            if "folders" in settings or "root" not in settings:
                return settings
            return {**settings, "folders": [{"root": settings["root"], "lock": settings["lock"]}]}
    return None


class _PathsAsText(ast.NodeTransformer):
    """Replaces ``os.fsdecode(b"...")``, which ``_expression`` writes, by the text."""

    def visit_Call(self, node: ast.Call) -> ast.AST:  # the name that ast calls
        return ast.Constant(os.fsdecode(ast.literal_eval(node.args[0])))


def may_be_sitecustomize(folder: Path, found: str | None) -> bool:
    """Return True if ``sitecustomize.py`` in ``folder`` is, or would be, the only one.

    Args:
        found: the file that a start of the interpreter has found under that name.
    """
    path = folder / SITECUSTOMIZE
    whose = _owner(path)
    if whose is None:
        # Bytecode without a source is from a removed file, and a start would overwrite it.
        return found is None and not _bytecode(path)
    return whose == "ours" and found is not None and Path(found).resolve() == path.resolve()


def plan(
    folder: Path,
    home: str,
    version: str,
    settings: Mapping[str, object],
    *,
    sitecustomize: bool,
) -> Plan:
    """Return the files that activate the guard in an environment. Writes nothing.

    Args:
        folder: the folder of the environment's modules (``purelib``).
        home: the folder that contains the package ``codegenie``.
        version: the version of that package.
        settings: the arguments for ``guard.pin``.
        sitecustomize: the result of ``may_be_sitecustomize``.
    """
    text = (_OWN_CACHE if _made_the_cache(folder) else "") + _stub(home, version, settings)
    if sitecustomize:
        return Plan(folder, {SITECUSTOMIZE: _sealed(text)})
    module = MODULE.removesuffix(".py")
    # Import from this folder, whatever precedes it on sys.path.
    place = _expression(str(folder))
    line = f"import os, sys; sys.path.insert(0, {place}); import {module}; del sys.path[0]\n"
    return Plan(folder, {MODULE: _sealed(text), PTH: _sealed(line)})


def write_plan(plan: Plan) -> Changes:
    """Write the files of a plan, and remove unedited activation files that are not in the plan.

    Raises:
        Occupied: a file of those names is of another author, or was edited. Nothing was written.
        OSError: a file cannot be written. The earlier files were restored.
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
    """Undo ``write``: remove the unedited activation files, and leave all others.

    Raises:
        OSError: a file cannot be removed.
    """
    changes = Changes()
    own_cache = _made_the_cache(folder)
    # In the reverse order of writing: a file that imports a module is removed before that module.
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


def _owner(path: Path) -> FileOwner | None:
    """Return the author of the file at ``path``; None if there is no file."""
    data = files.read_regular(str(path), max_bytes=MAX_FILE_BYTES)
    if isinstance(data, Err):
        return "foreign" if path.is_symlink() or path.exists() else None
    sealed = _SEALED.fullmatch(data.value)
    if sealed is None:
        return "foreign"
    return "ours" if hashing.file_digest(sealed[2]).hex().encode() == sealed[1] else "edited"


_REFUSING = "# In an activation file, the text of REFUSING begins here.\n"
_END_OF_REFUSING = "\n\n# End of REFUSING.\n"


def _stub(home: str, version: str, settings: Mapping[str, object]) -> str:
    """Return ``stub.py`` with its settings written in, and with its functions that refuse as text.

    A start compiles this text only if the guard cannot be started.
    """
    text = resources.files("codegenie.activation").joinpath("stub.py").read_text("utf-8")
    before, found, after = text.partition(_REFUSING)
    refusing, end, after = after.partition(_END_OF_REFUSING)
    if not (found and end) or "'''" in refusing:
        raise AssertionError("stub.py has no text between the comments on REFUSING")
    text = f"{before.rstrip()}\n\n\n{after}"
    lines = "".join(f"    {name!r}: {_literal(value)},\n" for name, value in settings.items())
    for empty, written in (
        ('\nHOME = ""\n', f"\nHOME = {_expression(home)}\n"),
        ('\nREFUSING = ""\n', f"\nREFUSING = r'''\n{refusing}\n'''\n"),
        ('\nVERSION = ""\n', f"\nVERSION = {_expression(version)}\n"),
        ('\nSETTINGS: "dict[str, Any]" = {}\n', f'\nSETTINGS: "dict[str, Any]" = {{\n{lines}}}\n'),
    ):
        before, found, after = text.partition(empty)
        if not found:
            raise AssertionError(f"stub.py has no line {empty.strip()}")
        text = before + written + after
    return text


_MODULE_NAMES = ("package", "names")


def _literal(value: object) -> str:
    """Return a Python expression for a setting: text, a number, None, or a list or dict of these.

    A list of dicts, one for each guarded folder, has one line for each.
    """
    if isinstance(value, str):
        return _expression(value)
    if isinstance(value, Mapping):
        # ``ascii`` escapes names of modules. They are no paths, so no locale decodes them.
        items = ((k, ascii(v) if k in _MODULE_NAMES else _literal(v)) for k, v in value.items())
        return "{" + ", ".join(f"{key!r}: {item}" for key, item in items) + "}"
    if isinstance(value, list | tuple):
        line = "\n        " if value and isinstance(value[0], Mapping) else ""
        return "[" + "".join(f"{line}{_literal(item)}, " for item in value).rstrip(", ") + "]"
    if value is None or isinstance(value, int):
        return repr(value)
    raise TypeError(f"a setting cannot be {value!r}")


def _expression(text: str) -> str:
    """Return a Python expression for a path, in ASCII.

    Until Python 3.12 a ``.pth`` file is read in the encoding of the locale. A start in another
    locale decodes the bytes of a file name to another text, so the expression contains the bytes.
    """
    return repr(text) if text.isascii() else f"os.fsdecode({os.fsencode(text)!r})"


def _sealed(text: str) -> bytes:
    rest = (_UNDO + text).encode("ascii")
    return f"{_SEAL}{hashing.file_digest(rest).hex()}\n".encode("ascii") + rest


def _made_the_cache(folder: Path) -> bool:
    """Return True if the folder had no cache of bytecode before the first activation file."""
    ours = [folder / name for name, whose in present(folder).items() if whose == "ours"]
    if not ours:
        return not (folder / CACHE).exists()
    return any(_OWN_CACHE.encode() in path.read_bytes() for path in ours)


def _write(path: Path, data: bytes) -> None:
    """Write one activation file, readable for every user of the environment.

    `site` skips a file that it cannot read. With the strict umask of an installing shell, other
    users would have no guard.
    """
    try:
        replace(str(path), data, mode=0o600 | path.parent.stat().st_mode & 0o044)
    except FolderNotFlushed:
        pass  # the file is written; `guard status` finds out if it is still there after a crash


def _remove(path: Path) -> None:
    path.unlink()
    _remove_bytecode(path)


def _remove_bytecode(module: Path) -> None:
    for path in _bytecode(module):
        path.unlink()


def _bytecode(module: Path) -> list[Path]:
    """Return the cached bytecode of a module, of every interpreter and optimization level."""
    cache = module.parent / CACHE
    if module.suffix != ".py" or not cache.is_dir():
        return []
    return [
        path
        for path in cache.iterdir()
        if path.name.startswith(f"{module.stem}.") and path.suffix == ".pyc"
    ]
