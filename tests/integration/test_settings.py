"""The sources of root, lock and modes, and the moment at which they are fixed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.trees import WITNESS, Application

ANSWER = "import plugins.alpha.api as a; print(a.answer())"


@pytest.fixture
def elsewhere(application: Application, tmp_path: Path) -> Path:
    """Return a folder that is not the application's, with a plugin folder that must not win."""
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
        if expected.endswith("does not exist"):
            said = "the lock does not exist, and nothing is imported without it"
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
    """A deployment switches versions by a link; the files below it are verified as ever."""
    release = tmp_path / "release"
    release.mkdir()
    (release / "plugins").symlink_to(application.root)
    assert application.run(ANSWER, cwd=release).stdout == "42\n"


# --- relative settings of the environment ---------------------------------------------------------

RELATIVE = {
    "CODEGENIE_PLUGINS_ROOT": "plugins",
    "CODEGENIE_PLUGINS_LOCK": "etc/PLUGINS.lock",
    "CODEGENIE_GUARD_LOG": "guard.jsonl",
}


@pytest.mark.parametrize("again", [False, True], ids=["", "the guard imported again"])
def test_relative_settings_count_from_the_start_of_the_interpreter(
    application: Application, elsewhere: Path, again: bool
) -> None:
    (application.folder / "etc").mkdir()
    shutil.move(application.lock_path, application.folder / "etc" / "PLUGINS.lock")
    forget = (
        "for name in [n for n in sys.modules if n.partition('.')[0] == 'codegenie']:\n"
        "    del sys.modules[name]\n"
        "import codegenie.plugins.guard\n"
    )
    outcome = application.run(
        f"import os, sys\nos.chdir({str(elsewhere)!r})\n{forget if again else ''}"
        "import plugins.alpha.api, codegenie.plugins.guard as guard\n"
        "os.chdir('/')\nstatus = guard.status()\n"
        "print(status.root, status.lock, status.log, plugins.alpha.api.answer(), sep='\\n')",
        environment=RELATIVE,
    )
    assert outcome.stdout.splitlines() == [
        str(application.root),
        f"{application.folder}/etc/PLUGINS.lock",
        f"{application.folder}/guard.jsonl",
        "42",
    ], outcome
    assert (application.folder / "guard.jsonl").exists()
    assert not (elsewhere / "guard.jsonl").exists()


def test_the_lock_of_the_environment_counts_for_a_root_that_install_was_given(
    application: Application,
) -> None:
    lock = application.folder / "outside.lock"
    shutil.move(application.lock_path, lock)
    outcome = application.run(
        "import codegenie.plugins.guard as guard; guard.install(root='plugins')\n"
        f"{ANSWER}; print(guard.status().lock)",
        environment={"CODEGENIE_PLUGINS_LOCK": "outside.lock"},
    )
    assert outcome.stdout == f"42\n{lock}\n", outcome
    outcome = application.run(
        "import codegenie.plugins.guard as guard\n"
        "guard.install(root='plugins', lock='outside.lock')\n"
        f"{ANSWER}",
        environment={"CODEGENIE_PLUGINS_LOCK": "/nowhere"},
    )
    assert outcome.stdout == "42\n", outcome


def test_in_a_working_folder_that_is_gone_there_is_no_root(application: Application) -> None:
    outcome = application.run(
        "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "try:\n    import plugins\nexcept ImportError as error:\n    print(error.refusal.kind)"
    )
    assert outcome.stdout == "lock_file_malformed\n", outcome


# --- what audit mode let through ------------------------------------------------------------------

LET_THROUGH = """
    import sys, codegenie.plugins.guard as guard
    guard.install(mode='audit')
    sys.path.insert(0, '')
    import plugins.alpha.api   # no root is known: there is no lock in it
    before = plugins.alpha.api
    """


@pytest.fixture
def locked_outside(application: Application) -> Application:
    shutil.move(application.lock_path, application.folder / "outside.lock")
    return application


@pytest.mark.parametrize("mode", ["audit", "enforce"])
def test_what_audit_let_through_is_verified_by_the_next_set_up(
    locked_outside: Application, mode: str
) -> None:
    outcome = locked_outside.run(
        LET_THROUGH
        + f"""
    print(type(before.__loader__).__name__, list(guard.status().verified))
    guard.install(root='plugins', lock='outside.lock', mode={mode!r})
    print([name for name in sys.modules if name.startswith('plugins')])
    import plugins.alpha.api
    print(type(plugins.alpha.api.__loader__).__name__, list(guard.status().verified))
    print(plugins.alpha.api is before)
    """
    )
    assert outcome.stdout.splitlines() == [
        "SourceFileLoader []",
        "[]",
        "VerifiedSourceLoader ['alpha']",
        "False",
    ], outcome


def test_the_same_set_up_again_leaves_audited_modules_alone(locked_outside: Application) -> None:
    outcome = locked_outside.run(
        LET_THROUGH
        + """
    guard.install()
    guard.install(mode='audit')
    import plugins.alpha.api
    print(plugins.alpha.api is before)
    """
    )
    assert outcome.stdout == "True\n", outcome


def test_a_module_that_enforces_while_it_is_imported_is_imported(
    locked_outside: Application,
) -> None:
    """importlib fails if the module that it executes is no longer in ``sys.modules``."""
    locked_outside.write(
        "alpha/first.py",
        "import codegenie.plugins.guard as guard\n"
        "guard.install(root='plugins', lock='outside.lock', mode='enforce')\n",
    )
    locked_outside.write("alpha/extra.py", WITNESS)
    outcome = locked_outside.run(
        LET_THROUGH
        + """
    import plugins.alpha.first
    print(plugins.alpha.first.__name__)
    try:
        import plugins.alpha.extra
    except ImportError as error:
        print('refused', error.refusal is not None)
    """
    )
    assert outcome.stdout == "plugins.alpha.first\nrefused True\n", outcome


def test_a_load_verifies_what_audit_let_through(locked_outside: Application) -> None:
    outcome = locked_outside.run(
        LET_THROUGH
        + """
    from pathlib import Path
    from codegenie.plugins.loader import load_plugins
    print(load_plugins(Path('plugins'), Path('outside.lock')).unwrap().loaded)
    import plugins.alpha.api
    print(plugins.alpha.api is before, type(plugins.alpha.api.__loader__).__name__)
    """
    )
    assert outcome.stdout == "('alpha',)\nFalse VerifiedSourceLoader\n", outcome


def test_a_plugin_that_audit_let_through_is_verified_by_another_lock(
    application: Application,
) -> None:
    """Code that was executed before its approval does not pass for approved code."""
    shutil.copy(application.lock_path, application.folder / "old.lock")
    application.write("alpha/helper.py", WITNESS + "VALUE = 'changed'\n")
    application.lock()
    outcome = application.run(
        """
        from pathlib import Path
        import codegenie.plugins.guard as guard
        from codegenie.plugins.loader import load_plugins
        guard.install(mode='audit')
        for lock in 'old.lock', 'plugins/PLUGINS.lock', 'plugins/PLUGINS.lock':
            load_plugins(Path('plugins'), Path(lock)).unwrap()
            import plugins.alpha.api
            print(type(plugins.alpha.api.__loader__).__name__, id(plugins.alpha.api))
        """
    )
    first, second, third = (line.split() for line in outcome.stdout.splitlines())
    assert (first[0], second[0]) == ("SourceFileLoader", "VerifiedSourceLoader"), outcome
    assert second == third


def test_a_loader_of_an_earlier_root_is_not_trusted(
    application: Application, elsewhere: Path
) -> None:
    outcome = application.run(
        f"""
        from pathlib import Path
        import types
        from codegenie.plugins.loader import load_plugins
        load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).unwrap()
        import plugins.alpha.helper as earlier
        loader = earlier.__loader__
        loader.exec_module(types.ModuleType('plugins.alpha.helper'))
        print('runs as long as its root counts')
        folder = Path({str(elsewhere)!r}, 'plugins')
        (folder / 'PLUGINS.lock').write_text('{{}}')
        for plugin in list(folder.glob('alpha*')):
            __import__('shutil').rmtree(plugin)
        load_plugins(folder, folder / 'PLUGINS.lock').unwrap()
        try:
            loader.exec_module(types.ModuleType('plugins.alpha.helper'))
        except ImportError as error:
            print(error.refusal.kind)
        """
    )
    assert outcome.stdout.splitlines() == [
        "runs as long as its root counts",
        "unverified_code",
    ], outcome
