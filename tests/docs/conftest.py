"""Give each page the start of a reader: a fresh folder, and an environment.

Nothing is installed from an index. ``pip`` is configured by its own variables to take everything
from one folder of wheels: the package under test, built once, and the pins of
``requirements/tutorial.txt``.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.static.sources import REPOSITORY

VERSIONS = {
    "acme-greetings": ("1.0", "2.0"),
    "datasette-jellyfish": ("2.0",),
}
"""Distributions that pages install, and that are made here: each has one module and one plugin."""

PINS = REPOSITORY / "requirements" / "tutorial.txt"


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Held by one worker of the test run; the others wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "-q", *arguments], check=True, cwd=REPOSITORY)


def make_wheel(folder: Path, name: str, version: str) -> None:
    """Write the wheel of a distribution with an entry point in the group ``shop.plugins``."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f"def greet():\n    return 'hello from {version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[shop.plugins]\n{name} = {module}:greet\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheels that the pages' commands install. One for all workers."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "wheels"
    with one_at_a_time(base / "wheels.lock"):
        if not folder.exists():
            unfinished = base / "wheels.unfinished"
            pip("download", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "-d", str(unfinished), "-r", str(PINS))  # fmt: skip
            pip("wheel", "--no-deps", "--no-build-isolation", "-w", str(unfinished), ".")
            for name, versions in VERSIONS.items():
                for version in versions:
                    make_wheel(unfinished, name, version)
            unfinished.rename(folder)
    return folder


@pytest.fixture
def shell(wheels: Path, tmp_path: Path) -> dict[str, str]:
    """Return the variables of a reader's shell. ``python3`` is the Python of this test run."""
    commands = tmp_path / "bin"
    commands.mkdir()
    python = commands / "python3"
    python.write_text(f'#!/bin/sh\nexec {getattr(sys, "_base_executable")} "$@"\n')  # noqa: B009
    python.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": f"{commands}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "COLUMNS": "80",
        # Both streams end up in one file, and are to be there in the order of a terminal.
        "PYTHONUNBUFFERED": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
    }


@pytest.fixture(scope="session")
def template(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with everything in it, to be copied: installing takes ten times as
    long."""
    folder = wheels.parent / "template"
    with one_at_a_time(wheels.parent / "template.lock"):
        if not folder.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            pip("--python", f"{folder}/bin/python", "install", "--no-index", "--no-deps",
                *(str(path) for path in wheels.glob("*.whl") if not is_made(path)))  # fmt: skip
    return folder


def is_made(wheel: Path) -> bool:
    """Return True for a wheel of ``VERSIONS``."""
    return wheel.name.partition("-")[0].replace("_", "-") in VERSIONS


def record(packages: Path, name: str) -> None:
    """Tell the ``RECORD`` of codegenie what a file is now: ``guard status`` compares them."""
    (path,) = packages.glob("codegenie-*.dist-info/RECORD")
    data = (packages / name).read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    text = re.sub(
        rf"(?m)^{re.escape(name)},.*$", f"{name},sha256={digest},{len(data)}", path.read_text()
    )
    path.unlink()  # the template has the same file
    path.write_text(text)


@pytest.fixture
def installed(
    template: Path, shell: dict[str, str], tmp_path: Path
) -> Callable[[], dict[str, str]]:
    """Makes a fresh environment with ``codegenie`` in it, as a reader of a guide has one."""

    def make() -> dict[str, str]:
        folder = tmp_path / "environment"
        command = [sys.executable, "-m", "venv", "--without-pip", str(folder)]
        subprocess.run(command, check=True, env=shell)
        (packages,) = (template / "lib").glob("python*")
        # By hard links: installing into an environment replaces files and changes none.
        there = folder / "lib" / packages.name
        shutil.copytree(packages, there, copy_function=os.link, dirs_exist_ok=True)
        for script in (template / "bin").iterdir():
            if not (script.is_symlink() or (folder / "bin" / script.name).exists()):
                copied = folder / "bin" / script.name
                copied.write_text(script.read_text().replace(str(template), str(folder)))
                copied.chmod(0o755)
        record(there / "site-packages", "../../../bin/codegenie")
        return {**shell, "PATH": f"{folder}/bin:{shell['PATH']}", "VIRTUAL_ENV": str(folder)}

    return make
