"""Folders of a search path that lead into a guarded folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegenie._start.finder import GuardFinder


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("{root}", "{root}"),
        ("{root}/alpha", "{root}/alpha"),
        ("{root}/alpha/.", "{root}/alpha"),
        ("{root}/../plugins/alpha", "{root}/alpha"),
        ("{root}/.././plugins/alpha", "{root}/alpha"),
        ("{parent}/./plugins/alpha", "{root}/alpha"),
        ("{parent}//plugins/alpha", "{root}/alpha"),
        ("plugins/alpha", "{root}/alpha"),
        ("{root}/link", "{root}/link"),
        ("{root}/link/../beta", None),
        ("{root}/missing/", "{root}/missing"),
        ("{parent}/beta", None),
    ],
)
def test_each_spelling_of_a_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, found: str | None
) -> None:
    root = tmp_path / "plugins"
    (root / "alpha").mkdir(parents=True)
    (tmp_path / "gamma").mkdir()
    (root / "link").symlink_to("../gamma")
    monkeypatch.chdir(tmp_path)
    guard = GuardFinder(
        {"folders": [{"root": str(root), "package": "plugins", "others": "refuse"}]}
    )
    place = guard.folder_at(path.format(root=root, parent=tmp_path))
    assert place == (
        None if found is None else (guard.claims[0], found.format(root=root, parent=tmp_path))
    )
