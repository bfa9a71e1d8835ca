"""The advice that a message gives works for what is wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from codegenie.writing import write_remedy
from tests.fixtures.environments import run_codegenie
from tests.fixtures.trees import Application


def test_check_says_that_only_the_file_list_differs(application: Application) -> None:
    assert run_codegenie("plugins", "lock", cwd=application.folder).status == 0
    (application.root / "PLUGINS.sha256").write_text("")
    checked = run_codegenie("plugins", "lock", "--check", cwd=application.folder)
    assert checked.status == 4
    assert "plugins/PLUGINS.sha256 is not up to date, while the lock pins" in checked.stderr
    application.write("alpha/api.py", "changed = True\n")
    checked = run_codegenie("plugins", "lock", "--check", cwd=application.folder)
    assert checked.status == 4
    assert "plugins/PLUGINS.lock is not up to date" in checked.stderr


def test_the_lock_link_of_an_editor_is_called_that(application: Application) -> None:
    os.symlink("someone@host.123:456", application.plugin / ".#api.py")
    refused = run_codegenie("plugins", "lock", cwd=application.folder)
    assert refused.status == 4
    assert "close the file in the editor" in refused.stderr


def test_a_source_that_the_compiler_cannot_take_stops_no_pack(application: Application) -> None:
    application.write("alpha/nested.py", "(" * 100_000 + ")" * 100_000)
    application.write("alpha/chain.py", "x = 1" + " + 1" * 50_000 + "\n")
    application.write("alpha/minus.py", "x = " + "-" * 50_000 + "1\n")
    assert run_codegenie("plugins", "lock", cwd=application.folder).status == 0
    compiled = run_codegenie("plugins", "compile", cwd=application.folder)
    assert compiled.status == 0, compiled
    assert "1 plugin compiled" in compiled.stderr
    verified = run_codegenie("plugins", "verify", "--bytecode", cwd=application.folder)
    assert verified.status == 0, verified


def test_lost_and_found_leads_to_a_folder_below(application: Application) -> None:
    (application.root / "lost+found").mkdir()
    refused = run_codegenie("plugins", "verify", cwd=application.folder)
    assert refused.status == 4
    assert "use a folder below the mount point" in refused.stderr
    assert "codegenie plugins lock" not in refused.stderr


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "room on the disk"),
        (errno.EBUSY, "mount its folder"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "a user that may write"),
        (errno.EISDIR, "make it a regular file"),
    ],
)
def test_what_helps_depends_on_why_it_cannot_be_written(number: int, advice: str) -> None:
    assert advice in write_remedy(OSError(number, os.strerror(number)))


HOLDER = """
import fcntl, os, signal, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
signal.signal(
    signal.SIGIO, lambda *_: fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
)
print('held', flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="leases are Linux's")
def test_a_file_with_a_lease_is_waited_for(application: Application) -> None:
    """As plain Python waits: a file server gives its lease up when the file is opened."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(application.plugin / "api.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        if holder.stdout.readline() != "held\n":
            pytest.skip("this file system has no leases")
        outcome = application.run("import plugins.alpha.api as api; print(api.answer())")
        holder.communicate("")
    assert outcome.stdout == "42\n", outcome
