"""The origin of code that is about to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegenie._start import checks


@pytest.mark.parametrize("name", ["tool.py", "link/../tool.py", "{folder}/link/../tool.py"])
def test_runpy_opens_the_absolute_path_of_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "elsewhere" / "folder").mkdir(parents=True)
    (tmp_path / "link").symlink_to("elsewhere/folder")
    monkeypatch.chdir(tmp_path)
    assert checks._opened_by_runpy(name.format(folder=tmp_path)) == f"{tmp_path}/tool.py"


def test_a_name_that_is_no_path_opens_nothing() -> None:
    assert checks._opened_by_runpy(None) is None
