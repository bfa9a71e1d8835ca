"""A root that holds the interpreter, its environment or codegenie is refused by guard install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.environments import Environment


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "project").mkdir()
    return Environment(tmp_path / "project" / ".venv")


def roots(environment: Environment) -> dict[str, Path]:
    project = environment.folder.parent
    link = project.parent / "link"
    link.symlink_to(project)
    return {
        "the project": project,
        "by a link": link,
        "the environment": environment.folder,
        "site-packages": environment.site,
        "the interpreter's folder": environment.folder / "bin",
        "codegenie": environment.codegenie,
        "above": project / "src" / "..",
        "everything": Path("/"),
    }


def test_it_is_refused_and_nothing_is_written(environment: Environment) -> None:
    (environment.folder.parent / "src").mkdir()
    before = environment.listing()
    for what, root in roots(environment).items():
        refused = environment.guard("install", "--root", str(root))
        assert refused.status == 1, (what, refused)
        assert "the root holds" in refused.stderr, (what, refused)
        assert environment.listing() == before, what


def test_it_says_what_is_held_as_json(environment: Environment) -> None:
    root = environment.folder.parent
    refused = environment.guard("install", "--root", str(root), "--json")
    assert refused.status == 1
    assert refused.document["error"].startswith("the root holds the interpreter")
    assert refused.document["root"] == str(root)


def test_a_folder_of_the_environment_that_holds_only_plugins_is_guarded(
    environment: Environment,
) -> None:
    root = environment.site / "application" / "plugins"
    root.mkdir(parents=True)
    (root / "PLUGINS.lock").write_text("{}\n")
    installed = environment.guard("install", "--root", str(root))
    assert installed.status == 0, installed
