"""Targets of the event log."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codegenie.log_target import problem


@pytest.mark.parametrize(
    "target", ["fd:3", "{0}/missing", "{0}/missing/log", "{0}/log", "{0}/fifo"]
)
def test_a_file_a_fifo_and_a_descriptor_get_lines(tmp_path: Path, target: str) -> None:
    (tmp_path / "log").touch()
    os.mkfifo(tmp_path / "fifo")
    assert problem(target.format(tmp_path)) == ""


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("{0}/link", "is a symbolic link"),
        ("{0}/nowhere", "is a symbolic link"),
        ("{0}", "is a folder"),
        ("/dev/null", "is a"),
    ],
)
def test_nothing_else_does(tmp_path: Path, target: str, kind: str) -> None:
    (tmp_path / "log").touch()
    (tmp_path / "link").symlink_to("log")
    (tmp_path / "nowhere").symlink_to("missing")
    said = problem(target.format(tmp_path))
    assert said.startswith(kind)
    assert "so nothing is written to it" in said
