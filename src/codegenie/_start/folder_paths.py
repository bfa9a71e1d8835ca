"""Decide which files are in a guarded folder, by any of their paths.

Threat: code reaches a file of a guarded folder by another path: through a link, by a relative
name, above a link (``link/..``) or through ``/proc``. Rule: compare the path as it is spelled and
the path that the kernel resolves.
"""

try:  # in here an import is never lazy: the audit hook must not import what it uses
    from codegenie._start import DEFAULT_PACKAGE, LOCK_NAME, close, lstat, open_file, posix, stat
    from codegenie._start.finder import loaded_os, name_in_path
finally:
    pass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence  # noqa: F401
    from typing import Any  # noqa: F401

    from codegenie._start.finder import Roots

    # Roots, the package of the first root, and the entries that are guarded.
    Wanted = tuple[Roots, str | None, Callable[[int, str], bool] | None]

    # Facts about the roots, as one value:
    # - The roots, and how the paths below them begin.
    # - The token, and the identities of the roots, at the time of the look-up.
    # - The real path of each root by its device and inode. A bind mount of a root, and a root that
    #   a file system finds by another spelling of its name, have the same.
    # - By folder, its identity (device, inode, time of last change) and the result of ``_locate``.
    #   A link that replaces a folder has another identity. A folder that gets the inode of a
    #   removed folder has another time.
    LookedUp = tuple[
        Roots,
        "Prefixes",
        object,
        list[object],
        dict[tuple[int, int], str],
        dict[str, tuple[int, int, int, str, str]],
    ]

MAX_LINKS = 40
"""The limit of the kernel, which opens no longer chain of links."""

_FOLDER_FLAGS = (
    getattr(posix, "O_PATH", 0) | getattr(posix, "O_DIRECTORY", 0) | getattr(posix, "O_CLOEXEC", 0)
)

_FILE_TYPE = 0o170000
_LINK = 0o120000
"""``stat.S_IFMT`` and ``stat.S_IFLNK``."""

MAX_FOLDERS = 4096
"""The number of cached folders. A program that invents file names must not fill the memory."""

MAX_PARENTS = 64
"""The depth to which parents are looked up one by one. ``realpath`` resolves deeper folders."""


class Prefixes:
    """The beginnings of the paths of guarded files: as they are spelled, and real."""

    __slots__ = ("_by_root", "all", "has_links", "outside")

    def __init__(self, by_root):
        # type: (Sequence[tuple[str, ...]]) -> None
        self._by_root = by_root
        self.outside: dict[str, tuple[int, int, int]] = {}
        """The identity (device, inode, time of last change) of folders of which no file has one of
        these beginnings, by any of its three paths."""
        self.all = tuple([prefix for prefixes in by_root for prefix in prefixes])
        self.has_links = any(len(prefixes) > 1 for prefixes in by_root)

    def find(self, path):
        # type: (str) -> tuple[int, str]
        """Return the number of the root that a path is below, and the entry of that root."""
        length, number = max(
            [
                (len(prefix), number)
                for number, prefixes in enumerate(self._by_root)
                for prefix in prefixes
                if path.startswith(prefix)
            ]
        )
        return number, path[length:].partition("/")[0]


class FolderPaths:
    """The guarded folders under all of their names: links to them, and links to files in them."""

    __slots__ = ("_moment", "_package", "_roots")

    def __init__(self):
        # type: () -> None
        self._package: str | None = DEFAULT_PACKAGE  # of the first root, while it is unknown
        self._moment = object()  # a token: a new one makes the cached prefixes invalid
        # Another thread may meet a folder that changes the result during a look-up. The token has
        # changed then, so the outdated result is not used.
        self._roots: LookedUp = ((), Prefixes(()), None, [], {}, {})

    def is_outside(self, path, roots):
        # type: (str, Roots | None) -> bool
        """Return True for a file for which ``find`` returns None, in a folder that it has met.

        Most files are in such folders. This makes the system calls of ``find`` and nothing else: is
        the folder still the same one, and is the file a link?
        """
        folder, _, name = path.rpartition("/")
        at, prefixes, moment, _, _, _ = self._roots
        known = prefixes.outside.get(folder)
        if known is None or name[:1] == "." or at is not roots or moment is not self._moment:
            return False
        try:
            status = stat(folder)
            is_link = lstat(path).st_mode & _FILE_TYPE == _LINK
        except (OSError, ValueError):
            return False
        return not is_link and known == (status.st_dev, status.st_ino, status.st_ctime_ns)

    def _note_outside(self, folder, real, linked, roots):
        # type: (str, str, str, Roots) -> None
        """Remember a folder of which no file is guarded, whatever its name.

        Threat: a root that is unknown, or is behind a link, may be another folder the next time.
        Rule: look up each file then. Threat: another thread has met the folder since, as a link
        into a root. Rule: the identity that is remembered must be that of these paths.
        """
        at, prefixes, _, _, _, folders = self._roots
        known = folders.get(folder)
        if known is None or known[3:] != (real, linked) or at is not roots or None in roots:
            return
        if prefixes.has_links:
            return
        for path in (folder, real, linked or real):
            if as_prefix(path).startswith(prefixes.all):
                return
        if len(prefixes.outside) >= MAX_FOLDERS:
            prefixes.outside.clear()
        prefixes.outside[folder] = known[:3]

    def find(
        self,
        path,  # type: str
        roots,  # type: Roots
        package=DEFAULT_PACKAGE,  # type: str | None
        guards=None,  # type: Callable[[int, str], bool] | None
    ):
        # type: (...) -> tuple[int, str] | None
        """Return the number of the root that a file is below, and the entry of that root.

        Compares the file's path as it is spelled, as it is, and at each link in a root. A hard link
        elsewhere to a file of a root, or a mount of a folder in it, is not recognized.

        Args:
            path: a path in any spelling: relative, through links, or in a zip file.
            roots: the guarded folders, absolute. The first may be unknown, which is ``None``: then
                any folder of the package's name that contains a lock may become the root.
            package: the package of the first root.
            guards: return True if an entry of a root is guarded; None if each one is.

        Returns:
            ``None`` if the file is in no guarded folder. The entry is the name in the root that
            leads to the file.

        Raises:
            OSError: the path cannot be resolved.
            ValueError: no file can have that path.
        """
        os = loaded_os()
        if os is None:
            return None
        if self._roots[0] is not roots:
            self._prefixes(roots, os)  # `_locate` must know the roots
            self._package = package
        wanted = roots, package, guards
        folder, slash, name = path.rpartition("/")
        folder = folder or slash or "."
        if path[:1] == "/" and "//" not in path and "/." not in path:
            real, linked = self._locate(folder, os)
            found = self._find_below((folder, linked, real), name, wanted, os)
            if found is None:
                self._note_outside(folder, real, linked, roots)
        else:
            found = self._find_unusual(folder, name, wanted, os)
        for _ in range(MAX_LINKS):
            if found is not None or not os.path.islink(path):
                break
            # A link to one file, in a folder that is not guarded. It may lead to a second link.
            self._forget_roots()
            path = os.path.join(os.path.dirname(path), os.readlink(path))
            folder, name = os.path.split(path)
            found = self._find_unusual(folder, name, wanted, os)
        return found

    def _find_unusual(self, folder, name, wanted, os):
        # type: (str, str, Wanted, Any) -> tuple[int, str] | None
        """Find a file by a folder that is relative, or not normalized.

        "link/.." is above the target of the link, not above the link. So let the kernel resolve the
        path as it is.
        """
        real = self._real(kernel_folder(folder, os), os)
        spelled = spelled_path(folder, os) or real
        self._forget_roots()
        found = self._find_below((spelled, real), name, wanted, os)
        if found is None:
            linked = self._walk(os.path.join(kernel_folder("", os), folder), os)[1]
            found = self._find_below((linked,), name, wanted, os)
        return found

    def _find_below(self, folders, name, wanted, os):
        # type: (Sequence[str], str, Wanted, Any) -> tuple[int, str] | None
        """Return what ``find`` returns, for the first of some folders that is guarded.

        Args:
            folders: absolute paths of the file's folder; empty ones are left out.
        """
        roots, package, guards = wanted
        prefixes = self._prefixes(roots, os)
        for folder in folders:
            place = as_prefix(folder)
            if folder and place.startswith(prefixes.all):
                found = prefixes.find(place + name)
                if guards is None or guards(*found):
                    return found
        if roots[0] is None:
            for folder in folders:
                if folder and may_become_the_root(folder, package, os):
                    return 0, name
        return None

    def _prefixes(self, roots, os):
        # type: (Roots, Any) -> Prefixes
        known, prefixes, at, before, real_roots, folders = self._roots
        moment = self._moment
        is_same = known is roots or known == roots
        if is_same and at is moment and not prefixes.has_links:
            return prefixes
        now = [_identity(root, os) for root in roots]
        # One system call for each root, because most folders that are met change no root.
        if not is_same or now != before:
            by_root = [_both(root, os) for root in roots]
            prefixes = Prefixes(by_root)
            were, real_roots = real_roots, _by_identity(now, by_root)
            if were != real_roots:
                folders = {}  # a new one: another thread may still add to the earlier one
        self._roots = roots, prefixes, moment, now, real_roots, folders
        return prefixes

    def real_path(self, path, roots, os):
        # type: (str, Roots, Any) -> str
        """Return an absolute path with the real path of its folder (``_real``)."""
        self._prefixes(roots, os)
        folder, _, name = path.rpartition("/")
        return as_prefix(self._real(folder or "/", os)) + name

    def linked_path(self, path, roots, os):
        # type: (str, Roots, Any) -> str
        """Return a path below the guarded folder if a link there leads to a file; else nothing."""
        self._prefixes(roots, os)
        return self._walk(os.path.join(kernel_folder("", os), path), os)[1]

    def _forget_roots(self):
        # type: () -> None
        """Look up the roots again at the next path. Called for each path that is met first.

        A root behind a link is looked up each time, because the link may have another target now.
        Any other root can only be moved and replaced by a link. Files of the target are then met by
        the root's own name, or in a folder that was not met before. They are not met in a folder
        from which code has already run.
        """
        self._moment = object()

    def _real(self, folder, os):
        # type: (str, Any) -> str
        """Return the real path of a folder, as ``_locate`` does."""
        return self._locate(folder, os)[0]

    def _locate(self, folder, os):
        # type: (str, Any) -> tuple[str, str]
        """Return the real path of a folder, as ``os.path.realpath`` does; below another name of a
        root, the path below that root.

        Threat: a folder of a plugin is replaced by a link to another folder, and a program reaches
        it by another name of the guarded folder. Neither the name nor the real path is below the
        root then. Rule: the place of the link counts too.

        A cached folder costs one system call; a folder with a cached parent, two.

        Args:
            folder: absolute and normalized.

        Returns:
            The real path, and the path below a root of the first link there that leads to the
            folder; empty if there is no such link.
        """
        try:
            status = os.stat(folder)
        except (OSError, ValueError):
            self._forget_roots()
            above = folder.rpartition("/")[0] if folder.count("/") < MAX_PARENTS else ""
            linked = self._locate(above, os)[1] if above else ""
            return os.path.realpath(folder), linked  # in a zip file
        identity = status.st_dev, status.st_ino, status.st_ctime_ns
        _, _, _, _, real_roots, folders = self._roots
        known = folders.get(folder)
        if known is not None and known[:3] == identity:
            return known[3:]
        self._forget_roots()
        parent, _, name = folder.rpartition("/")
        root = real_roots.get(identity[:2])
        if root is not None:
            found = root, ""
        elif parent and folder.count("/") < MAX_PARENTS:
            above, linked = self._locate(parent, os)
            place = as_prefix(above) + name
            linked = linked and as_prefix(linked) + name
            if os.path.islink(folder):
                found = kernel_folder(folder, os), linked or self._leads_through(folder, place, os)
            else:
                found = place, linked
        else:
            found = kernel_folder(folder, os), ""
        if len(folders) >= MAX_FOLDERS:
            folders.clear()
        folders[folder] = *identity, *found
        return found

    def _leads_through(self, link, place, os):
        # type: (str, str, Any) -> str
        """Return the path below a root of a link, or of a link there that it leads to.

        Args:
            link: a link to a folder.
            place: its path, with the real path of its folder.
        """
        roots, prefixes, _, _, _, _ = self._roots
        if place.startswith(prefixes.all):
            return place
        if roots and roots[0] is None and may_become_the_root(place, self._package, os):
            return place
        return self._walk(os.path.join(os.path.dirname(place), os.readlink(link)), os)[1]

    def _walk(self, path, os):
        # type: (str, Any) -> tuple[str, str]
        """Return what ``_locate`` returns, for an absolute path that is not normalized."""
        here, linked = "/", ""
        for name in path.split("/"):
            if name == "..":
                here = os.path.dirname(here)
            elif name not in ("", "."):
                here, through = self._locate(as_prefix(here) + name, os)
                linked = as_prefix(linked) + name if linked else through
        return here, linked


def _by_identity(now, by_root):
    # type: (list[Any], list[tuple[str, ...]]) -> dict[tuple[int, int], str]
    """Return the real path of each root by its device and inode."""
    return {
        identity[:2]: prefixes[-1][:-1]
        for identity, prefixes in zip(now, by_root, strict=True)
        if prefixes and type(identity) is tuple
    }


def _both(root, os):
    # type: (str | None, Any) -> tuple[str, ...]
    """Return the beginnings of the paths below a root: as it is spelled, and real."""
    if root is None:
        return ()
    place = absolute(root, os) if root[:2] == "//" else root
    spelled, real = as_prefix(place), as_prefix(kernel_folder(place, os))
    return (spelled,) if spelled == real else (spelled, real)


def _identity(root, os):
    # type: (str | None, Any) -> object
    """Return the device, the inode and the time of last change of a root; equal to no other value
    if there is no such root."""
    try:
        status = os.stat(root)
    except (OSError, TypeError, ValueError):
        return object()
    return status.st_dev, status.st_ino, status.st_ctime_ns


def kernel_path(path, os):
    # type: (str, Any) -> str
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


def kernel_folder(folder, os):
    # type: (str, Any) -> str
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


def _resolved(folder, os):
    # type: (str, Any) -> str
    try:
        return os.path.realpath(folder)  # type: ignore[no-any-return]
    except FileNotFoundError:  # the working directory was removed: the kernel keeps its name
        was = os.readlink("/proc/self/cwd")
        return os.path.realpath(os.path.join(was, folder))  # type: ignore[no-any-return]


def spelled_path(path, os):
    # type: (str, Any) -> str | None
    """Return the absolute path; None if it is relative to a working directory that was removed."""
    try:
        return absolute(path, os)
    except OSError:
        return None


def absolute(path, os):
    # type: (str, Any) -> str
    """Return an absolute path as ``os.path.abspath`` does, but always with one leading slash."""
    return "/" + os.path.abspath(path).lstrip("/")  # type: ignore[no-any-return]


def is_below(place, root):
    # type: (str, str) -> bool
    """Return True if an absolute path is ``root`` or below it, as both are spelled."""
    return as_prefix(place).startswith(as_prefix(root))


def as_prefix(root):
    # type: (str) -> str
    return root if root.endswith("/") else f"{root}/"


def may_become_the_root(place, package, os):
    # type: (str, str | None, Any) -> bool
    """Return True if a folder is in one that has the name of a package, and a lock."""
    name = name_in_path(package)
    inside = f"{place}/"
    end = inside.find(name)
    while end >= 0:
        if os.path.lexists(f"{inside[:end]}{name}{LOCK_NAME}"):
            return True
        end = inside.find(name, end + 1)
    return False
