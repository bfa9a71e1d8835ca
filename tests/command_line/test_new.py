"""``codegenie plugins new``: what it writes works as it is, and it never writes over anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codegenie.authoring import scaffold
from codegenie.types.identifiers import PluginId
from tests.fixtures.command_line import in_process
from tests.fixtures.environments import clean_environment
from tests.static.sources import REPOSITORY

LONGEST = "a" * 128
IDS = ["hello", "vulnerability-remediation--node--npm", "a_b-c", LONGEST]


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): "" if path.is_dir() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


def tool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_it_writes_a_plugin_and_says_what_to_type_next(tmp_path: Path) -> None:
    made = in_process(tmp_path, "plugins", "new", "hello")
    assert made.status == 0
    assert made.stdout.splitlines() == [
        "+ plugins/hello/plugin.yaml",
        "+ plugins/hello/api.py",
        "+ tests/test_hello.py",
    ]
    following = [line.strip() for line in made.stderr.splitlines() if line.startswith("  ")]
    assert following == [
        "codegenie plugins lock plugins hello",
        "python -m pytest tests/test_hello.py",
    ]
    assert not (tmp_path / "plugins" / "PLUGINS.lock").exists()
    for line in following:
        program, *arguments = line.split()
        if program == "codegenie":
            assert in_process(tmp_path, *arguments).status == 0
        else:
            done = tool(tmp_path, *arguments[1:], "-p", "no:cacheprovider")
            assert done.returncode == 0, done
            assert "1 passed" in done.stdout
    assert in_process(tmp_path, "plugins", "verify").status == 0


@pytest.mark.parametrize("word", ["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
def test_an_id_that_yaml_takes_for_a_value_is_quoted(tmp_path: Path, word: str) -> None:
    assert in_process(tmp_path, "plugins", "new", word).status == 0
    manifest = tmp_path / "plugins" / word / "plugin.yaml"
    assert manifest.read_text().startswith(f'name: "{word}"\n')
    assert in_process(tmp_path, "plugins", "lock", "plugins").status == 0


def test_its_test_fails_when_the_plugin_does(tmp_path: Path) -> None:
    assert in_process(tmp_path, "plugins", "new", "hello").status == 0
    api = tmp_path / "plugins" / "hello" / "api.py"
    api.write_text(api.read_text().replace("hello from", "goodbye from"))
    done = tool(tmp_path, "pytest", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 1
    assert "goodbye from hello" in done.stdout


def test_the_document_names_the_files_and_the_commands(tmp_path: Path) -> None:
    made = in_process(tmp_path, "plugins", "new", "a-b", "app/my plugins", "--json")
    root = tmp_path / "app" / "my plugins"
    assert made.document["written"] == [
        str(root / "a-b" / "plugin.yaml"),
        str(root / "a-b" / "api.py"),
        str(tmp_path / "app" / "tests" / "test_a_b.py"),
    ]
    assert made.document["next"][0] == "codegenie plugins lock 'app/my plugins' a-b"
    assert in_process(tmp_path, "plugins", "lock", "app/my plugins", "a-b").status == 0
    done = tool(tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "app/tests")
    assert done.returncode == 0, done


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    for plugin in IDS:
        assert in_process(tmp_path, "plugins", "new", plugin).status == 0
    assert in_process(tmp_path, "plugins", "new", "other", 'it\'s "ours"').status == 0
    return tmp_path


def test_what_it_writes_passes_our_own_linter(generated: Path) -> None:
    settings = str(REPOSITORY / "pyproject.toml")
    for command in (["check"], ["format", "--check", "--diff"]):
        done = tool(generated, "ruff", *command, "--no-cache", "--config", settings, ".")
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_writes_passes_strict_type_checks(generated: Path) -> None:
    for plugin in ("hello", LONGEST):
        paths = [f"plugins/{plugin}/api.py", f"tests/test_{plugin}.py"]
        done = tool(generated, "mypy", "--strict", "--cache-dir", ".cache", *paths)
        assert done.returncode == 0, done.stdout + done.stderr


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "plugin", ["Hello", "1st", "a.b", "a/b", "../up", "-dash", "", "é", "a b", "a" * 129, "a\nb"]
)
def test_a_bad_id_is_wrong_usage(tmp_path: Path, plugin: str) -> None:
    made = in_process(tmp_path, "plugins", "new", "--", plugin)
    assert (made.status, made.stdout) == (2, "")
    assert "is not an id for a new plugin (a lower-case letter, then at most 127 of" in made.stderr
    assert snapshot(tmp_path) == {}


def _folder(root: Path) -> None:
    (root / "a-b").mkdir()
    (root / "a-b" / "notes.txt").write_text("mine")


def _file(root: Path) -> None:
    (root / "a-b").write_text("")


def _dangling_link(root: Path) -> None:
    (root / "a-b").symlink_to("nowhere")


def _module(root: Path) -> None:
    (root / "a-b.py").write_text("")


def _test(root: Path) -> None:
    (root.parent / "tests").mkdir()
    (root.parent / "tests" / "test_a_b.py").write_text("mine")


def _locked(root: Path) -> None:
    (root / "PLUGINS.lock").write_text(json.dumps({"a-b": "0" * 64}))


@pytest.mark.parametrize("take", [_folder, _file, _dangling_link, _module, _test, _locked])
def test_a_taken_id_is_wrong_usage_and_nothing_is_written(tmp_path: Path, take: Any) -> None:
    root = tmp_path / "plugins"
    root.mkdir()
    take(root)
    before = snapshot(tmp_path)
    made = in_process(tmp_path, "plugins", "new", "a-b")
    assert (made.status, made.stdout) == (2, "")
    assert "'a-b' is taken: " in made.stderr
    assert snapshot(tmp_path) == before


def test_what_a_killed_command_has_begun_is_finished(tmp_path: Path) -> None:
    assert in_process(tmp_path, "plugins", "new", "a-b").status == 0
    whole = snapshot(tmp_path)
    folder = tmp_path / "plugins" / "a-b"
    (folder / "api.py").unlink()
    (folder / ".api.py.1.0123456789ab.tmp").write_text("a part")
    assert in_process(tmp_path, "plugins", "new", "a-b").status == 0
    assert snapshot(tmp_path) == whole
    (folder / "api.py").unlink()
    (folder / "plugin.yaml").write_text("changed by the author")
    assert in_process(tmp_path, "plugins", "new", "a-b").status == 2


@pytest.mark.parametrize("blocked", ["tests", "app"])
def test_what_cannot_be_written_leaves_nothing_half_made(tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked).write_text("a file where a folder should be")
    before = snapshot(tmp_path)
    root = "plugins" if blocked == "tests" else "app/plugins"
    made = in_process(tmp_path, "plugins", "new", "hello", root)
    assert (made.status, made.stdout) == (1, "")
    assert str(tmp_path / blocked) in made.stderr
    assert snapshot(tmp_path) == before


def test_a_race_for_an_id_has_one_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that makes the folder first keeps it; the other removes only its own files."""
    root = tmp_path / "plugins"
    make = os.mkdir

    def somebody_is_faster(path: str, mode: int = 0o777) -> None:
        if path == f"{root}/hello":
            make(path)
            Path(path, "theirs.py").write_text("")
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", somebody_is_faster)
    with pytest.raises(scaffold.IdTaken, match="hello"):
        scaffold.make(str(root), PluginId("hello"))
    assert list(snapshot(tmp_path)) == ["plugins", "plugins/hello", "plugins/hello/theirs.py"]


@pytest.mark.parametrize("root", ["", "plugins/beta", "alpha", "tests", "app/tests"])
def test_a_root_that_cannot_be_a_plugin_folder_is_wrong_usage(tmp_path: Path, root: str) -> None:
    for folder in ("plugins", "alpha"):
        (tmp_path / folder).mkdir()
    (tmp_path / "plugins" / "PLUGINS.lock").write_text("{}")
    (tmp_path / "alpha" / "plugin.yaml").write_text("")
    before = snapshot(tmp_path)
    made = in_process(tmp_path, "plugins", "new", "hello", root)
    assert (made.status, made.stdout) == (2, "")
    assert "Invalid value for '[ROOT]'" in made.stderr
    assert snapshot(tmp_path) == before
