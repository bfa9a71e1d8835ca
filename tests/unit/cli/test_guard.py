"""The command that ``codegenie guard`` gives to type."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from codegenie.cli.guard import common
from tests.fixtures.command_line import in_process

FOLDER = {"root": "/a b", "lock": "/a b/PLUGINS.lock", "package": "plugins", "others": "refuse"}
ACTIVE = {"folders": [FOLDER], "scope": "all", "mode": "audit"}


@pytest.mark.parametrize(
    ("active", "python", "options"),
    [
        ({}, sys.executable, "--root ROOT"),
        ({}, "/p q", "--root ROOT --python '/p q'"),
        (ACTIVE, sys.executable, "--root '/a b'"),
        (
            {"folders": [{**FOLDER, "lock": "/l"}], "scope": "plugin", "log": "fd:3"},
            "/p",
            "--root '/a b' --lock /l --scope plugin --log fd:3 --python /p",
        ),
        (
            {"folders": [{**FOLDER, "package": None, "others": "leave"}]},
            sys.executable,
            "--root '/a b' --no-package --others leave",
        ),
        (
            {"folders": [{**FOLDER, "package": "x.y"}]},
            sys.executable,
            "--root '/a b' --package x.y",
        ),
        ({"folders": [FOLDER, FOLDER]}, sys.executable, "--config codegenie.toml"),
        (
            {**ACTIVE, "trust": {"policy": "/t.json", "sha256": "0" * 64, "at": "install"}},
            sys.executable,
            "--root '/a b' --trust /t.json --trust-at install",
        ),
    ],
)
def test_it_keeps_what_is_active(
    active: dict[str, Any],
    python: str,
    options: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert common.install_command(active, python) == f"codegenie guard install {options}"


def test_it_names_the_locked_folder_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "PLUGINS.lock").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert common.install_command({}, sys.executable) == "codegenie guard install --root plugins"


def test_it_names_the_nearest_configuration_of_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "below"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "below")
    (tmp_path / "codegenie.toml").write_text(
        '[[folder]]\nroot = "a"\n[[folder]]\nroot = "b"\npackage = "b"\n'
    )
    both = {"folders": [{"root": str(tmp_path / name)} for name in "ab"]}
    for active in ({}, both):
        words = common.install_command(active, sys.executable).split()
        assert (tmp_path / "below" / words[-1]).samefile(tmp_path / "codegenie.toml"), words
    other = {"folders": [{"root": str(tmp_path / name)} for name in "ac"]}
    assert common.install_command(other, sys.executable).endswith("--config codegenie.toml")


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_log_that_would_not_be_written_is_wrong_usage(tmp_path: Path, kind: str) -> None:
    (tmp_path / "plugins").mkdir()
    if kind == "folder":
        (tmp_path / "log").mkdir()
    else:
        (tmp_path / "log").symlink_to("/dev/stdout")
    arguments = ("guard", "install", "--root", "plugins", "--log", "log")
    result = in_process(tmp_path, *arguments)
    assert result.status == 2, result
    words = {"link": "a symbolic link", "folder": "a folder"}[kind]
    assert f"log is {words}, so nothing is written to it" in result.stderr
