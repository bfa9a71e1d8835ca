"""Write files whole or not at all: the only writers of this project's files.

Every file is created with mode 0600 beside its final name, is written, gets its final permissions,
is flushed and renamed. No link is followed in the last component of a path. The event log is
appended to, by rules of its own (``codegenie._enforce.event_log``).
"""

import errno
import os
import re
import stat

from codegenie.files import kind_of, reason

# Errors of file systems without hard links: FAT, some network and FUSE file systems.
_NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)

# A process that is killed leaves such a file.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+\.[0-9a-f]{12}\.tmp")


class FolderNotFlushed(OSError):
    """The file was replaced, but its folder was not flushed, so a crash can undo the rename."""


def write_error(error: OSError) -> str:
    """Describe the effect of an ``OSError`` of ``replace`` or ``create`` on the file."""
    if isinstance(error, FolderNotFlushed):
        return f"was written, but a power failure can undo that: {reason(error)}"
    return f"cannot be written: {reason(error)}"


_REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in the quota of this user",
    errno.EBUSY: "mount its folder instead of the file: a mount point cannot be replaced",
    errno.EROFS: "write it where the file system is not read-only, and deploy the result",
    errno.EACCES: "run this as a user that may write to its folder",
    errno.EPERM: "run this as a user that may write to its folder",
    errno.EIO: "look at the disk",
}


def write_remedy(error: OSError) -> str:
    """Return the remedy for an ``OSError`` of ``replace`` or ``create``."""
    number = error.errno or 0
    return _REMEDIES.get(number, "make it a regular file in a folder that this user may write to")


def replace(path: str, data: bytes, *, mode: int | None = None) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    A temporary file in the same folder is written, flushed to the disk and renamed; then the folder
    is flushed. A symbolic link is replaced, never followed.

    Args:
        path: a regular file, a symbolic link, or a name that does not exist.
        data: the whole content.
        mode: the permissions. Default: those of the existing file, else those of any new file.

    Raises:
        FolderNotFlushed: the file was replaced.
        OSError: nothing was replaced, and no temporary file is left.
    """
    present = _replaceable(path)
    temporary, descriptor = _create_temporary(path)
    try:
        try:
            _finish(descriptor, data, _final_mode(descriptor, present, mode))
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        _remove_temporary(temporary)
        raise
    _flush_folder(path)


def create(path: str, data: bytes, *, mode: int | None = None) -> None:
    """Write a new file, whole or not at all. An existing entry of that name is never changed.

    Raises:
        FileExistsError: there is an entry of that name.
        FolderNotFlushed: the file was written.
        OSError: nothing was written.
    """
    temporary, descriptor = _create_temporary(path)
    try:
        try:
            _finish(descriptor, data, _final_mode(descriptor, None, mode))
        finally:
            os.close(descriptor)
        _rename_to_new(temporary, path)
    except BaseException:
        _remove_temporary(temporary)
        raise
    _flush_folder(path)


def final_name(temporary: str) -> str | None:
    """Return the name of the file that a temporary file was for; None if it is another file."""
    found = _TEMPORARY.fullmatch(temporary)
    return found and found[1]


def make_folder(path: str, *, mode: int) -> bool:
    """Make one folder with exactly these permissions, whatever the umask is.

    Returns:
        True if it was made, False if a real folder of that name exists.

    Raises:
        OSError: another kind of entry has that name, or the folder cannot be made.
    """
    try:
        # With a lax umask, another user could create a file in it before the final mode is set.
        os.mkdir(path, 0o700)
    except FileExistsError:
        # A link would lead to a folder that an attacker chose.
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return False
        raise
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return True


def default_mode() -> int:
    """Return the permissions that the umask leaves a new file."""
    # A umask can only be read by setting one. Of the two, a strict one is harmless to a file that
    # another thread creates in between.
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


def _replaceable(path: str) -> os.stat_result | None:
    """Return the status of the entry that is to be replaced, or None if there is none.

    Root can rename a file over a device node, which would destroy the device.

    Raises:
        OSError: it is neither a regular file nor a symbolic link.
    """
    try:
        present = os.lstat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(present.st_mode) or stat.S_ISLNK(present.st_mode):
        return present
    if stat.S_ISDIR(present.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a regular file", path)
    detail = f"is {kind_of(present.st_mode)}, not a regular file"
    raise FileExistsError(errno.EEXIST, detail, path)


def _create_temporary(path: str) -> tuple[str, int]:
    """Create an empty file beside ``path`` that no other user can open."""
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(6).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    # With any other mode, another user could keep a descriptor and write to the finished file.
    return temporary, os.open(temporary, flags, 0o600)


def _final_mode(descriptor: int, present: os.stat_result | None, mode: int | None) -> int:
    """Return the permissions of the finished file, and give it the group of the old one."""
    if present is None or not stat.S_ISREG(present.st_mode):
        return default_mode() if mode is None else mode
    wanted = stat.S_IMODE(present.st_mode) & 0o777 if mode is None else mode
    if present.st_gid != os.fstat(descriptor).st_gid:
        try:
            os.fchown(descriptor, -1, present.st_gid)
        except OSError:
            # The permissions were for another group than the file has now.
            wanted &= ~0o070 | (wanted & 0o007) << 3
    return wanted


def _finish(descriptor: int, data: bytes, mode: int) -> None:
    """Write everything, set the permissions and flush."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fchmod(descriptor, mode)
    os.fsync(descriptor)


def _rename_to_new(temporary: str, path: str) -> None:
    """Rename a file to a name that must not exist; a plain rename would overwrite it."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # No hard links here: create the name first, then rename the whole file over it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        os.rename(temporary, path)
    else:
        try:
            os.unlink(temporary)
        except OSError:
            _remove_temporary(path)  # an error says that nothing was written
            raise


def _remove_temporary(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass  # the error that led here is the one to report


def _flush_folder(path: str) -> None:
    try:
        folder = os.path.dirname(os.path.abspath(path))
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        # EINVAL: this file system cannot flush folders. EACCES: this user can write to the folder
        # but not read it, so it cannot be opened for a flush.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EACCES):
            raise FolderNotFlushed(error.errno, error.strerror, path) from error
