"""Run the tests that concern a module, each time in a fork of a process that has pytest loaded.

Reads names of modules from standard input. For each, writes the first thing that failed, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
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

from tests.mutation.concern import CONCERNS, Concern

LOADED = (_pytest, click, hypothesis, pydantic, rich, yaml)

SLOW = "tests/unit/integrity/test_walk.py::test_a_deeper_tree_is_refused[5000]"
"""Takes most of the time of its folder. The same test with 129 levels kills the same mutants."""

CPU_SECONDS = 300
"""The processor time that the tests of one mutant may use. A mutant that uses more is killed."""


PER_GROUP = 10
"""Attacks of each group that are run. They are spread over the group."""


def failed_attack(groups: tuple[str, ...]) -> str:
    """Return the first attack that the guard does not stop as it should.

    They are not run without the guard: no mutant changes that.
    """
    from tests.attacks import runner
    from tests.attacks.attack import MARK, Ignored
    from tests.attacks.catalogue import CATALOGUE
    from tests.fixtures.trees import Application

    chosen = []
    for group in groups:
        able = [a for a in CATALOGUE if a.name.split("/")[0] == group and a.needs.available]
        chosen += able[:: -(-len(able) // PER_GROUP)]
    repaired = set()
    for attack in chosen:
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
                    return f"{attack.name}, repaired"
    return ""


class FirstFailure:
    """A plugin of pytest that remembers what failed first."""

    name = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid


def failed_test(paths: tuple[str, ...]) -> str:
    first = FirstFailure()
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
    status = pytest.main([*options, *(f"tests/{path}" for path in paths)], plugins=[first])
    return "" if status == 0 else first.name or f"pytest: {status}"


def first_failure(concern: Concern) -> str:
    return failed_test(concern.tests) or failed_attack(concern.attacks)


def run(module: str, said: Path) -> str:
    """Run everything in a child process, which a mutant may end."""
    said.unlink(missing_ok=True)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it left no process behind
        return said.read_text() if said.exists() else f"status {status}"
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(quiet, descriptor)
        said.write_text(first_failure(CONCERNS[module]))
    except BaseException:
        said.write_text(traceback.format_exc()[-300:])
    finally:
        os._exit(0)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="codegenie-mutant-") as folder:
        Path(folder).chmod(0o755)
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{folder}/hypothesis"
        for line in sys.stdin:
            print(json.dumps(run(line.strip(), Path(folder, "said"))), flush=True)


if __name__ == "__main__":
    main()
