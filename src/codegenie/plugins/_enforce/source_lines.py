"""Make ``linecache``, and with it ``inspect`` and tracebacks, show the verified source.

``Lib/linecache.py`` reads the file from disk whenever it is there and asks the loader only when it
is not, so ``inspect.getsource`` would show what stands in the file now instead of what runs. An
entry whose modification time is ``None`` is never refreshed from disk.
"""

import linecache
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _VerifiedEntry(tuple):  # type: ignore[type-arg]
    """A ``linecache`` entry, ``(size, None, lines, path)``, whose lines are read when asked for.

    ``linecache.getlines`` takes the lines by ``entry[2]``; ``checkcache`` only unpacks the entry
    and looks at the modification time. Reading lazily keeps the source out of memory, and out of
    the import, for the programs that never look at it.
    """

    # No __slots__: a tuple subclass cannot have any.
    read_source: "Callable[[], str | None]"

    def __getitem__(self, index: "Any") -> "Any":
        if index != 2:
            return super().__getitem__(index)
        source = self.read_source()
        if source is None:
            return []  # changed since it was verified: linecache's way to say "no source"
        # As linecache itself splits: only at the newlines that universal newlines leave.
        lines = [line + "\n" for line in source.split("\n")]
        # Since 3.13 linecache shows one empty line of an empty file.
        if lines[-1] == "\n" and (len(lines) > 1 or sys.version_info < (3, 13)):
            lines.pop()
        return lines


def register(path: str, size: int, read_source: "Callable[[], str | None]") -> None:
    """Let ``linecache`` get the lines of ``path`` from ``read_source``."""
    entry = _VerifiedEntry((size, None, [], path))
    entry.read_source = read_source
    linecache.cache[path] = entry
