"""Run the tests that concern a module, each time in a fork of a process that has pytest loaded.

Reads a task from each line of standard input. Writes the first thing that failed, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import _pytest.assertion.rewrite
import _pytest.doctest
import _pytest.junitxml
import _pytest.unittest
import click
import hypothesis
import pydantic
import pytest
import rich.console
import yaml

from tests.mutation.concern import Concern

LOADED = (_pytest, click, hypothesis, pydantic, rich, yaml)

SLOW = "tests/unit/integrity/test_walk.py::test_a_deeper_tree_is_refused[5000]"
"""Takes most of the time of its folder. The same test with 129 levels kills the same mutants."""

CPU_SECONDS = 120
"""The processor time that one process of a mutant's tests may use, before it is killed."""

SECONDS = 60
"""That one test or attack may take, before its mutant is counted as one that hangs."""

FINISHED = 75
"""The exit status of a child that has run its tests, which no mutant ends with."""

PER_GROUP = 6
"""Attacks of each group that are run. They are spread over the group."""


def failed_attack(names: tuple[str, ...], first: list[str], progress: Progress) -> str:
    """Return the first attack that the guard does not stop as it should.

    They are not run without the guard: no mutant changes that.

    Args:
        names: groups of the catalogue, or single attacks.
        first: the attacks that run before them.
    """
    from tests.attacks import runner
    from tests.attacks.attack import MARK, Ignored
    from tests.attacks.catalogue import CATALOGUE
    from tests.fixtures.trees import Application

    able = [attack for attack in CATALOGUE if attack.needs.available]
    chosen = [attack for attack in able if attack.name in first]
    for name in names:
        of_group = [attack for attack in able if name in (attack.name, attack.name.split("/")[0])]
        chosen += of_group[:: -(-len(of_group) // PER_GROUP) or 1]
    repaired = set()
    for attack in chosen:
        progress.begin()
        with runner.scratch() as folder:
            application = Application(runner._made(folder / "guarded"))
            attack.prepare(application)
            locked = runner._locked(application.folder / attack.lock)
            outcome = runner.attempt(attack, application, runner.GUARD)
            problems = runner.judge(attack, application, outcome, locked)
            if MARK in outcome.executed or problems:
                return str(attack.name)
            group = attack.name.split("/")[0]
            if group not in repaired and not isinstance(attack.expected, Ignored):
                repaired.add(group)
                if runner._repaired(attack, application, runner.GUARD):
                    return str(attack.name)
    return ""


class Progress:
    """A file whose time says when the last test began, and which then has the first failure."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("")

    def begin(self) -> None:
        os.utime(self.path)

    def has_stopped(self) -> bool:
        return time.time() - self.path.stat().st_mtime > SECONDS


class FirstFailure:
    """A plugin of pytest that remembers what failed first."""

    name = ""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def pytest_runtest_logstart(self) -> None:
        self._progress.begin()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def failed_test(paths: list[str], progress: Progress) -> str:
    """Return the first test that fails."""
    if not paths:
        return ""
    first = FirstFailure(progress)
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "no:anyio",
        "--deselect",
        SLOW,
    ]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # they are imported above
    status = pytest.main([*options, *paths], plugins=[first])
    return "" if status == 0 else first.name or f"pytest: {status}"


def first_failure(concern: Concern, first: list[str], progress: Progress) -> str:
    """Run what killed other mutants of the module, then unit tests, attacks, all other tests."""
    tests = [f"tests/{path}" for path in concern.tests]
    unit = [path for path in tests if path.startswith("tests/unit/")]
    return (
        failed_test([name for name in first if name.startswith("tests/")], progress)
        or failed_attack((), first, progress)
        or failed_test(unit, progress)
        or failed_attack(concern.attacks, [], progress)
        or failed_test([path for path in tests if path not in unit], progress)
    )


def run(concern: Concern, first: list[str], progress: Progress) -> str:
    """Run everything in a child process, which a mutant may end or keep waiting."""
    child = os.fork()
    if child:
        status = _status_of(child, progress)
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it left no process behind
        if os.waitstatus_to_exitcode(status) != FINISHED:
            return f"status {status}"
        return progress.path.read_text()
    ended = 1  # of a child whose mutant breaks even the report of an error
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        progress.path.write_text(first_failure(concern, first, progress))
        ended = FINISHED
    except BaseException:
        progress.path.write_text(traceback.format_exc()[-300:])
        ended = FINISHED
    finally:
        os._exit(ended)


def _status_of(child: int, progress: Progress) -> int:
    """Wait for a process to end, and end it if no test has begun for too long."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if progress.has_stopped():
            os.kill(child, signal.SIGKILL)
            return os.waitpid(child, 0)[1]
        time.sleep(0.02)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="codegenie-mutant-") as folder:
        Path(folder).chmod(0o755)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        os.environ["CI"] = "1"  # the same examples in every run
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{folder}/hypothesis"
        for line in sys.stdin:
            task = json.loads(line)
            concern = Concern(tuple(task["tests"]), tuple(task["attacks"]))
            progress = Progress(Path(folder, "progress"))
            print(json.dumps(run(concern, task["first"], progress)), flush=True)


if __name__ == "__main__":
    main()
