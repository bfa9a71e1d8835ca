"""A folder holds another one or not, however either is spelled."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegenie.activation.places import first_held


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "plugins").mkdir()
    return folder


def test_the_folder_itself_and_what_is_below_is_held(project: Path) -> None:
    for root in (project, project / ".venv", project / ".venv" / "bin"):
        held = first_held(str(root), {"nothing": "", "environment": str(project / ".venv/bin")})
        assert held == ("environment", str(project / ".venv/bin"))


def test_a_folder_beside_it_holds_nothing(project: Path) -> None:
    places = {"environment": str(project / ".venv")}
    assert first_held(str(project / "plugins"), places) is None
    assert first_held(str(project / ".ven"), places) is None


def test_links_on_either_side_are_resolved(project: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(project)
    outside = tmp_path / "environment"
    outside.symlink_to(project / ".venv")
    for root in (project, link):
        for environment in (project / ".venv", link / ".venv", outside):
            assert first_held(str(root), {"environment": str(environment)}) is not None


def test_an_environment_that_is_a_link_in_the_root_is_held(project: Path, tmp_path: Path) -> None:
    """Its files are code of the root by the name that the interpreter uses."""
    (tmp_path / "real").mkdir()
    (project / "linked").symlink_to(tmp_path / "real")
    assert first_held(str(project), {"environment": str(project / "linked")}) is not None


def test_what_is_not_there_holds_nothing(project: Path) -> None:
    assert first_held(str(project / "nowhere"), {"environment": str(project)}) is None
    assert first_held(str(project), {"environment": str(project.parent / "nowhere")}) is None
