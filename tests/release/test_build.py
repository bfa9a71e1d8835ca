"""The same source gives the same bytes, wherever and whenever it is built."""

from __future__ import annotations

import email.parser
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import codegenie
from scripts import release
from tests.fixtures.environments import clean_environment
from tests.static.sources import REPOSITORY

SDIST = f"codegenie-{codegenie.__version__}.tar.gz"
WHEEL = f"codegenie-{codegenie.__version__}-py3-none-any.whl"
DIST_INFO = f"codegenie-{codegenie.__version__}.dist-info"

# Files of a checkout beside the source.
JUNK = shutil.ignore_patterns(".git", ".venv", ".nox", "dist", "__pycache__", ".*_cache")

NOT_SHIPPED = {".ci", ".github", ".gitattributes"}
"""Of what is in the repository: it is of use there only."""


def build(source: Path, to: Path, *what: str, **variables: str) -> dict[str, bytes]:
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(to), *what]
    done = subprocess.run(
        [*command, str(source)],
        capture_output=True,
        text=True,
        env={**clean_environment(), **variables},
        timeout=120,
        preexec_fn=lambda: os.umask(0o077),
    )
    assert done.returncode == 0, done
    return {path.name: path.read_bytes() for path in to.iterdir()}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def other_checkout(folder: Path) -> Path:
    """Return the same source as on another machine: other times, modes and order, and with junk."""
    shutil.copytree(REPOSITORY, folder / "fresh", ignore=JUNK)
    other = folder / "a folder with another name"
    for path in sorted((folder / "fresh").rglob("*"), reverse=True):
        copy = other / path.relative_to(folder / "fresh")
        if path.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o700 if os.access(path, os.X_OK) and path.stat().st_mode & 0o111 else 0o600)
            os.utime(copy, (1_000_000_000, 1_000_000_000))
    package = other / "src" / "codegenie"
    for junk in (
        package / "__pycache__" / "hashing.cpython-311.pyc",
        package / "plugins" / "stray.pyc",
        other / "tests" / "__pycache__" / "conftest.cpython-311.pyc",
        other / ".venv" / "lib" / "module.py",
        other / "dist" / "codegenie-0.0.1-py3-none-any.whl",
        other / "notes.txt",
    ):
        junk.parent.mkdir(parents=True, exist_ok=True)
        junk.write_bytes(b"junk")
    return other


def test_another_checkout_at_another_time(released: Path, tmp_path: Path) -> None:
    made = build(other_checkout(tmp_path), tmp_path / "out", TZ="Asia/Tokyo", LC_ALL="C")
    assert made.keys() == {SDIST, WHEEL}
    for name, data in made.items():
        assert sha256(data) == sha256((released / name).read_bytes()), name


def test_the_date_is_the_given_one(released: Path, tmp_path: Path) -> None:
    # The first of March 2026, 12:00:00 UTC.
    variables = {"SOURCE_DATE_EPOCH": "1772366400", "TZ": "America/New_York"}
    made = build(REPOSITORY, tmp_path, **variables)
    with zipfile.ZipFile(tmp_path / WHEEL) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(2026, 3, 1, 12, 0, 0)}
    with tarfile.open(tmp_path / SDIST) as archive_of_source:
        assert {entry.mtime for entry in archive_of_source} == {1772366400}
    # And it is that date alone that differs.
    with zipfile.ZipFile(released / WHEEL) as one, zipfile.ZipFile(tmp_path / WHEEL) as other:
        assert {n: one.read(n) for n in one.namelist()} == {
            n: other.read(n) for n in one.namelist()
        }
    assert made[WHEEL] != (released / WHEEL).read_bytes()


def unpacked(released: Path, folder: Path) -> Path:
    with tarfile.open(released / SDIST) as archive:
        archive.extractall(folder, filter="data")
    return folder / SDIST.removesuffix(".tar.gz")


def test_the_checkout_and_the_sdist_give_the_same_wheel(released: Path, tmp_path: Path) -> None:
    wheel = (released / WHEEL).read_bytes()
    assert build(REPOSITORY, tmp_path / "one", "--wheel")[WHEEL] == wheel
    source = unpacked(released, tmp_path)
    made = build(source, tmp_path / "other")
    assert made[WHEEL] == wheel
    assert made[SDIST] == (released / SDIST).read_bytes()


def test_the_sdist_holds_what_its_tests_need(released: Path, tmp_path: Path) -> None:
    """Some that read much of the repository."""
    tests = [
        "tests/conformance/test_vectors.py",
        "tests/integration/test_example_plugins.py",
        "tests/static/test_release_metadata.py",
        "tests/static/test_threat_model.py",
        "tests/unit/test_hashing.py",
    ]
    source = unpacked(released, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=source,
        capture_output=True,
        text=True,
        # The package is the one of the sdist as well.
        env={**clean_environment(), "PYTHONPATH": str(source / "src")},
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def tracked() -> set[str]:
    done = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("this is not a checkout, so there is no list of what belongs to it")
    return set(done.stdout.splitlines())


def test_the_sdist_holds_what_the_repository_does() -> None:
    """Nothing that was added later is forgotten."""
    tops = {name.partition("/")[0] for name in tracked()}
    text = (REPOSITORY / "pyproject.toml").read_text()
    added_by_the_builder = {".gitignore", "pyproject.toml"}
    forgotten = {
        name for name in tops - NOT_SHIPPED - added_by_the_builder if f'"/{name}",' not in text
    }
    assert forgotten == set()


def test_what_the_wheel_holds(released: Path) -> None:
    with zipfile.ZipFile(released / WHEEL) as archive:
        names = set(archive.namelist())
        metadata = email.parser.BytesParser().parsebytes(archive.read(f"{DIST_INFO}/METADATA"))
        license_text = archive.read(f"{DIST_INFO}/licenses/LICENSE")
        assert archive.testzip() is None
    assert {name.partition("/")[0] for name in names} == {"codegenie", DIST_INFO}
    source = REPOSITORY / "src"
    shipped = {n for n in names if n.startswith("codegenie/")}
    assert shipped == {
        path.relative_to(source).as_posix()
        for path in (source / "codegenie").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"codegenie/cli/rejections.md"}  # a page of the documentation, which `explain` prints
    assert "codegenie/py.typed" in shipped
    assert metadata["Version"] == codegenie.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert license_text == (REPOSITORY / "LICENSE").read_bytes()


def test_checksums(released: Path) -> None:
    assert {path.name for path in released.iterdir()} == {
        SDIST,
        WHEEL,
        f"codegenie-{codegenie.__version__}.cdx.json",
        "SHA256SUMS",
    }
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=released, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.count(": OK\n")) == (0, 3), done


def test_a_folder_that_is_no_release_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(SystemExit, match="holds no SHA256SUMS"):
        release.main([str(tmp_path)])
    with pytest.raises(SystemExit, match="usage"):
        release.main(["--help"])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
