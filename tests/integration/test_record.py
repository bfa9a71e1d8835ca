"""``codegenie guard status`` checks the ``codegenie`` of an environment against its ``RECORD``.

A wheel is built from the checkout and unpacked, which is what installers do with it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import codegenie
from codegenie.activation import probe, record
from codegenie.activation.record import Installation, RecordState
from tests.fixtures.environments import Environment, clean_environment
from tests.fixtures.trees import Application
from tests.static.sources import REPOSITORY

DIST_INFO = f"codegenie-{codegenie.__version__}.dist-info"


def build(target: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(
        command,
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        env=clean_environment(),
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """Without ``codegenie``."""
    made = Environment(tmp_path / "env")
    shutil.rmtree(made.codegenie)
    return made


def unpack(wheel: Path, environment: Environment) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.site)


def check(environment: Environment) -> Installation:
    """Return the findings of ``status``, without starting the command line."""
    return record.check(probe.ask_start(environment.python).unwrap())


def test_accidents_that_may_happen_to_an_installation(
    environment: Environment, wheel: Path, application: Application
) -> None:
    unpack(wheel, environment)
    environment.activate(application.root)
    path = environment.site / DIST_INFO / "RECORD"
    intact = Installation(RecordState.INTACT, str(path))
    assert check(environment) == intact
    # A start that is not asked leaves bytecode, which is no part of it.
    subprocess.run([environment.python, "-c", ""], check=True, env=clean_environment())
    assert list(environment.codegenie.rglob("*.pyc"))
    assert check(environment) == intact

    names = {
        p.relative_to(environment.site).as_posix() for p in environment.codegenie.rglob("*.py")
    }
    assert len(names) > 50
    for name in ("codegenie/hashing.py", "codegenie/py.typed", f"{DIST_INFO}/METADATA"):
        file = environment.site / name
        whole = file.read_bytes()
        file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]) if whole else b"\0")
        # Also where that very file is the guard's and breaks it.
        assert check(environment) == Installation(RecordState.DIFFERENT, str(path), changed=(name,))
        file.unlink()
        assert check(environment) == Installation(RecordState.DIFFERENT, str(path), missing=(name,))
        file.write_bytes(whole)
    planted = environment.codegenie / "plugins" / "planted.py"
    planted.write_bytes(b"")
    added = ("codegenie/plugins/planted.py",)
    assert check(environment) == Installation(RecordState.DIFFERENT, str(path), added=added)
    planted.unlink()
    assert check(environment) == intact

    whole = path.read_bytes()
    path.write_bytes(b"\x80garbage")
    assert check(environment).state is RecordState.UNUSABLE
    path.write_bytes(
        whole.replace(b"codegenie/hashing.py,sha256=", b"codegenie/hashing.py,sha256=A", 1)
    )
    assert check(environment).state is RecordState.UNUSABLE
    path.write_bytes(whole)
    shutil.rmtree(environment.codegenie)
    assert check(environment).reason == "codegenie is not installed there"


def test_what_status_says_of_it(
    environment: Environment, wheel: Path, application: Application
) -> None:
    unpack(wheel, environment)
    environment.activate(application.root)
    path = environment.site / DIST_INFO / "RECORD"
    done = environment.guard("status")
    assert done.status == 0, done
    assert done.stdout.splitlines()[-1] == "own files   as they were installed"
    assert "RECORD" not in done.stderr

    with (environment.codegenie / "hashing.py").open("ab") as file:
        file.write(b"\n")
    done = environment.guard("status", "--json")
    assert done.status == 1
    assert done.document["state"] == "enforcing"
    assert done.document["own_files"] == {
        "state": "different",
        "record": str(path),
        "reason": None,
        "changed": ["codegenie/hashing.py"],
        "missing": [],
        "added": [],
    }
    for number in range(12):
        (environment.codegenie / f"planted{number:02}.py").touch()
    done = environment.guard("status")
    assert done.status == 1
    assert "guard       active, enforcing\n" in done.stdout
    assert done.stdout.splitlines()[-1] == (
        "own files   NOT as they were installed: 1 changed, 12 added"
    )
    told = done.stderr[done.stderr.index("the codegenie there is not") :].splitlines()
    assert told == [
        "the codegenie there is not what was installed: do not rely on what it says",
        "  changed   codegenie/hashing.py",
        *(f"  added     codegenie/planted{number:02}.py" for number in range(9)),
        "  and       3 more: --json lists them all",
        f"  record    {path}",
        "  first     remove what was added: installing again leaves it there",
        f"  fix       {environment.python} -m pip install --force-reinstall --no-deps "
        f"codegenie=={codegenie.__version__}",
    ]

    path.write_bytes(b"\x80")
    done = environment.guard("status")
    assert done.status == 1
    reason = "is not UTF-8 (byte 0)"
    assert done.stdout.splitlines()[-1] == f"own files   CANNOT BE CHECKED: {reason}"
    assert f"the codegenie there cannot be checked: {reason}\n" in done.stderr
    path.unlink()
    done = environment.guard("status")
    assert done.status == 0
    reason = f"{DIST_INFO} has no RECORD"
    assert done.stdout.splitlines()[-1] == f"own files   not checked: {reason}"


def test_an_editable_install(environment: Environment, tmp_path: Path) -> None:
    unpack(build("wheel:editable", tmp_path), environment)
    # Written by the installer, not by the builder.
    origin = {"url": REPOSITORY.as_uri(), "dir_info": {"editable": True}}
    (environment.site / DIST_INFO / "direct_url.json").write_text(json.dumps(origin))
    found = check(environment)
    package = REPOSITORY / "src" / "codegenie"
    assert found == Installation(
        RecordState.NOT_CHECKED,
        reason=f"editable install, from {package}",
    )


def test_the_copy_that_a_start_uses_is_the_one_that_is_checked(
    environment: Environment, wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``PYTHONPATH`` brings another one, which is not what is installed."""
    unpack(wheel, environment)
    assert check(environment).state is RecordState.INTACT
    shutil.copytree(environment.codegenie, tmp_path / "copy" / "codegenie")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "copy"))
    found = check(environment)
    assert found.state is RecordState.NOT_CHECKED
    assert found.reason == (
        f"nothing beside {tmp_path / 'copy' / 'codegenie'} says that it was installed"
    )
