"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from codegenie.writing import FolderNotFlushed, create, make_folder, replace, write_error
from tests.fixtures.trees import Application


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))


def no_temporary_file(folder: Path, *expected: str) -> bool:
    return sorted(os.listdir(folder)) == sorted(expected)


@contextmanager
def just_before(call: object, action: Callable[[], None]) -> Iterator[None]:
    """Run ``action`` once, immediately before the interpreter enters a built-in function."""
    pending = [action]

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument is call and pending:
            pending.pop()()

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
    assert not pending, "the function was never called"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes_in(folder: Path) -> dict[str, int]:
    return {p.name: stat.S_IMODE(p.lstat().st_mode) for p in folder.iterdir()}


def needs_root() -> pytest.MarkDecorator:
    return pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


# --- replacing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"new\r\n", b"x" * 300_000])
@pytest.mark.parametrize("existing", [False, True])
def test_a_file_is_written(tmp_path: Path, data: bytes, existing: bool) -> None:
    path = tmp_path / "file"
    if existing:
        path.write_bytes(b"old" * 200_000)
    before = descriptors()
    replace(str(path), data)
    assert path.read_bytes() == data
    assert no_temporary_file(tmp_path, "file")
    assert descriptors() == before


def test_a_relative_path_is_written_where_it_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    replace("file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert no_temporary_file(tmp_path, "file")


def test_readers_of_the_old_file_keep_all_of_it(tmp_path: Path) -> None:
    """Written in place, the file would be seen half-done; renamed, it is another file."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    (tmp_path / "hard").hardlink_to(path)
    with path.open("rb") as reader:
        replace(str(path), b"newer")
        assert reader.read() == b"old"
    assert (tmp_path / "hard").read_bytes() == b"old"
    assert path.read_bytes() == b"newer"


def test_the_name_is_never_without_a_file(tmp_path: Path) -> None:
    """At the moment of the rename the old file is whole, and the new one is complete beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[dict[str, bytes]] = []

    def look() -> None:
        seen.append({p.name: p.read_bytes() for p in tmp_path.iterdir()})

    with just_before(os.rename, look):
        replace(str(path), b"new")
    (at_rename,) = seen
    assert at_rename.pop("file") == b"old"
    assert list(at_rename.values()) == [b"new"]


def test_the_bytes_are_flushed_before_the_rename(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen: list[bytes] = []
    with just_before(os.fsync, lambda: seen.append(path.read_bytes())):
        replace(str(path), b"new")
    assert seen == [b"old"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o400])
def test_the_mode_of_an_existing_file_is_kept(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    replace(str(path), b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        replace(str(tmp_path / "file"), b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    replace(str(link), b"new")
    assert target.read_bytes() == b"old"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"
    # A link's own mode is 0777 and means nothing: it must not become the mode of the file.
    assert stat.S_IMODE(link.stat().st_mode) & 0o133 == 0, oct(link.stat().st_mode)
    assert no_temporary_file(tmp_path, "link", "target")


def test_a_failure_leaves_the_old_state_and_no_temporary_file(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    before = descriptors()
    with pytest.raises(IsADirectoryError):
        replace(str(folder), b"new")
    assert no_temporary_file(tmp_path, "folder")
    assert folder.is_dir()
    with pytest.raises(FileNotFoundError):
        replace(str(tmp_path / "missing" / "file"), b"new")
    assert no_temporary_file(tmp_path, "folder")
    assert descriptors() == before


def test_a_full_disk_leaves_the_old_file_and_no_temporary_file(application: Application) -> None:
    """The limit on file sizes makes a write fail half-way, as a full disk does."""
    folder = application.folder / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    outcome = application.run(
        """
        import errno, os, resource
        from codegenie.writing import replace
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        before = set(os.listdir("/dev/fd"))
        try:
            replace("folder/file", b"x" * 5000)
        except OSError as error:
            print(errno.errorcode[error.errno])
        print(os.listdir("folder"), set(os.listdir("/dev/fd")) == before)
        """,
        guarded=False,
    )
    assert outcome.stdout == "EFBIG\n['file'] True\n", outcome
    assert (folder / "file").read_bytes() == b"old"


def test_an_interruption_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), just_before(os.rename, interrupt):
        replace(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert no_temporary_file(tmp_path, "file")


# --- permissions --------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [replace, create])
def test_no_other_user_can_open_an_unfinished_file(
    tmp_path: Path, write: Callable[..., None]
) -> None:
    """A descriptor that another user gets in time would write to the finished file."""
    seen: list[dict[str, int]] = []
    finish = os.fchmod
    with umask(0), just_before(finish, lambda: seen.append(modes_in(tmp_path))):
        write(str(tmp_path / "file"), b"new", mode=0o644)
    (at_the_end,) = seen
    assert list(at_the_end.values()) == [0o600]
    assert modes_in(tmp_path) == {"file": 0o644}


def test_permissions_are_final_before_the_rename(tmp_path: Path) -> None:
    seen: list[dict[str, int]] = []
    with just_before(os.rename, lambda: seen.append(modes_in(tmp_path))):
        replace(str(tmp_path / "file"), b"new", mode=0o640)
    assert [list(modes.values()) for modes in seen] == [[0o640]]


def test_set_user_id_bits_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o6755)
    replace(str(path), b"new")
    assert modes_in(tmp_path) == {"file": 0o755}


@needs_root()
def test_the_group_of_an_existing_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, -1, 12345)
    path.chmod(0o640)
    replace(str(path), b"new")
    assert (path.stat().st_gid, modes_in(tmp_path)) == (12345, {"file": 0o640})


@needs_root()
def test_permissions_for_a_lost_group_are_lost(application: Application) -> None:
    """A user outside the group of the old file cannot give the new file to it."""
    folder = application.folder / "folder"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "file").write_bytes(b"old")
    os.chown(folder / "file", -1, 12345)
    (folder / "file").chmod(0o664)
    for above in folder.parents:
        if above.stat().st_uid == 0 and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    outcome = application.run(
        """
        import os
        from codegenie.writing import replace
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        replace("folder/file", b"new")
        """,
        guarded=False,
    )
    assert outcome.status == 0, outcome
    assert modes_in(folder) == {"file": 0o644}


# --- what is not a file -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fifo", "socket", "folder"])
def test_only_a_regular_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    words = {"fifo": "is a FIFO", "socket": "is a socket", "folder": "is a folder"}[kind]
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    before = path.lstat()
    with pytest.raises(OSError, match=words):
        replace(str(path), b"new")
    assert path.lstat().st_ino == before.st_ino
    assert no_temporary_file(tmp_path, "x")


@needs_root()
def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this container makes no devices")
    with pytest.raises(OSError, match="is a character device, not a regular file"):
        replace(str(device), b"new")
    assert stat.S_ISCHR(device.lstat().st_mode)


# --- the folder ---------------------------------------------------------------------------------


FLUSH = """
import errno, os, stat
from codegenie import writing
real = os.fsync
def fsync(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(errno.{name}, os.strerror(errno.{name}))
    real(descriptor)
os.fsync = fsync
try:
    writing.replace("file", b"new")
except OSError as error:
    print(type(error).__name__, writing.write_error(error))
print(open("file").read())
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("EINVAL", ""),
        ("ENOTSUP", ""),
        (
            "EIO",
            "FolderNotFlushed was written, but a power failure can undo that: input/output error\n",
        ),
    ],
)
def test_a_folder_that_cannot_be_flushed_undoes_nothing(
    application: Application, name: str, said: str
) -> None:
    outcome = application.run(FLUSH.format(name=name), guarded=False)
    assert outcome.stdout == f"{said}new\n", outcome


def test_what_an_error_means_for_the_file_is_said() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert write_error(full) == "cannot be written: no space left on device"
    late = FolderNotFlushed(errno.EIO, "Input/output error")
    assert write_error(late).startswith("was written, but")


# --- creating -----------------------------------------------------------------------------------


def test_a_new_file_is_created(tmp_path: Path) -> None:
    with umask(0o027):
        create(str(tmp_path / "file"), b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert modes_in(tmp_path) == {"file": 0o640}
    assert (tmp_path / "file").stat().st_nlink == 1


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "folder"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    target = tmp_path / "target"
    target.write_bytes(b"old")
    if kind == "file":
        path.write_bytes(b"old")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(target if kind == "link" else "nowhere")
    with pytest.raises(FileExistsError):
        create(str(path), b"new")
    assert no_temporary_file(tmp_path, "x", "target")
    assert target.read_bytes() == b"old"


def test_a_file_is_created_without_hard_links(application: Application) -> None:
    script = """
    import errno, os
    from codegenie import writing
    def link(*_, **__):
        raise OSError(errno.EPERM, "no links here")
    os.link = link
    os.mkdir("f")
    writing.create("f/file", b"new")
    try:
        writing.create("f/file", b"newer")
    except FileExistsError:
        print(os.listdir("f"), open("f/file").read())
    """
    outcome = application.run(script, guarded=False)
    assert outcome.stdout == "['file'] new\n", outcome


# --- folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_a_folder_has_its_permissions_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        assert make_folder(str(tmp_path / "x"), mode=0o755)
        assert not make_folder(str(tmp_path / "x"), mode=0o700)
    assert modes_in(tmp_path) == {"x": 0o755}


def test_a_link_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "x").symlink_to("target")
    with pytest.raises(FileExistsError):
        make_folder(str(tmp_path / "x"), mode=0o755)
