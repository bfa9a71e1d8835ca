"""Which files lie in the plugin folder, by whatever path they are named.

Asked for every module that is executed, plugin or not: it resolves each folder once, and after that
only looks whether it is still the same.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LOCK_NAME = "PLUGINS.lock"
ROOT_VARIABLE = "CODEGENIE_PLUGINS_ROOT"

MAX_FOLDERS = 4096
"""Answers that are kept. Programs that make up file names must not fill the memory with them."""


class Territory:
    """The plugin folder under all of its names: links to it, and links to files in it."""

    __slots__ = ("_folders", "_root")

    def __init__(self) -> None:
        self._root: str | None = None
        self._folders: dict[str, tuple[bool, tuple[int, int] | None]] = {}

    def holds(self, path: str, root: str | None) -> bool:
        """Whether ``path`` is a file below ``root``.

        Args:
            path: as some code was given it; relative, through links, or in a zip file.
            root: the plugin folder, absolute. ``None`` while it is not known: then any folder
                ``plugins`` with a lock in it may become it.
        """
        if root != self._root:
            self._folders = {}
            self._root = root
        os = _os()
        if os is None:
            return False
        folder = path.rpartition("/")[0] or path[:1]
        if path[:1] != "/":
            folder = folder if "/" in path else "."
            return self._lies_within(folder, os) or self._links_into(path, os)
        # A folder can become a link, and then the answer is another one.
        identity = _identity(folder, os)
        answer, known = self._folders.get(folder, (False, None))
        if known is None or known != identity:
            answer = self._lies_within(folder, os)
            if len(self._folders) >= MAX_FOLDERS:
                self._folders = {}
            self._folders[folder] = (answer, identity)
        return answer or self._links_into(path, os)

    def _lies_within(self, folder: str, os: "Any") -> bool:
        return any(self._within(place, os) for place in _places(folder, os))

    def _links_into(self, path: str, os: "Any") -> bool:
        """A link to one file, in a folder that is not ours."""
        return os.path.islink(path) and self._within(os.path.dirname(os.path.realpath(path)), os)

    def _within(self, place: str, os: "Any") -> bool:
        inside = f"{place}/"
        if self._root is not None:
            return any(inside.startswith(f"{root}/") for root in _places(self._root, os))
        end = inside.find("/plugins/")
        while end >= 0:
            if os.path.lexists(f"{inside[:end]}/plugins/{LOCK_NAME}"):
                return True
            end = inside.find("/plugins/", end + 1)
        return False


def _os() -> "Any":
    """The module ``os``; ``None`` while an interpreter that was started with ``-S`` loads it."""
    import os

    return os if hasattr(os, "path") else None


def _identity(folder: str, os: "Any") -> tuple[int, int] | None:
    """Which folder it is at the end of all links; ``None`` for none, as inside a zip file."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _places(folder: str, os: "Any") -> "Iterator[str]":
    """A folder as it is spelled, and where it really is."""
    absolute = os.path.abspath(folder)
    yield absolute
    yield os.path.realpath(absolute)


def expected_root(requested: str | None) -> str | None:
    """The plugin folder, absolute, where it was asked for: by ``install``, or the environment."""
    os = _os()
    if os is None:
        return requested
    if not requested and not sys.flags.ignore_environment:
        requested = os.environ.get(ROOT_VARIABLE)
    return str(os.path.abspath(requested)) if requested else None
