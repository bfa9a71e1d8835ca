"""Workflows, of this project and of its pages, run only actions that are pinned by a commit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.static.sources import REPOSITORY

PINNED = re.compile(r"@([0-9a-f]{40}|FULL_COMMIT_HASH)$")
PLACES = [
    *(REPOSITORY / ".github" / "workflows").glob("*.yml"),
    REPOSITORY / "action.yml",
    *(REPOSITORY / "docs").rglob("*.md"),
]
SIGNING = REPOSITORY / "docs" / "howto" / "sign.md"


def actions(path: Path) -> list[str]:
    return re.findall(r"^\s*(?:- )?uses: (\S+)", path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in PLACES if actions(path)], ids=lambda p: p.name)
def test_each_action_is_pinned_by_a_commit(path: Path) -> None:
    """Refuse tags, which can be moved: an action of a job that signs has its identity."""
    assert [action for action in actions(path) if not PINNED.search(action)] == []


def test_jobs_that_sign_give_the_number() -> None:
    """Count without a file: a fresh checkout has no earlier statement."""
    blocks = re.findall(r"^```yaml\n(.*?)^```", SIGNING.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert isinstance(yaml.safe_load(block), dict)
        assert block.count("plugins sign") == block.count("--sequence") == 1
