"""Walk a unit: a folder, or a single file. Only this module decides what is skipped and refused.

The walk opens entries relative to the descriptor of their folder and follows no link. It never
opens a checked entry again by path. It skips ``__pycache__`` folders, ``*.pyc`` files, and ``.git``
(a folder, or the file of a submodule or work tree); nothing in this project reads, serves or lists
them.

A tree that cannot be pinned is refused as a whole. These are links, FIFOs, sockets, devices,
unreadable entries, names that are not UTF-8 or that the line format cannot hold, and two names in
one folder that are equal on some file systems.
"""

import os
import stat

from codegenie import _start
from codegenie._start.own_modules import Late
from codegenie.files import (
    OPEN_FLAGS,
    as_locked,
    kind_of,
    on_disk,
    open_unblocked,
    reason,
)
from codegenie.hashing import SWITCH_AFTER, expect, sha256, tree_digest_of_digests
from codegenie.parsers import safe_json
from codegenie.result import Err, Ok
from codegenie.types.parsers import folded, is_reserved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator  # noqa: F401
    from typing import NoReturn  # noqa: F401

    from codegenie.refusals.record import Refusal
    from codegenie.result import Result  # noqa: F401

    Files = dict[str, tuple[bytes, int]]
    from codegenie import text
    from codegenie.integrity import large_files
    from codegenie.refusals import kinds
else:
    text = Late("text")
    large_files = Late("integrity.large_files")
    kinds = Late("refusals.kinds")

BYTECODE_FOLDER = "__pycache__"
BYTECODE_SUFFIX = ".pyc"
GIT = ".git"

ROOT_MODULE = "__init__.py"
"""The unit that runs as the package of the guarded folder itself."""

MAX_DEPTH = 128
"""Nested folders. Each level keeps a descriptor open; real plugins stay below 20."""

MAX_ENTRIES = 1_000_000
"""Files, folders and bytecode in one tree. Each takes some hundred bytes of memory and some
microseconds of every start; real plugins stay below 100 000."""

MAX_ROOT_ENTRIES = 10_000
"""Folders and module files in the guarded folder itself. A lock of 64 KiB has less than 1000."""

LARGE = 64 * 1024
"""Bytes. A smaller file is read at once, a larger one in blocks, so memory stays bounded."""

MAX_OPEN = 32
"""Large files that are open at the same time, to be hashed in parallel."""

_FOLDER_FLAGS = OPEN_FLAGS | os.O_DIRECTORY


def load_all():
    # type: () -> None
    """Load what only some verifications need, before one that may not import (``find_spec``)."""
    import unicodedata  # noqa: F401

    safe_json.load_scanner()
    expect(SWITCH_AFTER + 1)


class Tree:
    """The result of a walk: the tree digest (hex) and, per path, the SHA-256 and size in bytes.

    A unit that is a single file is a tree of one file, named by it; then ``is_file`` is True.
    """

    __slots__ = ("digest", "files", "is_file")

    def __init__(self, files, *, is_file=False):
        # type: (Files, bool) -> None
        self.files = files
        self.is_file = is_file
        self.digest = tree_digest_of_digests((path, record[0]) for path, record in files.items())


class _Refused(Exception):
    """Carries a refusal out of the walk; never leaves this module.

    The refusal is made after the walk has closed its files. Its words are loaded then, which needs
    a descriptor.
    """

    def __init__(self, make):
        # type: (Callable[[], Refusal]) -> None
        self.refusal = make


def walk(root, plugin):
    # type: (str, str) -> Result[Tree, Refusal]
    """Hash every file of the folder ``root/plugin``, or the single file of that path.

    Returns:
        The tree, or a ``symlink_escape``, ``unhashable_tree`` or ``missing_plugin_directory``.
    """
    walker = _Walker(root, plugin)
    try:
        return Ok(walker.run())
    except _Refused as carried:
        return Err(carried.refusal())


def findings(root, plugin, most):
    # type: (str, str, int) -> list[Refusal]
    """Return every refusal of a unit, up to ``most``, where ``walk`` stops at the first one.

    A person who corrects a folder needs all of them at once. No decision rests on this list.
    """
    found: list[Refusal] = []
    walker = _Walker(root, plugin, found)
    try:
        walker.run()
    except _Refused as carried:
        found.append(carried.refusal())
    return found[:most]


class _Walker:
    """One walk. It keeps a list of folders instead of recursing, because a tree may be deep.

    With ``kept``, the walk goes on after an entry that is refused, and adds the refusal to it.
    """

    def __init__(self, root, plugin, kept=None):
        # type: (str, str, list[Refusal] | None) -> None
        self._kept = kept
        self.root = root
        self.plugin = plugin
        self.files: Files = {}
        self._in_folder = False
        self._large: list[large_files.LargeFile] = []
        self._waiting: list[tuple[str, bytes]] = []
        """Small files that were read before the hash was chosen: ``SWITCH_AFTER`` bytes at most."""
        self._entries_left = MAX_ENTRIES

    def run(self):
        # type: () -> Tree
        if self._is_file():
            return Tree(self._walk_file(), is_file=True)
        return Tree(self._walk_folder(self._open_plugin(_FOLDER_FLAGS)))

    def _walk_file(self):
        # type: () -> Files
        """Hash a unit that is one file.

        Refuses bytecode: a ``.pyc`` is in no digest, so its lock entry would pin nothing.
        """
        if self.plugin.endswith(BYTECODE_SUFFIX):
            self._refuse("", "is bytecode, which is in no digest")
        try:
            self._hash(self._open_plugin(OPEN_FLAGS), self.plugin)
            self._hash_large()
            self._hash_waiting()
        finally:
            for file in self._large:
                _start.close(file.descriptor)
        return self.files

    def _walk_folder(self, descriptor):
        # type: (int) -> Files
        """Visit a folder and all folders below it, without recursion.

        Threat: an attacker replaces a folder by a link between two steps, or nests thousands of
        folders. Rule: open each folder relative to its parent's descriptor, without following
        links, and limit the depth. Consequence: no path is resolved twice, and no tree exhausts
        the stack.

        Every descriptor is closed, also after a refusal.
        """
        self._in_folder = True
        # Folders still to be visited, deepest last: (descriptor, path prefix, sub-folders left).
        pending: list[tuple[int, str, list[str]]] = [(descriptor, "", [])]
        try:
            pending[0][2].extend(self._visit(descriptor, ""))
            while pending:
                descriptor, prefix, folders = pending[-1]
                if not folders:
                    pending.pop()
                    _start.close(descriptor)
                    continue
                name = folders.pop()
                path = prefix + name
                if len(pending) > MAX_DEPTH:
                    self._refuse(path, f"is more than {MAX_DEPTH} folders deep")
                try:
                    child = self._open(name, descriptor, path, _FOLDER_FLAGS)
                except _Refused as carried:
                    self._keep(carried)
                    continue
                try:
                    sub_folders = self._visit(child, path + "/")
                except BaseException:
                    _start.close(child)
                    raise
                pending.append((child, path + "/", sub_folders))
            self._hash_large()
            self._hash_waiting()
        finally:
            for descriptor, _, _ in pending:
                _start.close(descriptor)
            for file in self._large:
                _start.close(file.descriptor)
        return self.files

    def _is_file(self):
        # type: () -> bool
        """Return True if the unit is a single file, and False for a folder."""
        if _start.open_file not in os.supports_dir_fd or _start.scandir not in os.supports_fd:
            self._refuse("", "cannot be walked safely: this platform has no openat()")
        try:
            mode = _start.lstat(self._path()).st_mode
        except FileNotFoundError:
            raise self._missing() from None
        except OSError as error:
            self._refuse("", f"cannot be opened: {reason(error)}")
        if stat.S_ISLNK(mode):
            self._refuse_link("")
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            self._refuse("", f"is {kind_of(mode)}, not a folder or a file")
        return stat.S_ISREG(mode)

    def _open_plugin(self, flags):
        # type: (int) -> int
        """Open the unit itself, without following a link and without waiting for a FIFO."""
        try:
            return open_unblocked(self._path(), flags)
        except FileNotFoundError:
            raise self._missing() from None
        except OSError as error:
            self._refuse("", f"cannot be opened: {reason(error)}")

    def _path(self):
        # type: () -> str
        return f"{self.root}/{on_disk(self.plugin)}"

    def _missing(self):
        # type: () -> _Refused
        return _Refused(lambda: kinds.MISSING_PLUGIN_DIRECTORY.refusal(self.root, self.plugin))

    def _visit(self, descriptor, prefix):
        # type: (int, str) -> list[str]
        """Hash the files of one folder and return the names of its sub-folders, last one first."""
        folders, files = self._list(descriptor, prefix)
        for name in files:
            path = prefix + name
            try:
                self._hash(self._open(name, descriptor, path, OPEN_FLAGS), path)
            except _Refused as carried:
                self._keep(carried)
        folders.reverse()
        return folders

    def _keep(self, carried):
        # type: (_Refused) -> None
        """Keep a refusal and go on, or raise it again if the walk decides something."""
        if self._kept is None:
            raise carried
        self._kept.append(carried.refusal())

    def _list(self, descriptor, prefix):
        # type: (int, str) -> tuple[list[str], list[str]]
        """Return the names of the sub-folders and of the files that are in the digest, sorted."""
        folders: list[str] = []
        files: list[str] = []
        names: dict[str, str] = {}
        try:
            with _start.scandir(descriptor) as entries:
                # Sorted, so every system refuses a hostile tree for the same entry.
                for entry in sorted(self._counted(entries, prefix), key=_entry_name):
                    try:
                        name = self._checked_name(entry, prefix, names)
                        if entry.is_dir(follow_symlinks=False):
                            if name != BYTECODE_FOLDER and name != GIT:
                                folders.append(name)
                        elif entry.is_file(follow_symlinks=False):
                            if not name.endswith(BYTECODE_SUFFIX) and name != GIT:
                                files.append(name)
                        else:
                            self._refuse_special(entry, prefix + name)
                    except _Refused as carried:
                        self._keep(carried)
        except OSError as error:
            self._refuse(prefix, f"cannot be listed: {reason(error)}")
        return folders, files

    def _checked_name(self, entry, prefix, names):
        # type: (os.DirEntry[str], str, dict[str, str]) -> str
        """Return the name of an entry in UTF-8, or refuse the name.

        Args:
            names: the names of the folder by their folded form, to which this one is added.
        """
        name = entry.name
        if name.isascii() and name.isprintable() and "\\" not in name:
            key = name.lower()  # fast, and true of nearly every name
        else:
            name = self._unusual_name(name, prefix)
            key = folded(name)
        other = names.setdefault(key, name)
        if other is not name:
            detail = f"and {other!r} are one name on file systems that fold case"
            self._refuse(prefix + name, detail)
        return name

    def _counted(self, entries, prefix):
        # type: (Iterator[os.DirEntry[str]], str) -> list[os.DirEntry[str]]
        """Return the entries of a folder, up to the limit. Skipped entries count as well."""
        taken = [entry for _, entry in zip(range(self._entries_left + 1), entries, strict=False)]
        self._entries_left -= len(taken)
        if self._entries_left < 0:
            self._refuse(prefix, f"is in a tree of more than {MAX_ENTRIES} entries")
        return taken

    def _unusual_name(self, raw, prefix):
        # type: (str, str) -> str
        """Return an unusual name in UTF-8, or refuse the name."""
        try:
            # Decoded again, because with ASCII as the file system encoding, scandir returns
            # surrogates for all non-ASCII bytes.
            name = os.fsencode(raw).decode("utf-8")
        except UnicodeDecodeError:
            shown = os.fsencode(raw).decode("utf-8", "backslashreplace")
            self._refuse(prefix + shown, "has a name that is not UTF-8")
        if "\\" in name:
            self._refuse(prefix + name, "has a backslash in its name")
        if any(c < " " or "\x7f" <= c <= "\x9f" for c in name):
            self._refuse(prefix + text.printable(name), "has a control character in its name")
        return name

    def _open(self, name, folder, path, flags):
        # type: (str, int, str, int) -> int
        try:
            # Encoded here, because the name is UTF-8 in every file system encoding.
            encoded = name if name.isascii() else name.encode("utf-8")
            return open_unblocked(encoded, flags, folder=folder)
        except OSError as error:
            self._refuse(path, f"cannot be opened: {reason(error)}")

    def _hash(self, descriptor, path):
        # type: (int, str) -> None
        """Hash a small open file and close it, or keep a large one for ``_hash_large``."""
        closes_itself = False
        try:
            status = _start.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                # The file was replaced between the listing and the opening.
                self._refuse(path, f"is {kind_of(status.st_mode)}")
            if status.st_size >= LARGE:
                closes_itself = True
                self._large.append(large_files.LargeFile(path, descriptor, status.st_size))
                if len(self._large) == MAX_OPEN:
                    self._hash_large()
                return
            # One byte more than the size shows that the file has grown.
            # By offset, because a forked child shares the position in the file.
            data = more = _start.pread(descriptor, status.st_size + 1, 0)
            while more and len(data) < status.st_size:
                more = _start.pread(descriptor, status.st_size + 1 - len(data), len(data))
                data += more
            if len(data) != status.st_size:
                self._refuse(path, "changed while it was read")
            if expect(status.st_size):
                self._waiting.append((path, data))
            else:
                self.files[path] = (sha256(data).digest(), status.st_size)
        except OSError as error:
            self._refuse(path, f"cannot be read: {reason(error)}")
        finally:
            if not closes_itself:
                _start.close(descriptor)

    def _hash_waiting(self):
        # type: () -> None
        """Hash the small files that waited for the choice of the hash."""
        for path, data in self._waiting:
            self.files[path] = (sha256(data).digest(), len(data))

    def _hash_large(self):
        # type: () -> None
        """Hash the large files that were kept, on several threads.

        A file that changed while it was read refuses the unit.
        """
        if not self._large:
            return
        batch, self._large = self._large, []
        large_files.hash_all(batch)
        for file in batch:
            if file.failure:
                self._refuse(file.path, file.failure)
            self.files[file.path] = (file.digest, file.size)

    def _refuse(self, path, detail):
        # type: (str, str) -> NoReturn
        where = self._where(path)
        raise _Refused(
            lambda: kinds.UNHASHABLE_TREE.refusal(
                self.root, self.plugin, offending_path=where, detail=detail
            )
        )

    def _refuse_special(self, entry, path):
        # type: (os.DirEntry[str], str) -> NoReturn
        if entry.is_symlink():
            self._refuse_link(path)
        self._refuse(path, f"is {kind_of(entry.stat(follow_symlinks=False).st_mode)}")

    def _refuse_link(self, path):
        # type: (str) -> NoReturn
        where = self._where(path)
        raise _Refused(lambda: kinds.symlink_escape(self.root, self.plugin, where))

    def _where(self, path):
        # type: (str) -> str
        unit = f"{self.root}/{self.plugin}"
        # A single file is named by its own name in its tree.
        return f"{unit}/{path}".rstrip("/") if self._in_folder else unit


def _entry_name(entry):
    # type: (os.DirEntry[str]) -> str
    return entry.name


def _is_folder(entry):
    # type: (os.DirEntry[str]) -> bool
    """Return True if Python would treat the entry as a folder, also through a link."""
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself has no target


class RootEntry:
    """An entry of the guarded folder that Python can load code from.

    Attributes:
        name: its name on disk, as a lock spells it; a byte that is not UTF-8 is a surrogate.
        module: the name by which an import finds it; empty if no import can name it.
        is_folder: True also for a link to a folder.
    """

    __slots__ = ("is_folder", "module", "name")

    def __init__(self, name, module, *, is_folder):
        # type: (str, str, bool) -> None
        self.name = name
        self.module = module
        self.is_folder = is_folder

    @property
    def shown(self):
        # type: () -> str
        """The name, printable."""
        return text.printable(
            self.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        )

    @property
    def is_bytecode(self):
        # type: () -> bool
        """True for a file that is in no digest and never runs, so no lock can name it."""
        return not self.is_folder and self.name.endswith(BYTECODE_SUFFIX)

    @property
    def must_be_locked(self):
        # type: () -> bool
        """True if the entry refuses a folder whose lock does not name it (``others="refuse"``).

        An import can name it. A file ``__init__`` is left out, because it runs only if it is
        locked. An entry that no import can name (``a.b/``) can be loaded by its path only, which
        strict mode refuses.
        """
        return self.module not in ("", "__init__")


def root_entries(root):
    # type: (str) -> Result[list[RootEntry], Refusal]
    """Return what Python could load code from in the guarded folder, in the order of names.

    These are all folders, with or without ``__init__``, and files with a module suffix. Reserved
    names are left out, and hidden ones, because no import can name these.

    Returns:
        The entries, or a ``lock_file_malformed`` if they cannot be listed or are too many.
    """
    try:
        with _start.scandir(root) as entries:
            # Keep no list of other files, because there may be any number of them.
            loadable = (found for entry in entries if (found := _root_entry(entry)) is not None)
            kept = [entry for _, entry in zip(range(MAX_ROOT_ENTRIES + 1), loadable, strict=False)]
    except OSError as error:
        detail = f"the plugin folder {root} cannot be listed: {reason(error)}"
        return Err(
            kinds.lock_file_malformed(
                root, detail, remedy="make the folder readable for this process"
            )
        )
    if len(kept) > MAX_ROOT_ENTRIES:
        # An account that can write here must not fill the memory of every process.
        detail = f"the plugin folder {root} has more than {MAX_ROOT_ENTRIES} importable entries"
        return Err(
            kinds.lock_file_malformed(
                root, detail, remedy="move the files and folders that are not plugins out of it"
            )
        )
    kept.sort(key=_name_of)
    return Ok(kept)


def _name_of(entry):
    # type: (RootEntry) -> str
    return entry.name


def _root_entry(entry):
    # type: (os.DirEntry[str]) -> RootEntry | None
    """Return an entry of the root, or None if Python loads no code from it."""
    name = entry.name
    if name.startswith(".") or is_reserved(name):
        return None
    is_folder = _is_folder(entry)
    stem = name if is_folder else stem_of(name)
    if not stem:
        return None
    module = "" if "." in stem or (not is_folder and stem == BYTECODE_FOLDER) else stem
    return RootEntry(as_locked(name), as_locked(module), is_folder=is_folder)


def stem_of(name):
    # type: (str) -> str
    """Return the name of a module file without its suffix; empty for another file."""
    return next((name[: -len(s)] for s in _start.MODULE_SUFFIXES if name.endswith(s)), "")
