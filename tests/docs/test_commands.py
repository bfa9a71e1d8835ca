"""The commands of README, tutorial and guides do what the pages show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.blocks import COMMANDS, blocks_of, run, steps_of
from tests.static.sources import REPOSITORY

DOCS = REPOSITORY / "docs"
FROM_NOTHING = {"docs/tutorial.md", "docs/tutorial-signing.md"}
"""Pages that make their environment themselves. All others presuppose one."""

MAPPED = "/srv/app"
"""Pages about deployment speak of this folder; here it is one of the test's own."""

GIVEN = {"docs/deploy.md"}
"""Pages that presuppose locked plugins as well, where the reader is and where they are deployed."""

PAGES = [
    path
    for path in [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md"))]
    if any(block.kind in COMMANDS for block in blocks_of(path.read_text()))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_page(
    page: Path,
    shell: dict[str, str],
    installed: Callable[[], dict[str, str]],
    tmp_path: Path,
) -> None:
    folder, work, deployed = tmp_path / "folder", tmp_path / "work", tmp_path / "app"
    for path in (folder, work, deployed):
        path.mkdir()
    text = page.read_text().replace(MAPPED, str(deployed))
    if str(page.relative_to(REPOSITORY)) in GIVEN:
        for place in (folder, deployed):
            shutil.copytree(REPOSITORY / "examples" / "plugins", place / "plugins")
    from_nothing = str(page.relative_to(REPOSITORY)) in FROM_NOTHING
    steps = steps_of(text)
    ran = run(steps, folder, shell if from_nothing else installed(), work)
    for done in ran:
        assert done.problem() is None, f"{page.relative_to(REPOSITORY)}, {done.problem()}"
    assert len(ran) == len(steps), f"the shell ended in line {steps[len(ran)].line}"


def test_commands_that_are_not_run_say_why() -> None:
    reasons = {
        (page.relative_to(REPOSITORY).as_posix(), block.directive.removeprefix("skip, "))
        for page in PAGES
        for block in blocks_of(page.read_text())
        if block.directive.startswith("skip")
    }
    assert all(reason for _, reason in reasons)
    assert len(reasons) < 6, reasons


def test_fences_that_the_reader_of_blocks_does_not_see_are_noticed() -> None:
    for page in [REPOSITORY / "README.md", *DOCS.rglob("*.md")]:
        text = page.read_text()
        fences = len(re.findall(r"^ *```", text, re.MULTILINE))
        assert fences == 2 * len(list(blocks_of(text))), page
