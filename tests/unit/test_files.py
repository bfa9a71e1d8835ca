"""Reading one small file safely."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from codegenie.files import Unreadable, kind_of, read_exactly, read_regular, utf8_text
from codegenie.result import Ok
from tests.fixtures.trees import Application

GROWING = Path("/proc/self/status")
"""A regular file whose size is reported as 0: for a reader, it grew after its size was read."""


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """Fail a read that waits for ever, because the run would never end."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("blocked")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))


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


# --- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"a", b"\r\n\x00\xff", b"x" * 100])
def test_bytes_are_read_as_they_are(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert read_regular(str(path), max_bytes=100) == Ok(data)


@pytest.mark.parametrize(("size", "accepted"), [(9, True), (10, True), (11, False), (10**6, False)])
def test_the_cap_is_the_largest_size_that_is_read(
    tmp_path: Path, size: int, accepted: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    result = read_regular(str(path), max_bytes=10)
    if accepted:
        assert result == Ok(b"x" * size)
    else:
        unreadable = result.unwrap_err()
        assert (unreadable.path, unreadable.detail) == (str(path), "is larger than 10 bytes")


def test_an_oversize_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """A sparse file of a terabyte could not be read; its size is enough to refuse it."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert read_regular(str(path), max_bytes=10).unwrap_err().detail == "is larger than 10 bytes"


@pytest.mark.skipif(not GROWING.exists(), reason="needs a procfs")
def test_a_file_that_grew_after_stat_is_refused() -> None:
    assert GROWING.stat().st_size == 0
    unreadable = read_regular(str(GROWING), max_bytes=10).unwrap_err()
    assert unreadable.path == str(GROWING)
    assert unreadable.detail == "is larger than 10 bytes"


def test_a_file_that_grows_between_the_question_and_the_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"y")

    with just_before(os.read, grow):
        result = read_regular(str(path), max_bytes=10)
    assert result.unwrap_err().detail == "is larger than 10 bytes"


def socket_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Relative, because an address holds about a hundred bytes.
    monkeypatch.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path.name)


SPECIAL: list[tuple[str, str]] = [
    ("link", "is a symbolic link, not a regular file"),
    ("dangling", "is a symbolic link, not a regular file"),
    ("loop", "is a symbolic link, not a regular file"),
    ("folder", "is a folder, not a regular file"),
    ("fifo", "is a FIFO, not a regular file"),
    ("socket", "is a socket, not a regular file"),
    ("missing", "does not exist"),
]


@pytest.mark.parametrize(("name", "detail"), SPECIAL)
def test_only_a_regular_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, detail: str
) -> None:
    """A FIFO among them: it has no writer, so opening it the plain way would wait for ever."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    socket_at(tmp_path / "socket", monkeypatch)

    path = str(tmp_path / name)
    before = descriptors()
    unreadable = read_regular(path, max_bytes=10).unwrap_err()
    assert (unreadable.path, unreadable.detail) == (path, detail)
    assert str(unreadable) == f"{path}: {detail}"
    assert descriptors() == before


def test_a_device_is_not_read() -> None:
    detail = read_regular("/dev/null", max_bytes=10).unwrap_err().detail
    assert detail == "is a character device, not a regular file"


def test_an_unusable_path_is_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    below_a_file = str(tmp_path / "file" / "below")
    assert read_regular(below_a_file, max_bytes=1).unwrap_err().detail == (
        "cannot be opened: not a directory"
    )
    with_a_null = str(tmp_path / "a\0b")
    refused = read_regular(with_a_null, max_bytes=1).unwrap_err()
    assert refused.path == with_a_null
    assert refused.detail.startswith("cannot be opened: ")


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("fifo", "is a FIFO, not a regular file"),
        ("link", "cannot be opened: too many levels of symbolic links"),
        ("nothing", "does not exist"),
    ],
)
def test_what_is_exchanged_after_the_first_look_is_looked_at_again(
    tmp_path: Path, kind: str, detail: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    other = tmp_path / "other"
    other.write_bytes(b"secret")

    def exchange() -> None:
        path.unlink()
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(other)

    before = descriptors()
    with just_before(os.open, exchange):
        result = read_regular(str(path), max_bytes=10)
    assert result.unwrap_err().detail == detail
    assert descriptors() == before


def test_reading_leaves_no_descriptor_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 20)
    before = descriptors()
    assert read_regular(str(path), max_bytes=20).is_ok()
    assert read_regular(str(path), max_bytes=10).is_err()
    assert descriptors() == before


def test_what_cannot_be_opened_is_named(application: Application) -> None:
    """The superuser can open everything, so a child gives that up first."""
    (application.folder / "file").write_bytes(b"x")
    (application.folder / "file").chmod(0)
    application.folder.chmod(0o755)
    outcome = application.run(
        """
        import os
        from codegenie.files import read_regular
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        print(read_regular("file", max_bytes=10))
        """,
        guarded=False,
    )
    assert outcome.stdout == "Err(file: cannot be opened: permission denied)\n", outcome


def test_a_short_read_is_continued() -> None:
    """A pipe hands out what it has: asking once would lose the rest."""
    reader, writer = os.pipe()
    try:
        os.write(writer, b"abc")
        parts = iter([b"de", b"f"])

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            # More arrives, and then the end, each only after a read has returned.
            if event == "c_return" and argument is os.read:
                data = next(parts, None)
                if data is not None:
                    os.write(writer, data)

        sys.setprofile(profile)
        try:
            data = read_exactly(reader, 6)
        finally:
            sys.setprofile(None)
        assert data == b"abcdef"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (stat.S_IFREG, "a regular file"),
        (stat.S_IFDIR, "a folder"),
        (stat.S_IFLNK, "a symbolic link"),
        (stat.S_IFIFO, "a FIFO"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFCHR, "a character device"),
        (stat.S_IFBLK, "a block device"),
        (0, "of an unknown kind"),
    ],
)
def test_every_kind_of_entry_has_a_name(mode: int, words: str) -> None:
    assert kind_of(mode | 0o644) == words


def test_an_unreadable_names_path_and_reason() -> None:
    assert repr(Unreadable("/a/b", "is odd")) == "/a/b: is odd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("é", "é"), ("a\udcff", "a\\xff"), ("\ud800", "\\ud800"), ("\udcff\ud800", "\\udcff\\ud800")],
)
def test_any_text_can_be_held_by_utf_8(text: str, shown: str) -> None:
    assert utf8_text(text) == shown
