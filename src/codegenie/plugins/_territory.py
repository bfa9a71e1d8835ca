"""Which files lie in the plugin folder, by whatever path they are named.

Asked for every module that is executed, plugin or not: it resolves each folder once, and after that
only looks whether it is still the same.
"""

import sys

from codegenie import primitives

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

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        # A root and the answers for it belong together: another thread may ask for another root.
        self._answers: tuple[str | None, dict[str, tuple[bool, tuple[int, int]]]] = (None, {})

    def holds(self, path: str, root: str | None) -> bool:
        """Whether ``path`` is a file below ``root``.

        Args:
            path: as some code was given it; relative, through links, or in a zip file.
            root: the plugin folder, absolute. ``None`` while it is not known: then any folder
                ``plugins`` with a lock in it may become it.

        Raises:
            OSError: the working folder is gone, and the path is relative.
            ValueError: it is a path that no file can have.
        """
        if root != self._answers[0]:
            self._answers = (root, {})
        answers = self._answers[1] if self._answers[0] == root else {}
        os = _os()
        if os is None:
            return False
        folder, slash, _ = path.rpartition("/")
        folder = folder or slash or "."
        # A folder can become a link, and then the answer is another one.
        identity = _identity(folder, os) if path[:1] == "/" else None
        known = answers.get(folder)
        if identity is not None and known is not None and known[1] == identity:
            answer = known[0]
        else:
            answer = _lies_within(folder, root, os)
            if identity is not None:
                if len(answers) >= MAX_FOLDERS:
                    answers.clear()
                answers[folder] = (answer, identity)
        # Or it is a link to one file, in a folder that is not ours.
        return answer or (
            os.path.islink(path) and _lies_within(os.path.dirname(os.path.realpath(path)), root, os)
        )


def is_below(place: str, root: str) -> bool:
    """Whether an absolute path is ``root`` or lies below it, as it is spelled."""
    return f"{place}/".startswith(root if root.endswith("/") else f"{root}/")


def expected_root(requested: str | None) -> str | None:
    """The plugin folder, absolute, where it was asked for: by ``install``, or the environment."""
    os = _os()
    if os is None:
        return requested
    if not requested and not sys.flags.ignore_environment:
        requested = os.environ.get(ROOT_VARIABLE)
    # Relative to where the interpreter was started, and not to where it has gone since.
    return os.path.normpath(os.path.join(_STARTED_IN, requested)) if requested else None


def _started_in() -> str:
    try:
        return primitives.getcwd()
    except OSError:
        return "/"  # it was started in a folder that is gone


_STARTED_IN = _started_in()


def _lies_within(folder: str, root: str | None, os: "Any") -> bool:
    roots = None if root is None else list(_places(root, os))
    for place in _places(folder, os):
        if roots is None:
            if _may_become_the_root(place, os):
                return True
        elif is_below(place, roots[0]) or is_below(place, roots[1]):
            return True
    return False


def _may_become_the_root(place: str, os: "Any") -> bool:
    inside = f"{place}/"
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
