"""The example plugins are locked, and by digests that need nothing of this project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.static.sources import REPOSITORY


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_example_plugins_are_locked() -> None:
    command = [sys.executable, "-m", "codegenie", "plugins", "lock", "--check", "examples/plugins"]
    done = run(command, REPOSITORY)
    assert done.returncode == 0, done


def test_the_shell_line_gives_the_digests_that_verify_prints() -> None:
    """The recipe is in plugins/PLUGINS.lock.README.md, for the day this project is gone."""
    recipe = (REPOSITORY / "plugins" / "PLUGINS.lock.README.md").read_text()
    line = re.search(r"find \. .*?sha256sum$", recipe, flags=re.MULTILINE | re.DOTALL)
    assert line is not None
    command = [sys.executable, "-m", "codegenie", "plugins", "verify", "examples/plugins"]
    for row in run(command, REPOSITORY).stdout.splitlines():
        digest, plugin = row.split()
        folder = REPOSITORY / "examples" / "plugins" / plugin
        assert run(["bash", "-c", line[0]], folder).stdout.split()[0] == digest
