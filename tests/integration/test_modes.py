"""The result of a refusal: an exception, the end of the process, or a report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.fixtures.trees import WITNESS, Application

AUDIT = {"CODEGENIE_GUARD_MODE": "audit"}
EXIT = {"CODEGENIE_GUARD_ON_REFUSAL": "exit"}


# --- scope --------------------------------------------------------------------------------------


@pytest.fixture
def two(application: Application) -> Application:
    application.add_plugin("beta")
    application.lock()
    application.write("beta/helper.py", WITNESS + "VALUE = 'changed'\n")
    return application


def test_scope_all_refuses_the_sound_plugin_beside_a_changed_one(two: Application) -> None:
    outcome = two.run("import plugins.alpha.api", report=True)
    assert outcome.refusal["rejection"]["plugin"] == "beta"
    assert outcome.executed == ()


def test_scope_plugin_verifies_a_plugin_when_it_is_imported(two: Application) -> None:
    outcome = two.run(
        """
        import codegenie.plugins.guard as guard
        guard.install(scope='plugin')
        import plugins
        print(list(guard.status().verified))
        import plugins.alpha.api
        print(list(guard.status().verified))
        import plugins.beta.api
        """,
        report=True,
    )
    assert outcome.stdout.splitlines()[:2] == ["[]", "['alpha']"]
    assert outcome.refusal["rejection"]["plugin"] == "beta"
    assert outcome.refusal["name"] == "plugins.beta.api"
    assert outcome.executed == ("plugins.alpha.api", "plugins.alpha.helper")


@pytest.mark.parametrize("scope", ["all", "plugin"])
@pytest.mark.parametrize(
    ("stray", "module"),
    [
        ("stray/api.py", "stray"),
        ("Upper/api.py", "Upper"),
        ("empty_folder/data.txt", "empty_folder"),
        ("stray.py", "stray"),
        ("stray.pyc", "stray"),
        ("stray.so", "stray"),
        ("plugins/alpha/api.py", "plugins"),
        ("__main__.py", "__main__"),
    ],
)
def test_nothing_importable_beside_the_locked_plugins(
    application: Application, scope: str, stray: str, module: str
) -> None:
    application.write(stray, WITNESS)
    outcome = application.run(
        "import codegenie.plugins.guard as g, importlib\n"
        f"g.install(scope={scope!r}); importlib.import_module('plugins.{module}')",
        report=True,
    )
    unit = stray.partition("/")[0]
    assert outcome.refusal["rejection"] == {"kind": "unlocked_plugin", "plugin": unit}
    assert outcome.executed == ()


@pytest.mark.parametrize(
    "harmless", [".git/config", "README.md", "a.b.py", "v1.2/x.py", "__pycache__/x.pyc", "x.txt"]
)
def test_what_no_import_can_name_is_left_alone(application: Application, harmless: str) -> None:
    application.write(harmless, "x")
    assert application.run("import plugins.alpha.api").status == 0


def test_a_module_that_is_nowhere_is_an_ordinary_missing_module(application: Application) -> None:
    for scope in ("all", "plugin"):
        outcome = application.run(
            f"""
            import codegenie.plugins.guard as g
            g.install(scope={scope!r})
            try:
                import plugins.nothing.api
            except ModuleNotFoundError as error:
                print(error.name, error)
            """
        )
        assert outcome.stdout == "plugins.nothing No module named 'plugins.nothing'\n", outcome


def test_a_locked_plugin_that_is_gone(application: Application) -> None:
    for name in ("api.py", "helper.py", "plugin.yaml"):
        (application.plugin / name).unlink()
    application.plugin.rmdir()
    outcome = application.run("import plugins", report=True)
    assert outcome.refusal["rejection"] == {"kind": "missing_plugin_directory", "plugin": "alpha"}


def test_a_refused_import_is_checked_afresh(application: Application) -> None:
    """The folder is repaired while the process runs; no restart is needed."""
    good = (application.plugin / "api.py").read_bytes()
    application.write("alpha/api.py", WITNESS)
    outcome = application.run(
        f"""
        import pathlib
        for attempt in range(3):
            try:
                import plugins.alpha.api as api
            except ImportError as error:
                print(error.rejection.kind)
                pathlib.Path('plugins/alpha/api.py').write_bytes({good!r})
        print(api.answer())
        """
    )
    assert outcome.stdout == "integrity_mismatch\n42\n", outcome


def test_a_second_import_walks_nothing(two: Application) -> None:
    two.lock()
    outcome = two.run(
        """
        import sys, plugins.alpha.api
        walked = []
        sys.addaudithook(lambda event, args: event == 'os.scandir' and walked.append(args))
        import plugins.alpha.helper, plugins.beta.api
        import importlib
        importlib.reload(plugins.alpha.api)
        for name in [n for n in sys.modules if n.startswith('plugins')]:
            del sys.modules[name]
        import plugins.alpha.api
        print(walked)
        """
    )
    assert outcome.stdout == "[]\n", outcome


# --- the message, the log, the audit event, the status ------------------------------------------


def test_the_message_says_which_what_where_and_what_to_type(application: Application) -> None:
    lock = application.start([sys.executable, "-m", "codegenie", "plugins", "lock"])
    assert lock.status == 0, lock
    application.write("alpha/helper.py", WITNESS)
    application.write("alpha/new.py", "")
    (application.plugin / "api.py").unlink()
    refusal = application.run("import plugins.alpha.api", report=True).refusal
    expected = json.loads(application.lock_path.read_text())["alpha"]
    message = refusal["message"]
    assert refusal["name"] == "plugins.alpha.api"
    assert refusal["path"] == str(application.plugin)
    for part in (
        "plugin 'alpha'",
        expected,
        refusal["rejection"]["actual"],
        "changed   helper.py",
        "added     new.py",
        "removed   api.py",
        f"codegenie plugins lock {application.root}",
    ):
        assert part in message


def test_a_sidecar_that_does_not_reproduce_the_lock_is_not_believed(
    application: Application,
) -> None:
    (application.root / "PLUGINS.sha256").write_text(f"{'0' * 64}  alpha/innocent.py\n")
    application.write("alpha/helper.py", WITNESS)
    message = application.run("import plugins.alpha.api", report=True).refusal["message"]
    assert "innocent" not in message


def test_log_records_and_audit_events(application: Application) -> None:
    script = """
        import logging, sys
        events = []
        def hook(event, args):
            if event.startswith('codegenie.'):
                events.append((event, args))
        sys.addaudithook(hook)
        class Keep(logging.Handler):
            def emit(self, record):
                events.append((record.levelname, record.getMessage().split(':')[0],
                               getattr(getattr(record, 'rejection', None), 'kind', None)))
        log = logging.getLogger('codegenie.plugins'); log.addHandler(Keep()); log.setLevel('INFO')
        try:
            import plugins.alpha.api
        except ImportError:
            pass
        print(events)
        """
    digest = json.loads(application.lock_path.read_text())["alpha"]
    assert eval(application.run(script).stdout) == [
        ("codegenie.plugins.verified", ("alpha", digest)),
        ("INFO", "plugin 'alpha' verified", None),
    ]
    application.write("alpha/helper.py", WITNESS)
    assert eval(application.run(script).stdout) == [
        ("codegenie.plugins.refused", ("alpha", "integrity_mismatch", "plugins")),
        ("ERROR", "refused plugins", "integrity_mismatch"),
    ]


def test_status_before_and_after(application: Application) -> None:
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard
        print(guard.status().as_dict())
        import plugins.alpha.api
        print(guard.status().as_dict())
        """
    )
    before, after = map(eval, outcome.stdout.splitlines())
    assert (before["active"], before["root"], before["verified"]) == (True, None, {})
    assert (after["root"], after["lock"]) == (str(application.root), str(application.lock_path))
    assert after["verified"] == json.loads(application.lock_path.read_text())


def test_status_tells_what_was_refused(application: Application) -> None:
    application.write("alpha/helper.py", WITNESS)
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard
        for attempt in range(3):
            try:
                import plugins.alpha.api
            except ImportError:
                pass
        print([(r.kind, r.plugin) for r in guard.status().refused])
        """
    )
    assert outcome.stdout == "[('integrity_mismatch', 'alpha')]\n", outcome


# --- on_refusal="exit" --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "import plugins.alpha.api",
        "try:\n    import plugins.alpha.api\nexcept:\n    pass\nprint('alive')",
        "try:\n    import plugins.alpha.api\nfinally:\n    print('alive')",
        "import threading\nt = threading.Thread(target=__import__, args=('plugins.alpha.api',))\n"
        "t.start(); t.join(); print('alive')",
        "import importlib.util; importlib.util.find_spec('plugins.alpha'); print('alive')",
    ],
    ids=["plain", "bare except", "finally", "thread", "find_spec"],
)
def test_exit_ends_the_process_with_status_4(application: Application, script: str) -> None:
    application.write("alpha/helper.py", WITNESS)
    outcome = application.run(f"print('before')\n{script}", environment=EXIT)
    assert (outcome.status, outcome.stdout, outcome.executed) == (4, "before\n", ()), outcome
    assert "codegenie plugins lock" in outcome.stderr


@pytest.mark.parametrize(
    "streams",
    [
        "sys.stderr = sys.stdout = None",
        "sys.stderr.close()",
        "r, w = os.pipe(); os.close(r); os.dup2(w, 2)",
        "sys.addaudithook(lambda e, a: 1 / 0 if e.startswith('codegenie') else None)",
    ],
    ids=["none", "closed", "broken pipe", "an audit hook that raises"],
)
def test_exit_ends_the_process_whatever_became_of_the_message(
    application: Application, streams: str
) -> None:
    application.write("alpha/helper.py", WITNESS)
    outcome = application.run(
        f"""
        import os, sys
        {streams}
        try:
            import plugins.alpha.api
        except:
            pass
        """,
        environment=EXIT,
    )
    assert (outcome.status, outcome.executed) == (4, ()), outcome


# --- mode="audit" -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["<lockfile>", "<guard>", "plugins", "<package>"])
def test_audit_waives_no_more_than_the_entry_whatever_its_name(
    application: Application, name: str
) -> None:
    """Audit mode remembers a refused entry for that entry alone."""
    application.write(f"{name}/data.txt", "")
    outcome = application.run(
        """
        import plugins.alpha
        open('plugins/alpha/helper.py', 'w').write('VALUE = 43')
        import plugins.alpha.api
        print([r.kind for r in guard.status().refused if r.plugin == 'alpha'])
        """.replace("import", "import codegenie.plugins.guard as guard\n        import", 1),
        environment=AUDIT,
    )
    assert outcome.stdout == "['integrity_mismatch']\n", outcome


def test_status_tells_a_file_of_the_root_from_a_plugin(
    application: Application,
) -> None:
    application.add_plugin("plugins")
    application.lock()
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard, runpy, sys, types
        import plugins.alpha.api
        for path in ('plugins/plugins/extra.py', 'plugins/stray.py'):
            open(path, 'w').close()
            try:
                runpy.run_path(path)
            except ImportError:
                pass
        print(sorted((r.kind, r.plugin) for r in guard.status().refused))
        """
    )
    assert outcome.stdout == (
        "[('integrity_mismatch', 'plugins'), ('unverified_code', 'plugins')]\n"
    ), outcome


def test_audit_refuses_nothing_and_reports(two: Application) -> None:
    outcome = two.run(
        """
        import codegenie.plugins.guard as guard, plugins.alpha.api, plugins.beta.api
        print(plugins.alpha.api.answer(), plugins.beta.api.answer())
        print([(r.kind, r.plugin) for r in guard.status().refused], list(guard.status().verified))
        print(type(plugins.alpha.api.__loader__).__name__, type(plugins.beta.api.__loader__).__name__)
        """,
        environment=AUDIT,
    )
    assert outcome.stdout.splitlines() == [
        "42 changed",
        "[('integrity_mismatch', 'beta')] ['alpha']",
        "VerifiedSourceLoader SourceFileLoader",
    ], outcome
    assert outcome.stderr.count("would refuse") == 1


def break_lock(application: Application) -> None:
    application.lock_path.write_text("[]")


def remove_lock(application: Application) -> None:
    application.lock_path.unlink()


def plant_link(application: Application) -> None:
    (application.plugin / "link").symlink_to("/etc/hostname")


def unlock(application: Application) -> None:
    application.lock({})


@pytest.mark.parametrize("damage", [break_lock, remove_lock, plant_link, unlock])
@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_audit_goes_on_whatever_is_wrong(
    application: Application, damage: object, scope: str
) -> None:
    damage(application)  # type: ignore[operator]
    script = (
        f"import codegenie.plugins.guard as g; g.install(scope={scope!r})\n"
        "import plugins.alpha.api as a, plugins.alpha.helper; print(a.answer())"
    )
    assert application.run(script, report=True).refusal["rejection"]["kind"]
    outcome = application.run(script, environment=AUDIT)
    assert outcome.stdout == "42\n", outcome
    assert "would refuse" in outcome.stderr


def test_audit_runs_the_package_of_a_folder_without_a_lock(application: Application) -> None:
    application.write("__init__.py", "CODE = 'of the root'\n")
    remove_lock(application)
    script = "import plugins; print(plugins.CODE)"
    assert (
        application.run(script, report=True).refusal["rejection"]["kind"] == "lock_file_malformed"
    )
    assert application.run(script, environment=AUDIT).stdout == "of the root\n"


def test_audit_without_any_plugin_folder_is_plain_python(
    application: Application, tmp_path: Path
) -> None:
    outcome = application.run("import plugins", environment=AUDIT, cwd=tmp_path)
    assert outcome.status == 1
    assert "ModuleNotFoundError: No module named 'plugins'" in outcome.stderr


def test_audit_serves_a_file_that_changed_after_it_was_verified(application: Application) -> None:
    outcome = application.run(
        """
        import pathlib, plugins.alpha
        pathlib.Path('plugins/alpha/helper.py').write_text('VALUE = 7')
        import plugins.alpha.api as a
        print(a.answer())
        """,
        environment=AUDIT,
    )
    assert outcome.stdout == "7\n", outcome
    assert "would refuse plugins.alpha.helper" in outcome.stderr


def test_audit_finds_a_module_added_after_its_plugin_was_verified(application: Application) -> None:
    script = """
        import pathlib, pkgutil, plugins.alpha
        pathlib.Path('plugins/alpha/added.py').write_text('VALUE = 7')
        import plugins.alpha.added as a
        print(a.VALUE)
        """
    outcome = application.run(script, environment=AUDIT)
    assert outcome.stdout == "7\n", outcome
    assert "would refuse plugins.alpha.added" in outcome.stderr
    (application.plugin / "added.py").unlink()
    outcome = application.run(script)
    assert "ModuleNotFoundError: No module named 'plugins.alpha.added'" in outcome.stderr


def test_audit_does_not_wait_for_a_fifo(application: Application) -> None:
    outcome = application.run(
        """
        import os, plugins.alpha
        os.unlink('plugins/alpha/helper.py'); os.mkfifo('plugins/alpha/helper.py')
        try:
            import plugins.alpha.helper
        except ImportError as error:
            print(error)
        """,
        environment=AUDIT,
    )
    assert outcome.stdout.endswith("helper.py: is a FIFO, not a regular file\n"), outcome


def test_audit_lets_the_loader_go_on(two: Application) -> None:
    outcome = two.run(
        """
        from pathlib import Path
        from codegenie.plugins.loader import load_plugins
        report = load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).unwrap()
        print(report.loaded)
        """,
        environment=AUDIT,
    )
    assert outcome.stdout == "('alpha', 'beta')\n", outcome
    assert outcome.stderr.count("would refuse") == 1


def test_scope_all_holds_for_direct_calls_of_the_finder(two: Application) -> None:
    """Without the parent package, which normally triggers the verification of everything."""
    direct = (
        "import sys, importlib.util, codegenie.plugins.guard as guard\n"
        "spec = sys.meta_path[0].find_spec('plugins.alpha.api', ['/nowhere'])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "print(sorted(guard.status().verified), module.__file__)"
    )
    outcome = two.run(direct, report=True)
    assert outcome.refusal["rejection"]["plugin"] == "beta"
    assert outcome.executed == ()
    two.lock()
    outcome = two.run(direct)
    assert outcome.stdout == f"['alpha', 'beta'] {two.plugin / 'api.py'}\n", outcome


# --- an audit hook's veto, and the set-up as a load resolves it ----------------------------------

VETO = """
    import sys
    veto = [True]
    def hook(event, args):
        if event == 'codegenie.plugins.verified' and veto[0]:
            raise RuntimeError('vetoed')
    sys.addaudithook(hook)
    """


def test_what_an_audit_hook_vetoes_is_not_verified(application: Application) -> None:
    outcome = application.run(
        VETO
        + """
    import codegenie.plugins.guard as guard
    try:
        import plugins.alpha.api
    except RuntimeError as error:
        print(error, guard.status().verified)
    veto[0] = False
    import plugins.alpha.api
    print(list(guard.status().verified))
    """
    )
    assert outcome.stdout == "vetoed {}\n['alpha']\n", outcome


def test_a_load_that_an_audit_hook_vetoes_leaves_nothing(application: Application) -> None:
    outcome = application.run(
        VETO
        + """
    from pathlib import Path
    import codegenie.plugins.guard as guard
    from codegenie.plugins.loader import load_plugins
    arguments = Path('plugins'), Path('plugins/PLUGINS.lock')
    try:
        load_plugins(*arguments)
    except RuntimeError as error:
        status = guard.status()
        print(error, status.root, status.verified, [m for m in sys.modules if m[:7] == 'plugins'])
    veto[0] = False
    print(load_plugins(*arguments).unwrap().loaded)
    """
    )
    assert outcome.stdout == "vetoed None {} []\n('alpha',)\n", outcome


def test_a_load_warns_of_values_that_are_not_allowed_as_an_import_does(
    application: Application,
) -> None:
    outcome = application.run(
        """
        from pathlib import Path
        import codegenie.plugins.guard as guard
        from codegenie.plugins.loader import load_plugins
        print(load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).is_ok())
        print(guard.status().mode)
        """,
        environment={"CODEGENIE_GUARD_MODE": "Audit"},
    )
    assert outcome.stdout == "True\nenforce\n", outcome
    assert outcome.stderr.count("CODEGENIE_GUARD_MODE='Audit' is not one of") == 1
