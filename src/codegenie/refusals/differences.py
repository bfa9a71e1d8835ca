"""Find the files that differ from the lock, and when they changed. No decision rests on it.

There are two answers, and they are never mixed. ``Differences`` are facts: they come from a section
of the file list that reproduces the locked digest (``codegenie.integrity.file_list``). Without such
a section, a ``Guess`` is made from the times of the files. An attacker who writes a file can set
its times as well.

The search starts after a refusal, so a plugin that passes pays nothing. It reads at most one status
for each file of the walk before it, keeps ten of them, and opens folders only, by descriptor and
without following links. So no entry of the tree can make it wait, lead it elsewhere or be read.
"""

import os
import stat

from codegenie import _start
from codegenie.files import OPEN_FLAGS
from codegenie.refusals.explanation import MAX_LISTED_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_KEPT_WHILE_SORTING = 256

_FOLDER_FLAGS = OPEN_FLAGS | os.O_DIRECTORY
# The folder that an operator has named may be a link; nothing below it may.
_ROOT_FLAGS = _FOLDER_FLAGS & ~os.O_NOFOLLOW


class Differences:
    """The files that changed, appeared or vanished, each sorted, as paths below the plugin.

    ``times`` holds, for the first ten that are still there, when they last changed, in seconds
    since the epoch.
    """

    __slots__ = ("added", "changed", "removed", "times")

    def __init__(
        self, changed: "Sequence[str]", added: "Sequence[str]", removed: "Sequence[str]"
    ) -> None:
        self.changed = tuple(changed)
        self.added = tuple(added)
        self.removed = tuple(removed)
        self.times: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self.changed or self.added or self.removed)

    def __len__(self) -> int:
        return len(self.changed) + len(self.added) + len(self.removed)

    def labelled(self) -> "list[tuple[str, str]]":
        """``(what happened, path)`` of the first ten."""
        pairs = [
            (label, path)
            for label, paths in (
                ("changed", self.changed),
                ("added", self.added),
                ("removed", self.removed),
            )
            for path in paths[:MAX_LISTED_FILES]
        ]
        return pairs[:MAX_LISTED_FILES]

    def date(self, root: str, plugin: str, lock: str) -> None:
        """Find out when the first ten last changed."""
        present = [path for label, path in self.labelled() if label != "removed"]
        locked = _status_of_lock(lock)
        self.times = {
            path: _last_change(status, locked) for path, status in _look(root, plugin, present)
        }


class Guess:
    """Ten files that are newer than the lock, the likeliest first, of ``total`` that are, of
    ``looked_at``.

    ``times`` is ``{path below the plugin: seconds since the epoch}``. If no file is newer, it holds
    newer folders (``of_folders``), each with a slash at its end: an entry of the folder was added,
    removed or renamed.
    """

    __slots__ = ("looked_at", "of_folders", "times", "total")

    def __init__(self, times: dict[str, int], total: int, looked_at: int) -> None:
        self.times = times
        self.total = total
        self.looked_at = looked_at
        self.of_folders = False


def newer_than_lock(root: str, plugin: str, files: "Iterable[str]", lock: str) -> Guess | None:
    """Guess which files are not what was locked: those that are newer than the lock.

    ``files`` are the paths that the walk found. ``None`` where there is no lock to compare with.
    """
    locked = _status_of_lock(lock)
    if locked is None:
        return None
    folders = {""}

    def entries() -> "Iterator[str]":
        for path in files:
            folder = path[: path.rfind("/") + 1]
            while folder not in folders:
                folders.add(folder)
                folder = folder[: folder.rfind("/", 0, -1) + 1]
            yield path

    found = _newest(_look(root, plugin, entries()), locked)
    if not found.total:
        found = _newest(_look(root, plugin, sorted(folders)), locked)
        found.of_folders = bool(found.total)
    return found


def last_change(root: str, location: str, lock: str) -> int | None:
    """When the entry at ``location`` last changed, in seconds since the epoch, if that is known."""
    if location == lock:
        locked = _status_of_lock(lock)
        return None if locked is None else locked.st_mtime_ns // 10**9
    if not location.startswith(root + "/"):
        return None
    plugin, _, path = location[len(root) + 1 :].partition("/")
    for _, status in _look(root, plugin, [path]):
        return _last_change(status, _status_of_lock(lock))
    return None


def written(lock: str) -> int | None:
    """When the lock was written, in seconds since the epoch."""
    status = _status_of_lock(lock)
    return None if status is None else status.st_mtime_ns // 10**9


def _newest(found: "Iterable[tuple[str, os.stat_result]]", locked: os.stat_result) -> Guess:
    looked_at = total = 0
    kept: list[tuple[bool, int, str]] = []
    for path, status in found:
        looked_at += 1
        modified = status.st_mtime_ns > locked.st_mtime_ns
        if not modified and status.st_ctime_ns <= locked.st_ctime_ns:
            continue
        total += 1
        # Copying a whole tree, or changing its owner, also moves the change time. So a modified
        # file is likelier, and comes first.
        kept.append((not modified, -_last_change(status, locked), path))
        if len(kept) == _KEPT_WHILE_SORTING:
            kept.sort()
            del kept[MAX_LISTED_FILES:]
    kept.sort()
    return Guess({path: -seconds for _, seconds, path in kept[:MAX_LISTED_FILES]}, total, looked_at)


def _last_change(status: os.stat_result, locked: os.stat_result | None) -> int:
    """Return the modification time if it is later than the lock's, else the change time.

    A file that was copied with an old modification time has the time of the copy as change time.
    """
    if locked is not None and status.st_mtime_ns > locked.st_mtime_ns:
        return status.st_mtime_ns // 10**9
    return status.st_ctime_ns // 10**9


def _status_of_lock(lock: str) -> os.stat_result | None:
    try:
        return _start.lstat(lock)
    except (OSError, ValueError):
        return None


def _look(root: str, plugin: str, paths: "Iterable[str]") -> "Iterator[tuple[str, os.stat_result]]":
    """Yield each path below the plugin with its status, unless the status cannot be read.

    A path that ends in a slash is a folder, the empty one the plugin's own.
    """
    try:
        opened = [("", _start.open_file(root, _ROOT_FLAGS))]
    except (OSError, ValueError):
        return
    try:
        for path in paths:
            is_file = path == plugin and _is_file(plugin, opened[0][1])
            full = plugin if is_file else f"{plugin}/{path}".rstrip("/")
            cut = full.rfind("/") + 1
            try:
                status = _start.lstat(_raw(full[cut:]), dir_fd=_folder(opened, full[:cut]))
            except (OSError, ValueError):
                continue
            yield path, status
    finally:
        for _, descriptor in opened:
            _start.close(descriptor)


def _is_file(unit: str, root: int) -> bool:
    """Return True if the unit is a single file, whose tree has one path: the unit's own name."""
    try:
        return stat.S_ISREG(_start.lstat(_raw(unit), dir_fd=root).st_mode)
    except (OSError, ValueError):
        return False


def _folder(opened: "list[tuple[str, int]]", prefix: str) -> int:
    """Return the descriptor of a folder. ``opened`` holds the folders above the last one."""
    while not prefix.startswith(opened[-1][0]):
        _start.close(opened.pop()[1])
    way, descriptor = opened[-1]
    for name in prefix[len(way) :].split("/")[:-1]:
        way = f"{way}{name}/"
        descriptor = _start.open_file(_raw(name), _FOLDER_FLAGS, dir_fd=descriptor)
        opened.append((way, descriptor))
    return descriptor


def _raw(name: str) -> bytes:
    """Names are UTF-8 whatever the file system encoding says; one with surrogates is as it was."""
    return name.encode("utf-8", "surrogateescape")
