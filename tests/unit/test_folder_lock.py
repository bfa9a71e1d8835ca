"""Commands that write to one folder take turns."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegenie import folder_lock
from codegenie.folder_lock import StillLocked, locked

HOLD = """
import sys
from codegenie.folder_lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock of a folder until its input ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    told = []
    with hold(tmp_path) as holder:

        def waiting(folder: str) -> None:
            told.append((folder, holder.poll()))
            assert holder.stdin is not None
            holder.stdin.close()  # ends the first one

        with locked(str(tmp_path), waiting=waiting):
            holder.wait(60)
    assert told == [(str(tmp_path), None)]


def test_a_killed_holder_blocks_no_process(tmp_path: Path) -> None:
    with hold(tmp_path) as holder:
        holder.kill()
        holder.wait(60)
        with locked(str(tmp_path)):
            pass


def test_waiting_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "MAX_WAIT_SECONDS", 0)
    other = tmp_path / "other"
    other.mkdir()
    with hold(other):
        before = len(os.listdir("/dev/fd"))
        with (
            pytest.raises(StillLocked, match=f"{other} has been in use"),
            locked(str(tmp_path), str(other)),
        ):
            pytest.fail("it was not locked")
        assert len(os.listdir("/dev/fd")) == before


def test_two_names_of_one_folder_are_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(".")
    with locked(str(tmp_path), str(tmp_path / "link"), f"{tmp_path}/."):
        pass


def test_a_folder_that_is_missing_is_left_out(tmp_path: Path) -> None:
    with locked(str(tmp_path / "missing"), str(tmp_path)):
        assert os.listdir(tmp_path) == []


def test_only_a_file_system_without_locks_is_used_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = errno.ENOLCK

    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(str(tmp_path)):
        pass
    answer = errno.EIO
    with pytest.raises(OSError, match=os.strerror(errno.EIO)), locked(str(tmp_path)):
        pytest.fail("it was not locked")
