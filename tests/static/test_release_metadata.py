"""The metadata of a release has one home for each value."""

from __future__ import annotations

import hashlib
import re
import tomllib

import codegenie
from tests.static.sources import PACKAGE, REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())

# The SHA-256 of the text that the Apache Software Foundation publishes.
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"

KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def pins(name: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Versions and hashes of a requirements file, by project."""
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        pinned = re.match(r"([a-z0-9-]+)==([^ ;]+)", line)
        assert pinned is not None, line
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
        assert hashes, line
        found[pinned[1]] = (pinned[2], hashes)
    return found


def test_the_version_stands_in_one_place() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|(a|b|rc)\d+)?", codegenie.__version__)
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/codegenie/__init__.py"
    files = [
        *PACKAGE.rglob("*.py"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "scripts").rglob("*.py"),
        *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *(REPOSITORY / name for name in ("pyproject.toml", "Makefile", "noxfile.py")),
    ]
    whole = re.compile(rf"(?<![\w.]){re.escape(codegenie.__version__)}(?![\w.])")
    stating = [path for path in files if whole.search(path.read_text())]
    assert stating == [PACKAGE / "__init__.py"]


def test_the_license_is_the_standard_text() -> None:
    text = (REPOSITORY / "LICENSE").read_text()
    ours = "Copyright The codegenie authors"
    assert text.count(ours) == 1
    standard = text.replace(ours, "Copyright [yyyy] [name of copyright owner]")
    assert hashlib.sha256(standard.encode()).hexdigest() == APACHE_2_0
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert PROJECT["project"]["license-files"] == ["LICENSE"]


def test_the_change_log_has_its_form() -> None:
    lines = (REPOSITORY / "CHANGELOG.md").read_text().splitlines()
    assert lines[0] == "# Changelog"
    versions = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert versions[0] == "Unreleased"
    for version in versions[1:]:
        assert re.fullmatch(r"\[?\d+\.\d+\.\d+\]? - \d{4}-\d\d-\d\d", version), version
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} <= KINDS


def test_what_is_needed_to_run_is_pinned_as_everywhere_else() -> None:
    """``runtime.txt`` is what the package needs, and nothing that only builds it."""
    runtime, everything = pins("runtime"), pins("run")
    assert runtime.items() <= everything.items()
    direct = {
        re.sub(r"[-_.]+", "-", re.split(r"[<>=!~ ;\[]", needed)[0]).lower()
        for needed in PROJECT["project"]["dependencies"]
    }
    assert direct <= runtime.keys()
    assert "hatchling" not in runtime


def test_contributing_names_what_is_there() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    guides = sorted((REPOSITORY / "docs" / "contributing").glob("*.md"))
    text = "".join([page, *(guide.read_text() for guide in guides)])
    targets = re.findall(r"^([a-z]+):.*## ", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^    make ([a-z]+) ", page, re.MULTILINE)
    assert set(named) == set(targets) - {"help", "clean"}
    for path in re.findall(r"`((?:tests|docs|requirements|src)/[^`*]+)`", text):
        assert (REPOSITORY / path).exists(), path
    folders = {path.name for path in (REPOSITORY / "tests").iterdir() if any(path.glob("*.py"))} - {
        "fixtures"
    }
    assert {name for name in folders if f"`tests/{name}/`" not in text} == set()
