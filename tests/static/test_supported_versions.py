"""The supported versions of Python, which several files name, and the workflow that tests them."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from codegenie import _start
from tests.static.sources import PACKAGE, REPOSITORY

SUPPORTED = [f"3.{minor}" for minor in range(_start.OLDEST[1], _start.NEWEST[1] + 1)]
RANGE = f"CPython {SUPPORTED[0]} to {SUPPORTED[-1]}"

WORKFLOW = REPOSITORY / ".github" / "workflows" / "ci.yml"


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    return found


def test_project_metadata_names_the_supported_versions() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={SUPPORTED[0]}"
    prefix = "Programming Language :: Python :: 3."
    named = [c.rpartition(" ")[2] for c in project["classifiers"] if c.startswith(prefix)]
    assert named == SUPPORTED


def test_nox_runs_the_supported_versions() -> None:
    text = (REPOSITORY / "noxfile.py").read_text()
    (listed,) = re.findall(r"^SUPPORTED = \[(.*)\]$", text, re.MULTILINE)
    assert re.findall(r"[\d.]+", listed) == SUPPORTED


def test_page_names_the_supported_versions() -> None:
    text = (REPOSITORY / "docs" / "reference" / "interpreters.md").read_text()
    assert f"| CPython {', '.join(SUPPORTED)} | supported" in text


def test_activation_file_names_the_supported_versions() -> None:
    assert f"use {RANGE}" in (PACKAGE / "activation" / "stub.py").read_text()


def test_workflow_runs_the_supported_versions(jobs: dict[str, Any]) -> None:
    matrix = jobs["suite"]["strategy"]["matrix"]
    assert [v for v in matrix["python"] if not v.endswith("t")] == SUPPORTED
    following = [row for row in matrix["include"] if row.get("prerelease")]
    newest = int(SUPPORTED[-1].removeprefix("3."))
    assert [row["python"] for row in following] == [f"3.{newest + 1}"]


def test_workflow_pins_every_action_by_commit(jobs: dict[str, Any]) -> None:
    used = [step["uses"] for job in jobs.values() for step in job["steps"] if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", name)] == []


def test_workflow_calls_targets_that_are_there(jobs: dict[str, Any]) -> None:
    targets = re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    called = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    words = {line.split()[1] for line in called if line.startswith("make ")} - {"${{"}
    words |= {target.split()[0] for target in jobs["once"]["strategy"]["matrix"]["target"]}
    assert words <= set(targets)
    assert {"suite", "lazy", "lint", "docs", "release"} <= words


def test_workflow_line_changes_the_newest_version() -> None:
    """The job for the next version changes this line of the guard by ``sed``."""
    (pattern,) = re.findall(r"sed -i 's/(\S.*?)/", WORKFLOW.read_text())
    assert re.findall(pattern, (PACKAGE / "_start" / "__init__.py").read_text(), re.MULTILINE) != []
