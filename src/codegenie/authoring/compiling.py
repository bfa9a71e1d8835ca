"""Write packs of bytecode for this interpreter, and check that they match the source."""

from __future__ import annotations

import importlib.util
import marshal
import os
import stat
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

from codegenie.files import reason
from codegenie.integrity import packs
from codegenie.integrity.code_objects import same_code
from codegenie.integrity.packs import Pack
from codegenie.integrity.reading import read_verified
from codegenie.integrity.verified_tree import VerifiedTree
from codegenie.refusals import kinds
from codegenie.refusals.record import Refusal
from codegenie.result import Err, Ok, Result
from codegenie.writing import FolderNotFlushed, make_folder, replace

SOURCE_SUFFIX = ".py"

_DOES_NOT_COMPILE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
"""The errors of the compiler for invalid or too deeply nested sources."""


@dataclass(frozen=True)
class Compiled:
    """The pack of one plugin: the number of its modules, and its size in bytes."""

    plugin: str
    modules: int
    size: int


class NotWritten(Exception):
    """Packs cannot be written here, or would not be used. The text is one sentence."""


def write_pack(found: VerifiedTree, lock: str) -> Result[Compiled, Refusal]:
    """Compile every module of a verified tree and write its pack and index beside the lock.

    Skips files that do not compile, such as templates, test data and code for another Python.

    Raises:
        NotWritten: the pack cannot be written, or would not be used. The plugin is correct.
    """
    folder = packs.folder_for(lock)
    if folder is None:
        raise NotWritten("this interpreter has no cache tag, and so no bytecode of its own")
    codes: dict[str, bytes] = {}
    for relative in _sources(found):
        data = read_verified(found, relative)
        if isinstance(data, Err):
            return data
        code = _marshalled(data.value, found.path_of(relative))
        if code is not None:
            source_hash = importlib.util.source_hash(data.value)
            codes[relative] = packs.HEADER + source_hash + code
    pack, index = packs.render(found.digest, codes)
    try:
        _write_beside(lock, folder, found.plugin, pack, index)
    except OSError as error:
        said = f"the bytecode of {found.plugin} cannot be written to {folder}: {reason(error)}"
        raise NotWritten(said) from error
    written = packs.load_pack(lock, found.plugin, found.digest)
    if written.reason:
        raise NotWritten(f"the bytecode of {found.plugin} would not be used: {written.reason}")
    return Ok(Compiled(found.plugin, len(codes), len(pack)))


def _write_beside(lock: str, folder: str, plugin: str, pack: bytes, index: bytes) -> None:
    """Write a pack and its index with the read permissions of the lock, whatever the umask is.

    Raises:
        OSError: the old pack and index are unchanged, or are no longer used.
    """
    permissions = stat.S_IMODE(os.lstat(lock).st_mode) & 0o666
    # A folder that can be read must also be entered.
    of_folders = 0o700 | permissions | (permissions & 0o444) >> 2
    make_folder(str(Path(folder).parent), mode=of_folders)
    make_folder(folder, mode=of_folders)
    # The index comes last. Until it is written, the old index rejects entries of the new pack.
    for suffix, data in ((packs.PACK_SUFFIX, pack), (packs.INDEX_SUFFIX, index)):
        try:
            replace(f"{folder}/{packs.name_for(plugin)}{suffix}", data, mode=permissions)
        except FolderNotFlushed:
            pass  # after a crash the old file may be back, and is not used


def check_pack(
    found: VerifiedTree, lock: str, is_covered: packs.IsCovered | None = None
) -> Refusal | str | None:
    """Check that a plugin's pack is exactly what this interpreter compiles from verified source.

    Args:
        found: the verified tree.
        lock: the path of the lock.
        is_covered: if there is a policy, as for ``packs.load_pack``. A pack that the statement does
            not name is compared as well, although it would not run.

    Returns:
        A refusal if the pack differs, the reason if the pack would not be used, or None.
    """
    loaded = packs.load_pack(lock, found.plugin, found.digest, is_covered and _any_index)
    if loaded.reason:
        return loaded.reason
    unused = packs.load_pack(lock, found.plugin, found.digest, is_covered).reason
    return _difference_from_source(found, lock, loaded) or unused or None


def _any_index(name: str, data: bytes) -> bool:
    """Return True: the pack is compared with the source, and does not run."""
    return True


def _difference_from_source(found: VerifiedTree, lock: str, loaded: Pack) -> Refusal | None:
    """Return a refusal if a pack is not what this interpreter compiles from verified source."""
    expected: dict[str, CodeType] = {}
    for relative in _sources(found):
        data = read_verified(found, relative)
        if isinstance(data, Err):
            return data.error
        code = _compiled(data.value, found.path_of(relative))
        if code is not None:
            expected[relative] = code
    for relative in sorted(loaded.names() | expected.keys()):
        detail = _difference(loaded, relative, expected.get(relative))
        if detail:
            path = f"{packs.folder_for(lock)}/{packs.name_for(found.plugin)}{packs.PACK_SUFFIX}"
            fix = (
                "run codegenie plugins compile with the interpreter that is to use it; if that one "
                "wrote it, find out who has changed it since"
            )
            return kinds.unverified_code(found.plugin, path, f"{relative} {detail}", remedy=fix)
    return None


def stale_plugins(lock: str, entries: dict[str, str]) -> list[str]:
    """Return the plugins with packs for another state than the locked one."""
    folder = packs.folder_for(lock)
    return [
        plugin
        for plugin, digest in sorted(entries.items())
        if os.path.lexists(f"{folder}/{packs.name_for(plugin)}{packs.INDEX_SUFFIX}")
        and packs.load_pack(lock, plugin, digest).reason
    ]


def packs_in_use(
    lock: str, entries: Mapping[str, str], is_covered: packs.IsCovered | None = None
) -> dict[str, str]:
    """Return the plugins that have a pack for this interpreter, each with why it is not used.

    Reads each pack as an import does, and compiles nothing: a pack with an empty reason is what its
    index says, and was not compared with the source.

    Args:
        lock: the path of the lock.
        entries: the tree digest of each plugin.
        is_covered: if there is a policy, as for ``packs.load_pack``.
    """
    folder = packs.folder_for(lock)
    found = {}
    for plugin, digest in sorted(entries.items()):
        if os.path.lexists(f"{folder}/{packs.name_for(plugin)}{packs.INDEX_SUFFIX}"):
            loaded = packs.load_pack(lock, plugin, digest, is_covered)
            for name in sorted(loaded.names()):
                if loaded.read(name) is None:
                    break
            found[plugin] = loaded.reason
    return found


def in_words(found: Mapping[str, str]) -> str:
    """Return one line about packs that were read and not compared with the source."""
    unused = [f"{plugin} ({reason})" for plugin, reason in found.items() if reason]
    used = len(found) - len(unused)
    parts = [f"{used} not compared with the source"] if used else []
    parts += [f"not used: {', '.join(unused)}"] if unused else []
    return "; ".join(parts)


def _sources(found: VerifiedTree) -> list[str]:
    return sorted(path for path in found.files if path.endswith(SOURCE_SUFFIX))


def _compiled(source: bytes, path: str) -> CodeType | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are about the source
        try:
            code: CodeType = compile(source, path, "exec", dont_inherit=True)
        except _DOES_NOT_COMPILE:
            return None
    return code


def _marshalled(source: bytes, path: str) -> bytes | None:
    code = _compiled(source, path)
    try:
        return None if code is None else marshal.dumps(code)
    except ValueError:  # nested too deeply for marshal
        return None


def _difference(loaded: Pack, relative: str, expected: CodeType | None) -> str:
    entry = loaded.read(relative)
    if entry is None:
        return f"cannot be read from its pack: {loaded.reason}"
    if expected is None:
        return "is in its pack, and is no source that compiles"
    try:
        # The index has verified these bytes, as for an import.
        code = marshal.loads(entry[packs.HEADER_SIZE :])  # noqa: S302
    except (EOFError, ValueError, TypeError):
        return "is damaged in its pack"
    if not isinstance(code, CodeType) or not same_code(expected, code):
        return "is other code in its pack than this interpreter makes of the verified source"
    return ""
