"""Where root, lock and modes come from, and when they are fixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.trees import WITNESS, Application

ANSWER = "import plugins.alpha.api as a; print(a.answer())"


@pytest.fixture
def elsewhere(application: Application, tmp_path: Path) -> Path:
    """A folder that is not the application's, with a plugin folder that must not win."""
    folder = tmp_path / "elsewhere"
    shutil.copytree(application.root, folder / "plugins")
    (folder / "plugins" / "alpha" / "helper.py").write_text(WITNESS + "VALUE = 'elsewhere'\n")
    return folder


def test_the_first_folder_with_a_lock_on_the_path(application: Application, tmp_path: Path) -> None:
    no_lock = tmp_path / "first"
    shutil.copytree(application.root, no_lock / "plugins")
    (no_lock / "plugins" / "PLUGINS.lock").unlink()
    outcome = application.run(f"import sys; sys.path.insert(0, {str(no_lock)!r})\n{ANSWER}")
    assert outcome.stdout == "42\n", outcome


def test_the_root_is_kept_whatever_happens_to_the_path(
    application: Application, elsewhere: Path
) -> None:
    outcome = application.run(
        f"""
        import os, sys, plugins
        sys.path[:0] = [{str(elsewhere)!r}]
        os.chdir({str(elsewhere)!r})
        os.environ['CODEGENIE_PLUGINS_ROOT'] = {str(elsewhere / "plugins")!r}
        {ANSWER}
        """
    )
    assert outcome.stdout == "42\n", outcome


def test_the_environment(application: Application, elsewhere: Path) -> None:
    variables = {"CODEGENIE_PLUGINS_ROOT": str(application.root)}
    assert application.run(ANSWER, environment=variables, cwd=elsewhere).stdout == "42\n"

    moved = elsewhere / "other.lock"
    shutil.move(application.lock_path, moved)
    variables["CODEGENIE_PLUGINS_LOCK"] = str(moved)
    assert application.run(ANSWER, environment=variables, cwd=elsewhere).stdout == "42\n"


@pytest.mark.parametrize("flag", ["-E", "-I"])
def test_the_environment_is_ignored_where_python_ignores_it(
    application: Application, flag: str
) -> None:
    variables = {"CODEGENIE_PLUGINS_ROOT": "/nowhere", "CODEGENIE_GUARD_MODE": "audit"}
    script = (
        f"import sys, codegenie.plugins.guard as g; sys.path.insert(0, {str(application.folder)!r})\n"
        f"{ANSWER}\nprint(g.status().mode)"
    )
    outcome = application.run(script, environment=variables, flags=[flag])
    assert outcome.stdout == "42\nenforce\n", outcome
    assert application.run(script, environment=variables).status == 0  # audit: not refused
    assert "enforce" not in application.run(script, environment=variables).stdout


def test_install_wins_over_the_environment(application: Application, elsewhere: Path) -> None:
    outcome = application.run(
        f"""
        import codegenie.plugins.guard as guard
        guard.install(root={str(application.root)!r}, mode='enforce')
        {ANSWER}
        print(guard.status().mode)
        """,
        environment={
            "CODEGENIE_PLUGINS_ROOT": str(elsewhere / "plugins"),
            "CODEGENIE_GUARD_MODE": "audit",
        },
    )
    assert outcome.stdout == "42\nenforce\n", outcome


def test_relative_paths_are_taken_from_where_install_was_called(
    application: Application, elsewhere: Path
) -> None:
    outcome = application.run(
        f"""
        import os, codegenie.plugins.guard as guard
        guard.install(root='plugins')
        os.chdir({str(elsewhere)!r})
        {ANSWER}
        print(guard.status().root)
        """
    )
    assert outcome.stdout == f"42\n{application.root}\n", outcome


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "no folder 'plugins' on sys.path holds a PLUGINS.lock"),
        ({"CODEGENIE_PLUGINS_ROOT": "/nowhere"}, "/nowhere/PLUGINS.lock: does not exist"),
        ({"CODEGENIE_PLUGINS_LOCK": "/nowhere.lock"}, "/nowhere.lock: does not exist"),
    ],
    ids=["no root", "root that is not there", "lock that is not there"],
)
def test_without_a_root_or_a_lock_everything_is_refused(
    application: Application, tmp_path: Path, variables: dict[str, str], expected: str
) -> None:
    cwd = None if "CODEGENIE_PLUGINS_LOCK" in variables else tmp_path
    for module in ("plugins", "plugins.alpha.api", "plugins.nothing"):
        outcome = application.run(f"import {module}", report=True, environment=variables, cwd=cwd)
        rejection = outcome.refusal["rejection"]
        assert (rejection["kind"], rejection["plugin"]) == ("lock_file_malformed", "<lockfile>")
        assert expected in rejection["detail"]
        said = f"the lock cannot be used, and nothing is imported without it: {expected}"
        assert said in outcome.refusal["message"]
        assert "fix" in outcome.refusal["message"]


def test_a_value_that_is_not_allowed_does_not_weaken_anything(application: Application) -> None:
    application.write("alpha/api.py", WITNESS)
    outcome = application.run(
        "import plugins.alpha.api",
        report=True,
        environment={"CODEGENIE_GUARD_MODE": "Audit", "CODEGENIE_GUARD_ON_REFUSAL": "ignore"},
    )
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert "CODEGENIE_GUARD_MODE='Audit' is not one of enforce, audit" in outcome.stderr
    assert "CODEGENIE_GUARD_ON_REFUSAL='ignore'" in outcome.stderr
    assert outcome.executed == ()


def test_install_refines_until_the_first_decision_and_then_is_settled(
    application: Application,
) -> None:
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard
        from codegenie.plugins.errors import GuardSettled
        guard.install(root='plugins')
        guard.install(scope='plugin')
        guard.install(mode='audit'); guard.install(mode='enforce')
        import plugins.alpha.api
        status = guard.status()
        print(status.scope, status.mode, status.root)
        guard.install(root='plugins', scope='plugin', mode='enforce')   # the same: no error
        for other in ({'root': 'other'}, {'scope': 'all'}, {'mode': 'audit'},
                      {'on_refusal': 'exit'}, {'lock': 'other'}):
            try:
                guard.install(**other)
            except GuardSettled as error:
                print(error.setting)
        print(guard.status().as_dict() == status.as_dict())
        """
    )
    expected = f"plugin enforce {application.root}\nroot\nscope\nmode\non_refusal\nlock\nTrue\n"
    assert outcome.stdout == expected, outcome


def test_install_refuses_values_that_cannot_be(application: Application) -> None:
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard
        for wrong in ({'scope': 'some'}, {'mode': 'off'}, {'on_refusal': 'warn'}):
            try:
                guard.install(**wrong)
            except ValueError as error:
                print(error)
        """
    )
    assert outcome.stdout == (
        "scope must be 'all' or 'plugin', not 'some'\n"
        "mode must be 'enforce' or 'audit', not 'off'\n"
        "on_refusal must be 'raise' or 'exit', not 'warn'\n"
    ), outcome


def test_the_root_may_be_a_link(application: Application, tmp_path: Path) -> None:
    """A deployment switches versions by a link; what lies below it is verified as ever."""
    release = tmp_path / "release"
    release.mkdir()
    (release / "plugins").symlink_to(application.root)
    assert application.run(ANSWER, cwd=release).stdout == "42\n"
