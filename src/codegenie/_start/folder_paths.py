"""Decide which files are in the plugin folder, by any of their paths.

Threat: code reaches a file of the plugin folder by another path: through a link, by a relative
name, above a link (``link/..``) or through ``/proc``. Rule: compare the path as it is spelled and
the path that the kernel resolves.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    import sys

    from codegenie._start import (
        LOCK_NAME,
        ROOT_VARIABLE,
        access,
        close,
        find_installed_guards,
        getcwd,
        open_file,
        posix,
    )
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_LINKS = 40
"""The limit of the kernel, which opens no longer chain of links."""

_FOLDER_FLAGS = (
    getattr(posix, "O_PATH", 0) | getattr(posix, "O_DIRECTORY", 0) | getattr(posix, "O_CLOEXEC", 0)
)

MAX_FOLDERS = 4096
"""The number of cached folders. A program that invents file names must not fill the memory."""

MAX_PARENTS = 64
"""The depth to which parents are looked up one by one. ``realpath`` resolves deeper folders."""

STANDARD_LIBRARY = f"{getattr(sys, '_stdlib_dir', None) or '<unknown>'}/"
_HOME = __file__.rpartition("/_start/")[0] + "/"


class FolderPaths:
    """The plugin folder under all of its names: links to it, and links to files in it."""

    __slots__ = ("_folders", "_moment", "_root", "_within")

    def __init__(self) -> None:
        self._folders: dict[str, tuple[int, int, int, str]] = {}
        """The identity (device, inode, time of last change) and the real path, by folder.

        A link that replaces a folder has another identity. A folder that gets the inode of a
        removed folder has another time."""
        self._moment = object()
        """A token. A new one makes the cached prefixes of the root invalid."""
        self._root: tuple[str, tuple[str, str], object] = ("", ("", ""), None)
        """The root, the prefixes of paths below it (as spelled, and real), and the token at the
        time of the look-up.

        Another thread may meet a folder that changes the result during a look-up. The token has
        changed then, so the outdated result is not used."""
        self._within: tuple[str, bool] = ("", False)
        """A root, and True if it is in the standard library or in the folder of the guard."""

    def contains(self, path: str, root: str | None) -> bool:
        """Return True if ``path`` is a file below ``root``, by its spelling or its real path.

        A hard link elsewhere to a file of the root is not recognized.

        Args:
            path: a path in any spelling: relative, through links, or in a zip file.
            root: the plugin folder, absolute. ``None`` while it is unknown: then any folder
                ``plugins`` that contains a lock may become the root.

        Raises:
            OSError: the path cannot be resolved.
            ValueError: no file can have that path.
        """
        os = loaded_os()
        if os is None or self._is_the_interpreters(path, root, os):
            return False
        folder, slash, _ = path.rpartition("/")
        folder = folder or slash or "."
        if path[:1] == "/" and "//" not in path and "/." not in path:
            spelled, real = folder, self._real(folder, os)
        else:
            # "link/.." is above the target of the link, not above the link. So let the kernel
            # resolve the path as it is.
            real = kernel_folder(folder, os)
            spelled = spelled_path(folder, os) or real
            self._forget_root()
        if self._is_below(spelled, real, root, os):
            return True
        if not os.path.islink(path):
            return False
        # A link to one file, in a folder that is not guarded.
        self._forget_root()
        target = os.path.dirname(kernel_path(path, os))
        return self._is_below(target, target, root, os)

    def _is_below(self, spelled: str, real: str, root: str | None, os: "Any") -> bool:
        if root is None:
            return may_become_the_root(spelled, os) or may_become_the_root(real, os)
        known, prefixes, at = self._root
        if known != root or at is not self._moment or prefixes[0] != prefixes[1]:
            moment = self._moment
            place = absolute(root, os) if root[:2] == "//" else root
            prefixes = as_prefix(place), as_prefix(self._real(place, os))
            self._root = root, prefixes, moment
        return as_prefix(spelled).startswith(prefixes) or as_prefix(real).startswith(prefixes)

    def _forget_root(self) -> None:
        """Look up the root again at the next path. Called for each path that is met first.

        A root behind a link is looked up each time, because the link may have another target now.
        Any other root can only be moved and replaced by a link. Files of the target are then met by
        the root's own name, or in a folder that was not met before. They are not met in a folder
        from which code has already run.
        """
        self._moment = object()

    def _real(self, folder: str, os: "Any") -> str:
        """Return the real path of a folder, as ``os.path.realpath`` does.

        A cached folder costs one system call; a folder with a cached parent, two.

        Args:
            folder: absolute and normalized.
        """
        try:
            status = os.stat(folder)
        except (OSError, ValueError):
            self._forget_root()
            return os.path.realpath(folder)  # type: ignore[no-any-return]  # in a zip file
        identity = status.st_dev, status.st_ino, status.st_ctime_ns
        known = self._folders.get(folder)
        if known is not None and known[:3] == identity:
            return known[3]
        self._forget_root()
        parent, _, name = folder.rpartition("/")
        if parent and folder.count("/") < MAX_PARENTS and not os.path.islink(folder):
            real = as_prefix(self._real(parent, os)) + name
        else:
            real = kernel_folder(folder, os)
        if len(self._folders) >= MAX_FOLDERS:
            self._folders.clear()
        self._folders[folder] = *identity, real
        return real

    def _is_the_interpreters(self, path: str, root: str | None, os: "Any") -> bool:
        """Return True if a file is in the standard library or the guard's folder, by its name.

        Links are not resolved: an attacker who can create links there controls the interpreter, and
        needs no plugin. ``site-packages`` in the standard library's folder does not count.
        """
        own = STANDARD_LIBRARY if path.startswith(STANDARD_LIBRARY) else _HOME
        if not path.startswith(own) or "/.." in path:
            return False
        if own is STANDARD_LIBRARY and path.find("-packages/", len(STANDARD_LIBRARY)) >= 0:
            return False
        if root is None:
            return own is _HOME or "/plugins/" not in path
        if self._within[0] != root:
            places = as_prefix(absolute(root, os)), as_prefix(os.path.realpath(root))
            inside = any(place.startswith((STANDARD_LIBRARY, _HOME)) for place in places)
            self._within = root, inside
        return not self._within[1]


def is_there(path: str) -> bool:
    """Return True if a file exists by the name that code claims.

    Most generated code claims a name without a file. ``access`` raises no exception then, so it
    takes half the time of ``stat``.
    """
    try:
        return access(path, 0)
    except ValueError:
        return False


def kernel_path(path: str, os: "Any") -> str:
    """Return the path at which the kernel opens a file, or would open it if the file existed.

    Threat: the file that is compared is not the one that is opened. A name that is normalized as
    text, or resolved link by link, can lead to another file than the kernel opens: above a link
    (``link/..``), through ``/proc``, or in a working directory that was removed. Rule: follow the
    links of the last component, then let the kernel name the folder.

    Raises:
        OSError: the working directory was removed, and this system does not keep its name.
        ValueError: no file can have that name.
    """
    for _ in range(MAX_LINKS):
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    folder, name = os.path.split(path)
    return f"{as_prefix(kernel_folder(folder, os))}{name}"


def kernel_folder(folder: str, os: "Any") -> str:
    """Return the kernel's own path of a folder, as ``kernel_path`` does for a file."""
    try:
        # O_PATH, because a folder that can be entered but not read can contain code.
        descriptor = open_file(folder or ".", _FOLDER_FLAGS)
    except OSError:  # there is no such folder: code in a zip file, or an invented name
        return _resolved(folder, os)
    try:
        named: str = os.readlink(f"/proc/self/fd/{descriptor}")
        return named
    except OSError:  # there is no /proc, or the name is too long for it
        return _resolved(folder, os)
    finally:
        close(descriptor)


def _resolved(folder: str, os: "Any") -> str:
    try:
        return os.path.realpath(folder)  # type: ignore[no-any-return]
    except FileNotFoundError:  # the working directory was removed: the kernel keeps its name
        was = os.readlink("/proc/self/cwd")
        return os.path.realpath(os.path.join(was, folder))  # type: ignore[no-any-return]


def spelled_path(path: str, os: "Any") -> str | None:
    """Return the absolute path; None if it is relative to a working directory that was removed."""
    try:
        return absolute(path, os)
    except OSError:
        return None


def absolute(path: str, os: "Any") -> str:
    """Return an absolute path as ``os.path.abspath`` does, but always with one leading slash."""
    return "/" + os.path.abspath(path).lstrip("/")  # type: ignore[no-any-return]


def is_below(place: str, root: str) -> bool:
    """Return True if an absolute path is ``root`` or below it, as both are spelled."""
    return as_prefix(place).startswith(as_prefix(root))


def as_prefix(root: str) -> str:
    return root if root.endswith("/") else f"{root}/"


def expected_root(requested: str | None) -> str | None:
    """Return the plugin folder, absolute, that ``install`` or the environment names; or None."""
    os = loaded_os()
    if os is None:
        return requested
    if not requested and not sys.flags.ignore_environment:
        requested = os.environ.get(ROOT_VARIABLE)
    return from_the_start(requested, os) if requested else None


def from_the_start(path: str, os: "Any") -> str:
    """Return an absolute path; a relative one counts from where the interpreter was started.

    Threat: after ``os.chdir`` a relative path leads to another lock or folder. Rule: resolve every
    relative setting of the environment here.
    """
    return os.path.normpath(os.path.join(STARTED_IN, path))  # type: ignore[no-any-return]


def _started_in() -> str:
    for finder in find_installed_guards():  # this module was imported again: keep the first value
        return finder.started_in
    try:
        return getcwd()
    except OSError:
        return "/"  # the folder of the start was removed


STARTED_IN = _started_in()


def may_become_the_root(place: str, os: "Any") -> bool:
    inside = f"{place}/"
    end = inside.find("/plugins/")
    while end >= 0:
        if os.path.lexists(f"{inside[:end]}/plugins/{LOCK_NAME}"):
            return True
        end = inside.find("/plugins/", end + 1)
    return False


def loaded_os() -> "Any":
    """Return the module ``os``; None while an interpreter that was started with ``-S`` loads it."""
    import os

    return os if hasattr(os, "path") else None
