"""The reader of the output may be gone: the status is that of the result, all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.trees import Application, clean_environment

COMMANDS = {
    "plugins lock": 0,
    "plugins lock --check": 0,
    "plugins verify": 0,
    "plugins verify --bytecode": 0,
    "plugins list": 0,
    "plugins diff": 0,
    "plugins load": 0,
    "plugins compile": 0,
    "guard status": 1,
    "schema plugins-verify": 0,
    "completion bash": 0,
    "--help": 0,
}

CLOSED = ((1,), (2,), (0, 1, 2))
ALL_WAYS = ("plugins verify", "guard status", "--help")
"""Commands whose streams are closed one by one. Of the others all are closed at once, because every
command writes by the same functions."""


def run(
    application: Application,
    command: str,
    *,
    before: Callable[[], None] | None = None,
    output: int | None = None,
) -> int:
    return subprocess.run(
        [sys.executable, "-P", "-m", "codegenie", *command.split()],
        cwd=application.folder,
        env={**clean_environment(), "WITNESS": str(application.witness)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.PIPE if output is None else output,
        preexec_fn=before,
        timeout=120,
        check=False,
    ).returncode


def close(descriptors: tuple[int, ...]) -> Callable[[], None]:
    def closing() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return closing


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_streams_keep_the_status(application: Application, command: str) -> None:
    if "--check" in command:
        run(application, "plugins lock")
    for closed in CLOSED if command in ALL_WAYS else CLOSED[-1:]:
        status = run(application, command, before=close(closed))
        assert status == COMMANDS[command], (command, closed)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_is_gone_keeps_the_status(application: Application, command: str) -> None:
    if "--check" in command:
        run(application, "plugins lock")
    for arguments in (command, f"{command} --json") if command in ALL_WAYS[:2] else (command,):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            status = run(application, arguments, output=writing)
        finally:
            os.close(writing)
        assert status == COMMANDS[command], arguments


@pytest.mark.parametrize("command", ["verify", "verify --json", "lock --check", "load"])
def test_a_rejection_keeps_its_status(application: Application, command: str) -> None:
    application.write("alpha/api.py", "changed = True\n")
    assert run(application, f"plugins {command}", before=close(CLOSED[-1])) == 4
    reading, writing = os.pipe()
    os.close(reading)
    assert run(application, f"plugins {command}", output=writing) == 4
    os.close(writing)


def test_no_file_becomes_a_standard_stream(application: Application) -> None:
    """With all streams closed, the lock would be opened as descriptor 0, 1 or 2."""
    application.write("alpha/api.py", "import os\nos.write(1, b'one')\nos.write(2, b'two')\n")
    assert run(application, "plugins lock", before=close((0, 1, 2))) == 0
    before = {path: path.read_bytes() for path in _files(application.root)}
    assert run(application, "plugins load", before=close((0, 1, 2))) == 0
    assert {path: path.read_bytes() for path in _files(application.root)} == before


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
