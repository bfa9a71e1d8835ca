"""The command line writes in turns, never over a path that is no file, and readable for its
readers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegenie.folder_lock import locked
from tests.fixtures.command_line import in_process
from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import Application, oracle


def begin(application: Application, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "codegenie", *command],
        cwd=application.folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_another_command_pins_meanwhile_is_kept(application: Application) -> None:
    """Both read the old lock, both write it: without turns, the second undoes the first."""
    application.add_plugin("beta")
    application.lock()
    for plugin in ("alpha", "beta"):
        application.write(f"{plugin}/helper.py", "VALUE = 43\n")
    with locked(str(application.root)):
        second = begin(application, "plugins", "lock", "plugins", "alpha")
        assert second.stderr is not None
        assert "waiting for another" in second.stderr.readline()
        entries = json.loads(application.lock_path.read_text())
        application.lock({**entries, "beta": oracle(application.root / "beta")})
    with second:
        second.communicate()
    assert second.returncode == 0
    pinned = json.loads(application.lock_path.read_text())
    assert pinned == {name: oracle(application.root / name) for name in ("alpha", "beta")}


@pytest.mark.parametrize(
    "command",
    [
        ("plugins", "lock", "plugins"),
        ("plugins", "compile", "plugins"),
        ("plugins", "new", "beta", "plugins"),
        ("plugins", "merge-lock", "base", "plugins/PLUGINS.lock", "base", "plugins/PLUGINS.lock"),
    ],
    ids=lambda command: command[1],
)
def test_every_command_that_writes_waits_for_its_turn(
    application: Application, command: tuple[str, ...]
) -> None:
    (application.folder / "base").write_bytes(application.lock_path.read_bytes())
    with locked(str(application.root)):
        started = begin(application, *command)
        assert started.stderr is not None
        said = started.stderr.readline()
        assert started.poll() is None
        assert not (application.root / "beta").exists()
        assert not (application.root / "PLUGINS.sha256").exists()
    with started:
        started.communicate()
    assert said == "waiting for another codegenie command that uses plugins\n"
    assert started.returncode == 0


def test_readers_wait_for_no_writer(application: Application) -> None:
    assert in_process(application.folder, "plugins", "lock", "plugins").status == 0
    with locked(str(application.root)):
        for command in (("lock", "--check"), ("verify",), ("list",), ("diff",)):
            assert in_process(application.folder, "plugins", *command, "plugins").status == 0


# --- what is there ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_merge_replaces_nothing_but_a_file(application: Application, kind: str) -> None:
    """Root can rename over a device node; then the machine has none."""
    for name in ("base", "theirs"):
        (application.folder / name).write_bytes(application.lock_path.read_bytes())
    ours = application.folder / "ours"
    if kind == "fifo":
        os.mkfifo(ours)
    else:
        try:
            os.mknod(ours, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices, and not in every container")
    before = ours.lstat()
    result = in_process(
        application.folder, "plugins", "merge-lock", "base", "ours", "theirs", "PLUGINS.lock"
    )
    assert result.status == 1, result
    assert "ours: cannot be written: is a " in result.stderr
    assert (ours.lstat().st_ino, ours.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_a_lock_takes_the_place_of_no_other_entry(application: Application, kind: str) -> None:
    application.lock_path.unlink()
    if kind == "fifo":
        os.mkfifo(application.lock_path)
    elif kind == "folder":
        application.lock_path.mkdir()
    else:
        application.lock_path.symlink_to("alpha/helper.py")
    before = application.lock_path.lstat()
    arguments = ("plugins", "lock", "plugins")
    result = in_process(application.folder, *arguments)
    assert result.status == 4, result
    assert application.lock_path.lstat().st_ino == before.st_ino
    assert not (application.root / "PLUGINS.sha256").exists()


# --- the file list ------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_readers_of_the_lock_can_read_the_file_list(application: Application, umask: int) -> None:
    application.lock_path.chmod(0o644)
    before = os.umask(umask)
    try:
        assert in_process(application.folder, "plugins", "lock", "plugins").status == 0
    finally:
        os.umask(before)
    for name in ("PLUGINS.lock", "PLUGINS.sha256"):
        assert stat.S_IMODE((application.root / name).stat().st_mode) == 0o644


AS_NOBODY = """
import os, runpy, sys
import codegenie.cli.plugins.lock, codegenie.cli.documents, codegenie.folder_lock
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.argv = ["codegenie", "plugins", *sys.argv[1:]]
runpy.run_module("codegenie", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def public_application() -> Iterator[Application]:
    """Return an application that every user can enter.

    It is not in pytest's own temporary folder. Each start of pytest, also by another test, closes
    that folder to other users.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Application(Path(folder))


def test_a_read_only_folder_is_locked_from_elsewhere(public_application: Application) -> None:
    """The lock on a writable volume, the plugins on one that is not."""
    application = public_application
    elsewhere = application.folder / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    application.lock_path.unlink()
    application.root.chmod(0o555)
    command = [sys.executable, "-c", AS_NOBODY, "lock", "--lock", "elsewhere/x.lock", "plugins"]
    try:
        first = application.start(command)
        again = application.start([*command, "--check"])
    finally:
        application.root.chmod(0o755)
    assert first.status == 0, first
    assert json.loads((elsewhere / "x.lock").read_text()) == {"alpha": oracle(application.plugin)}
    assert "plugins cannot be written, so it has no PLUGINS.sha256" in first.stderr
    assert again.status == 0, again
    assert not (application.root / "PLUGINS.sha256").exists()


# --- after a fault ------------------------------------------------------------------------------

FAULT = """
import os, runpy, stat, sys
real = os.fsync
def fsync(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        raise OSError(5, "Input/output error")
    real(descriptor)
os.fsync = fsync
sys.argv = ["codegenie", "plugins", *sys.argv[1:]]
runpy.run_module("codegenie", run_name="__main__", alter_sys=True)
"""


def test_a_replaced_lock_is_not_reported_as_the_old_one(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 43\n")
    outcome = application.start([sys.executable, "-c", FAULT, "lock", "plugins"])
    assert outcome.status == 4, outcome
    assert json.loads(application.lock_path.read_text()) == {"alpha": oracle(application.plugin)}
    assert "was written, but a power failure can undo that: input/output error" in outcome.stderr
    assert "nothing was written" not in outcome.stderr
