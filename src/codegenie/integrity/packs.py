"""Read and render packs: bytecode of one plugin, with an index that binds it to the lock.

Both files are beside the lock, for one interpreter (cache tag) and one optimization level::

    PLUGINS.bytecode/<cache tag>[.opt-N]/<plugin id>.index    JSON: tree, magic, level, entries
    PLUGINS.bytecode/<cache tag>[.opt-N]/<plugin id>.pack     entries, one after the other

An entry has the format of a hash-based ``.pyc`` file (PEP 552), so other tools can read it. The
guard executes an entry only if these checks pass, in this order:

1. The index is at least as well protected as the lock. It is a regular file of the lock's owner or
   of root, and every user who can write the index can also write the lock. An owner that the user
   namespace does not map is rejected. If a policy is pinned, the statement must name the
   digest of the index instead.
2. The index is for the tree digest that was just verified, for this interpreter's bytecode, and for
   its optimization level. The folder's name also holds the level, but is not protected.
3. The bytes of the entry, read once, have the digest that the index names.

The pack needs no protection, because of check 3. If a check fails, the guard compiles the source.
"""

import _imp
import _thread
import gc
import os
import sys

# importlib.util re-exports it, but is not loaded on the enforcement path.
from _frozen_importlib_external import MAGIC_NUMBER

from codegenie import _start
from codegenie.files import OPEN_FLAGS, as_locked, on_disk, open_regular, read_exactly, read_opened
from codegenie.hashing import file_digest
from codegenie.parsers import safe_json
from codegenie.result import Err
from codegenie.types.parsers import parse_blob_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping  # noqa: F401
    from types import CodeType  # noqa: F401
    from typing import TypeAlias

    # Takes the path of an index beside the lock, and its bytes.
    IsCovered: TypeAlias = Callable[[str, bytes], bool]

    # Per source file: "<offset> <size> <SHA-256>" of its entry in the pack.
    Entries: TypeAlias = dict[str, str]

FOLDER_NAME = "PLUGINS.bytecode"
"""Contains a dot, so no import can name the folder."""

INDEX_SUFFIX = ".index"
PACK_SUFFIX = ".pack"
FORMAT = 1
HEADER = MAGIC_NUMBER + (0b01).to_bytes(4, "little")
"""The beginning of an entry (PEP 552): hash-based, and not compared with the source on load."""

HEADER_SIZE = 16
"""Bytes. After ``HEADER`` comes the hash of the source, which is not used here."""

CODE = type((lambda: None).__code__)
_DAMAGED = "the index is damaged"

MAX_NAME_BYTES = 200
MAX_INDEX_BYTES = 64 * 1024 * 1024
MAX_INDEX_DEPTH = 2

_WRITE_BITS = 0o022
"""In ``st_mode``: writable by the group, and by others."""

_ROOT = 0

_ALL_IDS = 2**32 - 1
"""The number of ids that can be mapped. The largest 32-bit number is not an id."""

_DEFAULT_OVERFLOW_ID = 65534


class Pack:
    """The bytecode of one verified tree, with counts of its use.

    ``reason`` explains why the guard compiled source instead of using the pack. It is empty until
    that happens.
    """

    __slots__ = ("_entries", "_path", "compiled", "from_pack", "reason")

    def __init__(self, path, entries, reason=""):
        # type: (str, Entries, str) -> None
        self._path = path
        self._entries = entries
        self.reason = reason
        self.from_pack = 0
        self.compiled = 0

    def names(self):
        # type: () -> frozenset[str]
        """Return the source files that have an entry."""
        return frozenset(self._entries)

    def has(self, relative):
        # type: (str) -> bool
        """Return True if a source file has an entry."""
        return relative in self._entries

    def read(self, relative):
        # type: (str) -> bytes | None
        """Return the entry of a source file if it matches the index; else set ``reason``."""
        try:
            offset, size, digest = _location(self._entries[relative])
            descriptor = _start.open_file(self._path, OPEN_FLAGS)
            try:
                # CPython allocates the whole size before it reads, so check the size first. A
                # negative offset would make any size pass.
                if offset < 0 or offset + size > _start.fstat(descriptor).st_size:
                    raise ValueError(_DAMAGED)
                data = _start.pread(descriptor, size, offset)
            finally:
                _start.close(descriptor)
        except KeyError:
            self.reason = "the pack has no entry for a module"
        except ValueError as error:
            self.reason = str(error)
        except (OSError, OverflowError):
            self.reason = "the pack cannot be read"
        else:
            if file_digest(data) == digest:
                return data
            self.reason = "an entry of the pack is not what its index says"
        return None

    def code(self, relative, path):
        # type: (str, str) -> CodeType | None
        """Return the code object of one source file, as if it had been compiled from ``path``.

        Returns None and sets ``reason`` if the pack has no usable entry.
        """
        code = self.code_to_compare(relative, path)
        if code is not None:
            self.from_pack += 1
        return code

    def code_to_compare(self, relative, path):
        # type: (str, str) -> CodeType | None
        """Return what ``code`` returns, for a module whose code comes from elsewhere.

        Does not count it as a use of the pack.
        """
        entry = self.read(relative)
        if entry is None:
            return None
        code = _code_of(entry, path)
        if code is None:
            self.reason = "an entry of the pack is no code"
        return code

    def count_compiled(self, relative):
        # type: (str) -> None
        """Record that a source file is compiled instead."""
        self.compiled += 1
        if not self.reason and not self.has(relative):
            self.reason = "the pack has no entry for a module"


def folder_for(lock):
    # type: (str) -> str | None
    """Return the folder of this interpreter's packs, or None if it has no cache tag."""
    tag = sys.implementation.cache_tag
    if tag is None:
        return None
    level = f".opt-{sys.flags.optimize}" if sys.flags.optimize else ""
    return f"{os.path.dirname(lock)}/{FOLDER_NAME}/{tag}{level}"


def name_for(unit):
    # type: (str) -> str
    """Return the name of a unit's pack without its suffix: the unit's, or a digest if it is long.

    A file name has at most 255 bytes, and the suffixes and a temporary name need some of them.
    """
    encoded = unit.encode("utf-8")
    return on_disk(unit) if len(encoded) <= MAX_NAME_BYTES else file_digest(encoded).hex()


def index_subject(lock, unit):
    # type: (str, str) -> str
    """Return the path of a unit's index beside the lock, as a statement names it.

    Args:
        lock: the path of the lock.
        unit: the unit. This interpreter has a cache tag.
    """
    tag = (folder_for(lock) or "").rpartition("/")[2]
    return f"{FOLDER_NAME}/{tag}/{as_locked(name_for(unit))}{INDEX_SUFFIX}"


def load_pack(lock, plugin, tree_digest, is_covered=None):
    # type: (str, str, str, IsCovered | None) -> Pack
    """Do checks 1 and 2 for the pack of a plugin whose tree was just verified.

    Args:
        lock: the path of the lock.
        plugin: the unit.
        tree_digest: that of the verified tree.
        is_covered: if a policy is pinned, decides in place of the owner and the mode of the
            index: True if the statement names these bytes under this path beside the lock.

    Returns:
        The pack. If none is usable, a pack without entries that has a ``reason``.
    """
    folder = folder_for(lock)
    if folder is None:
        return Pack("", {}, "this interpreter has no cache tag")
    path = f"{folder}/{name_for(plugin)}{INDEX_SUFFIX}"
    opened = open_regular(path)
    if isinstance(opened, Err):
        missing = not os.path.lexists(path)
        return Pack("", {}, "there is no pack" if missing else str(opened.error))
    descriptor, status = opened.value
    weaker = "" if is_covered else _is_weaker_than(lock, status)
    if weaker:
        # Do not read it, because another user may have made it huge.
        _start.close(descriptor)
        return Pack("", {}, weaker)
    data = read_opened(path, descriptor, max_bytes=MAX_INDEX_BYTES)
    if isinstance(data, Err):
        return Pack("", {}, str(data.error))
    if is_covered and not is_covered(index_subject(lock, plugin), data.value):
        return Pack("", {}, "the statement does not name the index, or names another one")
    try:
        index = safe_json.parse(data.value, max_depth=MAX_INDEX_DEPTH)
        return Pack(f"{folder}/{name_for(plugin)}{PACK_SUFFIX}", _entries(index, tree_digest))
    except ValueError as error:
        return Pack("", {}, str(error))


def _is_weaker_than(lock, index):
    # type: (str, os.stat_result) -> str
    """Return why the index is less protected than the lock, or an empty text."""
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
    if index.st_uid != _ROOT and index.st_uid == unmapped_id("uid"):
        return "the index belongs to a user that this user namespace does not map"
    if index.st_mode & _WRITE_BITS & 0o020 and index.st_gid == unmapped_id("gid"):
        return "the index may be written by a group that this user namespace does not map"
    return ""


def unmapped_id(kind):
    # type: (str) -> int | None
    """Return the id that the kernel shows for unmapped users ("uid") or groups ("gid").

    Threat: in a user namespace the kernel shows all unmapped owners as the same id. So the index of
    one unmapped user seems to belong to the unmapped owner of the lock. Rule: a file with this
    owner is not trusted.

    Returns:
        None if all ids are mapped, as outside of user namespaces, so every id is a real owner.
    """
    try:
        mapped = _read_proc(f"/proc/self/{kind}_map")
    except OSError:
        # Without /proc there may be a user namespace on Linux. Other systems have none.
        unknown = sys.platform == "linux" and not os.path.isdir("/proc/self")
        return _DEFAULT_OVERFLOW_ID if unknown else None
    # One line for each range: its first id here, its first id outside, how many.
    if sum(int(line.split()[2]) for line in mapped.splitlines()) >= _ALL_IDS:
        return None
    try:
        return int(_read_proc(f"/proc/sys/kernel/overflow{kind}"))
    except (OSError, ValueError):
        return _DEFAULT_OVERFLOW_ID


def _read_proc(path):
    # type: (str) -> bytes
    descriptor = _start.open_file(path, OPEN_FLAGS)
    try:
        return read_exactly(descriptor, 64 * 1024)
    finally:
        _start.close(descriptor)


def _entries(index, tree_digest):
    # type: (object, str) -> Entries
    """Return the entries of an index.

    Raises:
        ValueError: it is for another tree or interpreter, or is damaged.
    """
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise ValueError("the index is of another format")
    if index.get("tree") != tree_digest:
        raise ValueError("the pack is stale: it was made of another state of the plugin")
    if index.get("magic") != MAGIC_NUMBER.hex():
        raise ValueError("the pack was made by another interpreter")
    if index.get("optimize") != sys.flags.optimize:
        raise ValueError("the pack was made for another optimisation level")
    listed = index.get("entries")
    if not isinstance(listed, dict):
        raise ValueError(_DAMAGED)
    return listed


def _location(entry):
    # type: (object) -> tuple[int, int, bytes]
    """Parse offset, size and digest of an entry. Done on use, because most are never used.

    Raises:
        ValueError: the index is damaged.
    """
    try:
        offset, size, hexadecimal = entry.split(" ")  # type: ignore[attr-defined]
        digest = parse_blob_digest(hexadecimal).unwrap()
        return int(offset), int(size), bytes.fromhex(digest)
    except (AttributeError, ValueError, RuntimeError):
        raise ValueError(_DAMAGED) from None


def _code_of(entry, path):
    # type: (bytes, str) -> CodeType | None
    """Return the code object of a verified entry.

    Garbage collection is paused, because unmarshalling creates thousands of objects and no garbage,
    and would start many collections. The switch belongs to the whole process, so it is not used if
    another thread could see it, or fork while collection is off.

    Returns:
        None if the entry holds no code, or is for another interpreter.
    """
    if entry[: len(HEADER)] != HEADER:
        return None
    pause = gc.isenabled() and not _thread._count()
    try:
        if pause:
            gc.disable()
        code = _start.unmarshal(memoryview(entry)[HEADER_SIZE:])
    except (EOFError, TypeError, ValueError):
        return None
    finally:
        if pause:
            gc.enable()
    if type(code) is not CODE:
        return None
    # The plugin folder may have had another path when the pack was compiled.
    _imp._fix_co_filename(code, path)  # type: ignore[attr-defined]
    return code


def render(tree_digest, codes):
    # type: (str, Mapping[str, bytes]) -> tuple[bytes, bytes]
    """Return the pack and the index of a plugin, from the entry of each source file."""
    lines = []
    offset = 0
    for relative in sorted(codes):
        entry = codes[relative]
        # As text, because lists would need a check of their depth.
        place = f"{offset} {len(entry)} {file_digest(entry).hex()}"
        lines.append(f'    {safe_json.quote(relative)}: "{place}"')
        offset += len(entry)
    listed = ",\n".join(lines)
    index = (
        f'{{\n  "format": {FORMAT},\n  "tree": "{tree_digest}",\n'
        f'  "magic": "{MAGIC_NUMBER.hex()}",\n  "optimize": {sys.flags.optimize},\n'
        f'  "entries": {{\n{listed}\n  }}\n}}\n'
    )
    return b"".join(codes[relative] for relative in sorted(codes)), index.encode("ascii")
