"""Every write of every command fails once, and is once the last thing that the process does.

Afterwards each file is the old or the new one, whole, and the next run succeeds.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.endurance import LONG, faults
from tests.endurance.disks import fill
from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import Application

with_preload = pytest.mark.skipif(
    faults.compiler() is None, reason="needs a C compiler, and LD_PRELOAD of Linux"
)


@with_preload
@pytest.mark.parametrize("command", faults.COMMANDS)
def test_a_fault_leaves_whole_files(
    tmp_path: Path, figures: dict[str, object], command: str
) -> None:
    if command in faults.NEED_KEYS and shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    counted = faults.start(tmp_path, command, every=LONG)
    figures.update(counted)
    assert counted["kills"] == counted["calls"] > 0


# --- a disk that is full ------------------------------------------------------------------------


def codegenie(application: Application, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "codegenie", "plugins", *arguments],
        cwd=application.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )


def test_a_full_disk_keeps_the_old_files(small_disk: Path) -> None:
    application = Application(small_disk)
    assert codegenie(application, "lock", "plugins").returncode == 0
    assert codegenie(application, "compile", "plugins").returncode == 0
    for number in range(60):  # locks and packs that need more than a page
        application.add_plugin(f"more{number}", {"api.py": "VALUE = 1\n"})
    before = {
        path: path.read_bytes() for path in application.root.rglob("PLUGINS.*") if path.is_file()
    }
    ballast = fill(small_disk)
    refused = codegenie(application, "lock", "plugins")
    assert refused.returncode == 4, refused
    assert "no space left on device" in refused.stderr
    assert "make room on the disk" in refused.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert not list(application.root.rglob("*.tmp"))
    made = codegenie(application, "new", "beta", "plugins")
    assert made.returncode == 1, made
    assert not (application.root / "beta").exists()
    ballast.unlink()
    assert codegenie(application, "lock", "plugins").returncode == 0
    assert codegenie(application, "verify", "plugins").returncode == 0


def test_a_limit_of_the_file_size_keeps_the_old_lock(application: Application) -> None:
    """Let the kernel write a part and refuse the rest (``EFBIG``)."""
    for number in range(60):
        application.add_plugin(f"more{number}", {"api.py": "VALUE = 1\n"})
    before = application.lock_path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "codegenie", "plugins", "lock", "plugins"],
        cwd=application.folder,
        env={**clean_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )
    assert done.returncode == 4, done
    assert "cannot be written: file too large" in done.stderr
    assert application.lock_path.read_bytes() == before
    assert not list(application.root.rglob("*.tmp"))
    assert os.path.getsize(application.lock_path) < 1000
