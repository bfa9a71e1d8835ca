"""Which files are not what was locked, and since when. For people; no decision rests on it.

Two answers that are never mixed. ``Differences`` are facts: they come from a sidecar section that
reproduces the locked digest (``sidecar``). A ``Guess`` is made where there is no such section, from
the times of the files, which whoever writes a file can set as well.

All of it is asked after a plugin was refused, so it costs a plugin that passes nothing. It asks for
no more than one status per file of the walk before it, keeps ten of them, and opens nothing but
folders, by descriptor and without following links: what lies in the tree cannot make it wait, lead
it elsewhere or be read by it.
"""

import os

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

    ``times`` is ``{path below the plugin: seconds since the epoch}``. Where no file is newer, it
    holds folders that are (``of_folders``), each with a slash at its end: an entry of theirs came,
    went or got another name.
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
        # A change time is also moved by whoever copies or hands over a whole tree, so what was
        # modified is likelier, and comes first.
        kept.append((not modified, -_last_change(status, locked), path))
        if len(kept) == _KEPT_WHILE_SORTING:
            kept.sort()
            del kept[MAX_LISTED_FILES:]
    kept.sort()
    return Guess({path: -seconds for _, seconds, path in kept[:MAX_LISTED_FILES]}, total, looked_at)


def _last_change(status: os.stat_result, locked: os.stat_result | None) -> int:
    """The modification time where it is later than the lock's; else the change time, which tells
    when a file got here that kept an old modification time on its way."""
    if locked is not None and status.st_mtime_ns > locked.st_mtime_ns:
        return status.st_mtime_ns // 10**9
    return status.st_ctime_ns // 10**9


def _status_of_lock(lock: str) -> os.stat_result | None:
    try:
        return _start.lstat(lock)
    except (OSError, ValueError):
        return None


def _look(root: str, plugin: str, paths: "Iterable[str]") -> "Iterator[tuple[str, os.stat_result]]":
    """Each path below the plugin with its status; those that cannot be looked at are left out.

    A path that ends in a slash is a folder, the empty one the plugin's own.
    """
    try:
        opened = [("", _start.open_file(root, _ROOT_FLAGS))]
    except (OSError, ValueError):
        return
    try:
        for path in paths:
            full = f"{plugin}/{path}".rstrip("/")
            cut = full.rfind("/") + 1
            try:
                status = _start.lstat(_raw(full[cut:]), dir_fd=_folder(opened, full[:cut]))
            except (OSError, ValueError):
                continue
            yield path, status
    finally:
        for _, descriptor in opened:
            _start.close(descriptor)


def _folder(opened: "list[tuple[str, int]]", prefix: str) -> int:
    """The descriptor of a folder. ``opened`` holds the way to the last one, outermost first."""
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
