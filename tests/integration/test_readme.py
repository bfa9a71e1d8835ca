"""What the README shows is what works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.static.sources import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The files of the README, where it says they are."""
    python = [text for kind, text in BLOCKS if kind == "python"]
    (tmp_path / "app.py").write_text(next(t for t in python if "load_plugins" in t))
    for kind, text in BLOCKS:
        named = re.match(r"# (plugins/\S+)\n", text)
        if named and kind in ("python", "yaml"):
            path = tmp_path / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return tmp_path


def test_the_application_and_the_commands_of_the_readme(project: Path) -> None:
    commands = [
        line.partition("#")[0].split()
        for kind, text in BLOCKS
        if kind == "console"
        for line in text.splitlines()
    ]
    assert len(commands) == 6
    for command in commands:
        assert command[0] == "codegenie"
        done = run([sys.executable, "-m", *command], project)
        assert done.returncode == 0, done
    done = run([sys.executable, "app.py"], project)
    assert (done.returncode, done.stdout) == (0, "hello hello\n"), done

    with (project / "plugins" / "hello" / "api.py").open("a") as file:
        file.write("#")
    done = run([sys.executable, "app.py"], project)
    assert done.returncode == 1
    assert "IntegrityMismatch" in done.stderr


def test_the_example_plugins_are_locked() -> None:
    command = [sys.executable, "-m", "codegenie", "plugins", "lock", "--check", "examples/plugins"]
    done = run(command, REPOSITORY)
    assert done.returncode == 0, done


def test_the_shell_line_gives_the_digests_that_verify_prints() -> None:
    """The recipe stands in plugins/PLUGINS.lock.README.md, for the day this project is gone."""
    recipe = (REPOSITORY / "plugins" / "PLUGINS.lock.README.md").read_text()
    line = re.search(r"find \. .*?sha256sum$", recipe, flags=re.MULTILINE | re.DOTALL)
    assert line is not None
    command = [sys.executable, "-m", "codegenie", "plugins", "verify", "examples/plugins"]
    for row in run(command, REPOSITORY).stdout.splitlines():
        digest, plugin = row.split()
        folder = REPOSITORY / "examples" / "plugins" / plugin
        assert run(["bash", "-c", line[0]], folder).stdout.split()[0] == digest
