"""Bytecode that chains to the lock: one pack of code objects per plugin, and an index of it.

Beside the lock, for one interpreter (its cache tag) and one optimisation level::

    PLUGINS.bytecode/<cache tag>[.opt-N]/<plugin id>.index    JSON: tree digest, magic, entries
    PLUGINS.bytecode/<cache tag>[.opt-N]/<plugin id>.pack     entries, one after the other

An entry is what a hash-based ``.pyc`` file is (PEP 552), so that CPython's own reader of those
reads it. It is used only if, in this order:

1. the index is at least as well protected as the lock: a regular file of the lock's owner or of
   root, and nobody may write it who may not write the lock;
2. the index is for the tree digest that was just verified, and for this interpreter's bytecode;
3. the bytes of the entry, read once, have the digest that the index names.

The pack needs no protection, because of 3. Whatever is wrong, source is compiled instead.
"""

import os
import sys

# What importlib.util re-exports; that module is not loaded on the enforcement path.
from _frozen_importlib_external import MAGIC_NUMBER

from codegenie import _start
from codegenie.files import OPEN_FLAGS, open_regular, read_opened
from codegenie.hashing import file_digest
from codegenie.parsers import safe_json
from codegenie.result import Err
from codegenie.types.parsers import parse_blob_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    # Per source file: offset and size in the pack, in bytes, and the SHA-256 of the entry.
    Entries: TypeAlias = dict[str, tuple[int, int, bytes]]

FOLDER_NAME = "PLUGINS.bytecode"
"""With a dot in it, so that no import can name the folder."""

INDEX_SUFFIX = ".index"
PACK_SUFFIX = ".pack"
FORMAT = 1

MAX_INDEX_BYTES = 64 * 1024 * 1024
MAX_INDEX_DEPTH = 2

_WRITE_BITS = 0o022
"""Of ``st_mode``: the group, and everybody else, may write."""

_ROOT = 0


class Pack:
    """The bytecode of one verified tree."""

    __slots__ = ("_entries", "_path")

    def __init__(self, path: str, entries: "Entries") -> None:
        self._path = path
        self._entries = entries

    def names(self) -> "frozenset[str]":
        """The source files that have an entry."""
        return frozenset(self._entries)

    def read(self, relative: str) -> "bytes | Unusable":
        """The entry of one source file, if it is what the index says."""
        found = self._entries.get(relative)
        if found is None:
            return Unusable("the pack has no entry for a module")
        offset, size, digest = found
        try:
            descriptor = _start.open_file(self._path, OPEN_FLAGS)
            try:
                data = _start.pread(descriptor, size, offset)
            finally:
                _start.close(descriptor)
        except OSError:
            return Unusable("the pack cannot be read")
        if file_digest(data) != digest:
            return Unusable("an entry of the pack is not what its index says")
        return data


class Unusable:
    """Why source is compiled although there could have been bytecode."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class BytecodeUse:
    """How many modules of a plugin came from its pack, how many were compiled, and why the last."""

    __slots__ = ("compiled", "from_pack", "reason")

    def __init__(self) -> None:
        self.from_pack = 0
        self.compiled = 0
        self.reason = ""


def folder_for(lock: str) -> str | None:
    """Where this interpreter's packs are; ``None`` if it has no bytecode of its own."""
    tag = sys.implementation.cache_tag
    if tag is None:
        return None
    level = f".opt-{sys.flags.optimize}" if sys.flags.optimize else ""
    return f"{os.path.dirname(lock)}/{FOLDER_NAME}/{tag}{level}"


def load(lock: str, plugin: str, tree_digest: str) -> Pack | Unusable:
    """Steps 1 and 2 for the pack of a plugin whose tree was just verified."""
    folder = folder_for(lock)
    if folder is None:
        return Unusable("this interpreter has no cache tag")
    path = f"{folder}/{plugin}{INDEX_SUFFIX}"
    opened = open_regular(path)
    if isinstance(opened, Err):
        return Unusable("there is no pack" if not os.path.lexists(path) else str(opened.error))
    descriptor, status = opened.value
    data = read_opened(path, descriptor, max_bytes=MAX_INDEX_BYTES)
    if isinstance(data, Err):
        return Unusable(str(data.error))
    weaker = _is_weaker_than(lock, status)
    if weaker:
        return Unusable(weaker)
    try:
        index = safe_json.parse(data.value, max_depth=MAX_INDEX_DEPTH)
        return Pack(f"{folder}/{plugin}{PACK_SUFFIX}", _entries(index, tree_digest))
    except ValueError as error:
        return Unusable(str(error))


def _is_weaker_than(lock: str, index: os.stat_result) -> str:
    """What makes the index less protected than the lock; empty if it is not."""
    try:
        reference = _start.lstat(lock)
    except OSError:
        return "the lock is gone"
    if index.st_uid not in (reference.st_uid, _ROOT):
        return "the index belongs to another user than the lock"
    if index.st_mode & _WRITE_BITS & ~reference.st_mode:
        return "the index may be written by more users than the lock"
    if index.st_mode & _WRITE_BITS & 0o020 and index.st_gid != reference.st_gid:
        return "the index may be written by another group than the lock"
    return ""


def _entries(index: object, tree_digest: str) -> "Entries":
    """The entries of an index.

    Raises:
        ValueError: it is for another tree or interpreter, or is damaged.
    """
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError("the index is of another format")
    if index.get("tree") != tree_digest:
        raise ValueError("the pack is stale: it was made of another state of the plugin")
    if index.get("magic") != MAGIC_NUMBER.hex():
        raise ValueError("the pack was made by another interpreter")
    listed = index.get("entries")
    if not isinstance(listed, dict):
        raise ValueError("the index is damaged")
    entries: Entries = {}
    for relative, entry in listed.items():
        try:
            offset, size, hexadecimal = entry.split(" ")
            digest = parse_blob_digest(hexadecimal).unwrap()
            entries[relative] = (int(offset), int(size), bytes.fromhex(digest))
        except (AttributeError, ValueError, RuntimeError):
            raise ValueError("the index is damaged") from None
    return entries


def render(tree_digest: str, codes: "Mapping[str, bytes]") -> tuple[bytes, bytes]:
    """The pack and the index of a plugin, from the entry of each source file."""
    lines = []
    offset = 0
    for relative in sorted(codes):
        entry = codes[relative]
        # As text, not as a list: nothing in it has to be counted for its depth.
        place = f"{offset} {len(entry)} {file_digest(entry).hex()}"
        lines.append(f'    {safe_json.quote(relative)}: "{place}"')
        offset += len(entry)
    listed = ",\n".join(lines)
    index = (
        f'{{\n  "format": {FORMAT},\n  "tree": "{tree_digest}",\n'
        f'  "magic": "{MAGIC_NUMBER.hex()}",\n  "entries": {{\n{listed}\n  }}\n}}\n'
    )
    return b"".join(codes[relative] for relative in sorted(codes)), index.encode("ascii")
