"""``codegenie guard install``, ``uninstall`` and ``status`` in real environments."""

from __future__ import annotations

import compileall
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from codegenie.activation import files
from tests.fixtures.environments import NOT_THERE, Environment, clean_environment, copy_codegenie
from tests.fixtures.trees import Application, Outcome

SITECUSTOMIZE = "sitecustomize.py"
MODULE = "codegenie_activation.py"
PTH = "00_codegenie_activation.pth"
START = "00_codegenie_activation.start"

IMPORT = "import plugins.alpha.api\nprint(plugins.alpha.api.answer())"
BOTH = ("plugins.alpha.api", "plugins.alpha.helper")

# Describe a start to its user.
REPORT = """
import sys
status = None
if "codegenie._start" in sys.modules:
    import codegenie.plugins.guard
    status = codegenie.plugins.guard.status()
print(status and (status.active, status.pinned, status.root))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


def start(
    application: Application,
    environment: Environment,
    *arguments: str,
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    return application.start([environment.python, *arguments], environment=variables)


def install(environment: Environment, application: Application, *more: str) -> None:
    done = environment.guard("install", "--root", str(application.root), *more)
    assert done.status == 0, done


def flip(application: Application) -> None:
    path = application.plugin / "helper.py"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def assert_guarded(outcome: Outcome) -> None:
    """A plugin that is not the locked one was refused by the guard itself, and did not run."""
    assert outcome.executed == (), outcome
    assert "PluginImportRefused" in outcome.stderr
    assert "plugin 'alpha' does not match the lock" in outcome.stderr
    assert outcome.status == 1


# --- from nothing to guarded, and back ------------------------------------------------------------


def test_guarded_broken_and_undone(environment: Environment, application: Application) -> None:
    flip(application)
    assert start(application, environment, "-c", IMPORT).executed == BOTH
    before = environment.listing()

    install(environment, application)
    assert_guarded(start(application, environment, "-c", IMPORT))
    application.lock()
    outcome = start(application, environment, "-c", IMPORT)
    assert (outcome.status, outcome.executed, outcome.stderr) == (0, BOTH, "")

    package = environment.codegenie.rename(environment.folder / "away")
    outcome = start(application, environment, "-c", IMPORT)
    assert (outcome.status, outcome.executed) == (1, ())
    assert NOT_THERE in outcome.stderr
    package.rename(environment.codegenie)

    done = environment.guard("uninstall")
    assert (done.status, done.stdout) == (0, f"- {environment.site / SITECUSTOMIZE}\n")
    for cache in environment.codegenie.rglob("__pycache__"):  # of the starts above
        shutil.rmtree(cache)
    assert environment.listing() == before
    assert start(application, environment, "-c", IMPORT).executed == BOTH


@pytest.mark.parametrize("way", [SITECUSTOMIZE, PTH])
def test_start_options_change_nothing(
    environment: Environment, application: Application, way: str
) -> None:
    flip(application)
    code = f"import sys\nsys.path.insert(0, '.')\n{IMPORT}"
    for flags in (["-I"], ["-E"], ["-s"], ["-O"], ["-OO"], ["-P"], ["-X", "dev"]):
        command = ["-W", "error", *flags, "-c", code]
        assert start(application, environment, *command).executed == BOTH
        environment.activate(application.root, sitecustomize=way == SITECUSTOMIZE)
        assert_guarded(start(application, environment, *command))
        files.remove(environment.site)


def test_without_site_nothing_is_guarded_and_require_says_so(
    environment: Environment, application: Application
) -> None:
    install(environment, application)
    flip(application)
    code = f"import sys\nsys.path.insert(0, '.')\n{IMPORT}"
    assert start(application, environment, "-S", "-c", code).executed == BOTH
    insist = (
        f"import sys\nsys.path.append({str(environment.site)!r})\n"
        "import codegenie.plugins.guard\ncodegenie.plugins.guard.require()\n"
    )
    outcome = start(application, environment, "-S", "-c", insist + IMPORT)
    assert (outcome.status, outcome.executed) == (1, ())
    assert "GuardNotEnforcing" in outcome.stderr
    application.lock()
    assert start(application, environment, "-c", insist + IMPORT).executed == BOTH


def test_the_lock_may_come_later(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    later = tmp_path / "later.lock"
    done = environment.guard("install", "--root", str(application.root), "--lock", str(later))
    assert done.status == 0
    assert f"  missing   {later}\n" in done.stderr
    outcome = start(application, environment, "-c", IMPORT)
    assert (outcome.status, outcome.executed) == (1, ())
    assert "PluginImportRefused" in outcome.stderr
    application.lock_path.rename(later)
    assert start(application, environment, "-c", IMPORT).executed == BOTH


def test_a_relative_root_is_kept_as_an_absolute_one(
    environment: Environment, application: Application
) -> None:
    root = os.path.relpath(application.root, environment.folder)
    done = environment.guard("install", "--root", root, "--lock", "my.lock", "--json")
    assert done.document["folders"] == [
        {
            "root": str(application.root),
            "lock": str(environment.folder / "my.lock"),
            "package": "plugins",
            "others": "refuse",
            "names": None,
        }
    ]
    assert f"  missing   {environment.folder / 'my.lock'}\n" in done.stderr


ODD_NAME = 'it\'s a "quoted"\t\\h\u00e9 \u4e2d\U0001f40d'


@pytest.mark.parametrize("way", [SITECUSTOMIZE, PTH])
def test_odd_characters_in_every_path(tmp_path: Path, way: str) -> None:
    # No environment with a .pth works below a folder with a line feed: site reads lines.
    folder = tmp_path / (ODD_NAME + ("\n." if way == SITECUSTOMIZE else ""))
    folder.mkdir()
    application = Application(folder)
    environment = Environment(folder / "env")
    if way == PTH:
        (environment.site / SITECUSTOMIZE).write_text("")
    install(environment, application)
    # LC_ALL=C: a .pth file is read in the encoding of the locale until Python 3.12.
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for extra in ({}, variables):
        outcome = start(application, environment, "-c", IMPORT, variables=extra)
        assert (outcome.status, outcome.stderr, outcome.executed) == (0, "", BOTH)
    flip(application)
    assert_guarded(start(application, environment, "-c", IMPORT))
    shown = environment.guard("status", "--json")
    assert shown.document["guard"]["root"] == str(application.root)
    assert environment.guard("status").status == 0


# --- pinned ---------------------------------------------------------------------------------------


def test_the_environment_does_not_count(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    install(environment, application)
    flip(application)
    (tmp_path / "other").mkdir()
    other = Application(tmp_path / "other")
    variables = {
        "CODEGENIE_PLUGINS_ROOT": str(other.root),
        "CODEGENIE_PLUGINS_LOCK": str(other.lock_path),
        "CODEGENIE_GUARD_MODE": "audit",
        "CODEGENIE_GUARD_ON_REFUSAL": "exit",
    }
    assert_guarded(start(application, environment, "-c", IMPORT, variables=variables))


def test_application_code_cannot_change_it(
    environment: Environment, application: Application
) -> None:
    install(environment, application)
    for setting in ("root='/elsewhere'", "mode='audit'", "strict=False"):
        code = f"import codegenie.plugins.guard as g\ng.install({setting})"
        outcome = start(application, environment, "-c", code)
        assert outcome.status == 1
        assert "GuardSettled" in outcome.stderr


def test_every_setting_is_pinned(environment: Environment, application: Application) -> None:
    log = application.folder / "events.jsonl"
    install(
        environment,
        application,
        *("--scope", "plugin", "--mode", "audit", "--on-refusal", "exit", "--log", str(log)),
    )
    code = (
        "import codegenie.plugins.guard as g; s = g.status()\n"
        "print(s.root, s.lock, s.scope, s.mode, s.on_refusal, s.log, s.strict, s.pinned)"
    )
    expected = f"{application.root} {application.lock_path} plugin audit exit {log} True True\n"
    assert start(application, environment, "-c", code).stdout == expected
    flip(application)
    outcome = start(application, environment, "-c", IMPORT)  # audit: it runs, and is reported
    assert outcome.executed == BOTH
    assert "integrity_mismatch" in log.read_text()


@pytest.mark.parametrize("way", [SITECUSTOMIZE, PTH])
def test_a_second_copy_of_codegenie_first_on_the_path_does_not_win(
    environment: Environment, application: Application, tmp_path: Path, way: str
) -> None:
    """Of the package, and of the activation module of another environment."""
    environment.activate(application.root, sitecustomize=way == SITECUSTOMIZE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = copy_codegenie(elsewhere)
    witness = "\nimport os\nopen(os.environ['WITNESS'], 'a').write('second-copy\\n')\n"
    for path in ("__init__.py", "plugins/__init__.py", "plugins/guard.py"):
        with (copy / path).open("a") as file:
            file.write(witness)
    (elsewhere / MODULE).write_text(witness)
    flip(application)
    variables = {"PYTHONPATH": str(elsewhere)}
    (environment.site / "off").mkdir()
    for name in (SITECUSTOMIZE, PTH):
        if (environment.site / name).exists():
            (environment.site / name).rename(environment.site / "off" / name)
    unguarded = start(
        application, environment, "-c", "import codegenie.plugins.guard", variables=variables
    )
    assert unguarded.executed == ("second-copy",) * 3
    for switched_off in (environment.site / "off").iterdir():
        switched_off.rename(environment.site / switched_off.name)
    assert_guarded(start(application, environment, "-c", IMPORT, variables=variables))
    outcome = start(application, environment, "-c", REPORT, variables=variables)
    assert outcome.stdout == f"{(True, True, str(application.root))}\n"
    # sys.path is again as it was.
    code = "import sys\nprint(sys.path)"
    paths = start(application, environment, "-c", code, variables=variables).stdout
    assert paths == start(application, environment, "-I", "-c", code).stdout.replace(
        "[", f"['', {str(elsewhere)!r}, "
    )


# --- the ways in ----------------------------------------------------------------------------------

# A start-up file of another tool, which prints whether the guard was there before it.
THEIRS = "import sys\nprint({name!r}, 'codegenie._start' in sys.modules)\n"


def test_another_sitecustomize_stays_and_runs_after_the_guard(
    environment: Environment, application: Application
) -> None:
    theirs = environment.site / SITECUSTOMIZE
    theirs.write_text(THEIRS.format(name="sitecustomize"))
    before = environment.listing()
    done = environment.guard("install", "--root", str(application.root))
    assert done.status == 0
    assert done.stdout.splitlines() == [
        f"+ {environment.site / MODULE}",
        f"+ {environment.site / PTH}",
    ]
    assert "not as sitecustomize.py: there is another one" in done.stderr
    assert f"  other     {theirs}\n" in done.stderr
    outcome = start(application, environment, "-c", REPORT)
    report = (True, True, str(application.root))
    assert outcome.stdout.splitlines() == ["sitecustomize True", str(report)]
    flip(application)
    assert_guarded(start(application, environment, "-c", IMPORT))
    assert environment.guard("uninstall").status == 0
    for cache in (*environment.codegenie.rglob("__pycache__"), environment.site / "__pycache__"):
        shutil.rmtree(cache)  # of the starts: of their sitecustomize as well
    assert environment.listing() == before


def test_the_order_of_all_that_is_run_at_a_start(application: Application, tmp_path: Path) -> None:
    """.pth files by name, sitecustomize, usercustomize."""
    environment = Environment(tmp_path / "env", "--system-site-packages")
    user = {"PYTHONUSERBASE": str(tmp_path / "user")}
    code = "import site\nprint(site.getusersitepackages())"
    user_site = Path(start(application, environment, "-c", code, variables=user).stdout.strip())
    user_site.mkdir(parents=True)
    (user_site / "usercustomize.py").write_text(THEIRS.format(name="usercustomize"))
    for name in ("0", "a"):
        (environment.site / f"module_{name}.py").write_text(THEIRS.format(name=f"{name}.pth"))
        (environment.site / f"{name}.pth").write_text(f"import module_{name}\n")

    environment.activate(application.root, sitecustomize=True)
    lines = start(application, environment, "-c", "", variables=user).stdout.splitlines()
    assert lines == ["0.pth False", "a.pth False", "usercustomize True"]

    (environment.site / SITECUSTOMIZE).write_text(THEIRS.format(name="sitecustomize"))
    environment.activate(application.root, sitecustomize=False)
    lines = start(application, environment, "-c", "", variables=user).stdout.splitlines()
    assert lines == ["0.pth False", "a.pth True", "sitecustomize True", "usercustomize True"]
    lines = start(application, environment, "-s", "-c", "", variables=user).stdout.splitlines()
    assert lines == ["0.pth False", "a.pth True", "sitecustomize True"]


def test_a_sitecustomize_on_the_path_runs_instead_until_recorded(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    install(environment, application)
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / SITECUSTOMIZE).write_text(
        "import sys\nprint('agent', 'codegenie._start' in sys.modules, file=sys.stderr)\n"
    )
    variables = {"PYTHONPATH": str(agent)}
    shown = environment.guard("status", "--json", environment=variables)
    assert (shown.status, shown.document["state"]) == (1, "not_running")
    assert shown.document["reason"] == (f"another one is run instead: {agent / SITECUSTOMIZE}")
    assert environment.guard("status").status == 0  # without it

    done = environment.guard("install", "--root", str(application.root), environment=variables)
    assert done.status == 0
    assert done.stdout.splitlines() == [
        f"+ {environment.site / MODULE}",
        f"+ {environment.site / PTH}",
        f"- {environment.site / SITECUSTOMIZE}",
    ]
    flip(application)
    outcome = start(application, environment, "-c", IMPORT, variables=variables)
    assert outcome.stderr.startswith("agent True\n")
    assert_guarded(outcome)
    assert_guarded(start(application, environment, "-c", IMPORT))


def test_an_agent_that_runs_the_next_sitecustomize_hides_nothing(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    install(environment, application)
    agent = tmp_path / "agent"
    agent.mkdir()
    (agent / SITECUSTOMIZE).write_text(
        "import os, sys\nhere = os.path.dirname(__file__)\nsys.path.remove(here)\n"
        "del sys.modules['sitecustomize']\nimport sitecustomize\nsys.path.insert(0, here)\n"
    )
    flip(application)
    variables = {"PYTHONPATH": str(agent)}
    assert_guarded(start(application, environment, "-c", IMPORT, variables=variables))
    assert environment.guard("status", environment=variables).status == 0


def test_bytecode_of_a_sitecustomize_that_is_gone_stays(
    environment: Environment, application: Application
) -> None:
    path = environment.site / SITECUSTOMIZE
    path.write_text("")
    start(application, environment, "-c", "")
    path.unlink()
    (stale,) = (environment.site / "__pycache__").iterdir()
    data = stale.read_bytes()
    done = environment.guard("install", "--root", str(application.root))
    assert done.status == 0
    assert "bytecode of one that is gone" in done.stderr
    assert environment.guard("uninstall").status == 0
    assert [p.read_bytes() for p in (environment.site / "__pycache__").iterdir()] == [data]


def test_an_activation_may_run_twice(environment: Environment, application: Application) -> None:
    """As with a .start file beside a .pth file, or both ways in."""
    environment.activate(application.root, sitecustomize=False)
    module = environment.site / MODULE
    shutil.copy(module, environment.site / SITECUSTOMIZE)
    code = f"import codegenie_activation\ncodegenie_activation.activate()\n{IMPORT}"
    outcome = start(application, environment, "-c", code)
    assert (outcome.stderr, outcome.executed) == ("", BOTH)
    away = environment.codegenie.rename(environment.folder / "away")
    outcome = start(application, environment, "-c", code)
    assert outcome.executed == ()
    assert NOT_THERE in outcome.stderr
    # An activation that refuses goes on refusing, with its reason.
    repair = f"import os\nos.rename({str(away)!r}, {str(environment.codegenie)!r})\n"
    outcome = start(application, environment, "-c", repair + code)
    assert outcome.executed == ()
    assert NOT_THERE in outcome.stderr


def add_start_file(environment: Environment) -> Path:
    """Add the ``.start`` file that earlier versions wrote for Python 3.15."""
    path = environment.site / START
    path.write_bytes(files._sealed("codegenie_activation:activate\n"))
    return path


def test_a_start_file_of_an_earlier_version_still_guards(
    environment: Environment, application: Application
) -> None:
    environment.activate(application.root, sitecustomize=False)
    add_start_file(environment)
    flip(application)
    assert_guarded(start(application, environment, "-c", IMPORT))


def test_installing_again_removes_the_start_file_of_an_earlier_version(
    environment: Environment, application: Application
) -> None:
    (environment.site / SITECUSTOMIZE).write_text("")
    before = environment.listing()
    environment.activate(application.root, sitecustomize=False)
    path = add_start_file(environment)
    done = environment.guard("install", "--root", str(application.root))
    assert (done.status, done.stdout) == (0, f"- {path}\n")
    assert environment.guard("status", "--json").document["state"] == "enforcing"
    add_start_file(environment)
    done = environment.guard("uninstall")
    assert (done.status, done.stdout.splitlines()[0]) == (0, f"- {path}")
    for cache in (*environment.codegenie.rglob("__pycache__"), environment.site / "__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)
    assert environment.listing() == before


def test_another_start_file_of_that_name_is_reported(
    environment: Environment, application: Application
) -> None:
    """It turns off the line of our .pth file, from Python 3.15 on."""
    (environment.site / SITECUSTOMIZE).write_text("")
    path = environment.site / START
    path.write_text("os:getpid\n")
    done = environment.guard("install", "--root", str(application.root))
    assert done.status == 1
    assert str(path) in done.stderr
    assert not (environment.site / PTH).exists()


@pytest.mark.parametrize("name", ["a.pth", "zzz.start"])
def test_start_up_code_of_others_imports_no_tampered_plugin(
    environment: Environment, application: Application, name: str
) -> None:
    """Beside a ``sitecustomize`` of another tool: there the .pth line guards."""
    (environment.site / SITECUSTOMIZE).write_text("import early\n")
    (environment.site / "early.py").write_text(
        f"import sys\nsys.path.insert(0, {str(application.folder)!r})\n"
        "try:\n    import plugins.alpha.api\n"
        "except ImportError as error:\n    print(error, file=sys.stderr)\n"
        "def run():\n    pass\n"
    )
    line = "import early" if name.endswith(".pth") else "early:run"
    (environment.site / name).write_text(f"{line}\n")
    flip(application)
    assert start(application, environment, "-c", "").executed == BOTH
    environment.activate(application.root, sitecustomize=False)
    assert_guarded(start(application, environment, "-c", IMPORT))


def test_a_finder_that_start_up_code_puts_first_does_not_stay_there(
    environment: Environment, application: Application
) -> None:
    """As the .pth file of setuptools does. A sitecustomize is run after all of them."""
    (environment.site / "finder.py").write_text(
        "import sys\nclass First:\n    def find_spec(self, *args):\n        return None\n"
        "sys.meta_path.insert(0, First())\n"
    )
    (environment.site / "finder.pth").write_text("import finder\n")
    code = "import sys\nprint(type(sys.meta_path[0]).__name__)\n"
    install(environment, application)
    assert start(application, environment, "-c", code).stdout == "GuardFinder\n"
    assert environment.guard("status", "--json").document["reason"] is None

    environment.activate(application.root, sitecustomize=False)
    assert start(application, environment, "-c", code).stdout == "First\n"
    flip(application)
    assert_guarded(start(application, environment, "-c", IMPORT))
    shown = environment.guard("status", "--json")
    assert (shown.status, shown.document["state"]) == (0, "enforcing")
    assert "First was put before it" in shown.document["reason"]


# --- installing again, and undoing ----------------------------------------------------------------


def test_installing_again(environment: Environment, application: Application) -> None:
    install(environment, application)
    before = environment.listing()
    done = environment.guard("install", "--root", str(application.root))
    assert (done.status, done.stdout) == (0, "")
    assert "nothing to change" in done.stderr
    assert environment.listing() == before
    done = environment.guard("install", "--root", str(application.root), "--mode", "audit")
    assert (done.status, done.stdout) == (0, f"~ {environment.site / SITECUSTOMIZE}\n")
    assert environment.guard("status", "--json").document["state"] == "auditing"


def test_its_bytecode_is_there_for_users_who_may_not_write(
    environment: Environment, application: Application
) -> None:
    install(environment, application)
    tag = sys.implementation.cache_tag
    cached = environment.site / "__pycache__" / f"sitecustomize.{tag}.pyc"
    before = cached.read_bytes()
    start(application, environment, "-c", "")
    assert cached.read_bytes() == before
    install(environment, application, "--mode", "audit")
    assert cached.read_bytes() != before


def test_what_was_edited_is_left_and_reported(
    environment: Environment, application: Application
) -> None:
    install(environment, application)
    path = environment.site / SITECUSTOMIZE
    with path.open("a") as file:
        file.write("# edited\n")
    before = environment.listing()
    done = environment.guard("uninstall", "--json")
    assert (done.status, done.document["removed"]) == (1, [])
    assert done.document["kept"] == {str(path): "edited"}
    assert "was edited since this command wrote it" in done.stderr
    assert f"  file      {path}\n" in done.stderr
    done = environment.guard("install", "--root", str(application.root))
    assert (done.status, done.stdout) == (1, "")
    assert "was edited since this command wrote it" in done.stderr
    assert f"  file      {path}\n" in done.stderr
    assert environment.listing() == before


@pytest.mark.parametrize("name", [MODULE, PTH])
def test_a_file_of_that_name_that_is_not_ours_stops_it(
    environment: Environment, application: Application, name: str
) -> None:
    (environment.site / name).write_text("# mine\n")
    before = environment.listing()
    done = environment.guard("install", "--root", str(application.root))
    assert (done.status, done.stdout) == (1, "")
    assert "was not written by this command" in done.stderr
    assert environment.listing() == before


def test_nothing_to_undo(environment: Environment) -> None:
    before = environment.listing()
    done = environment.guard("uninstall", "--json")
    assert (done.status, done.document["removed"], done.document["kept"]) == (0, [], {})
    assert "nothing to undo" in done.stderr
    assert environment.listing() == before


def test_undoing_needs_no_codegenie_there(
    environment: Environment, application: Application
) -> None:
    install(environment, application)
    shutil.rmtree(environment.codegenie)
    assert environment.guard("uninstall").status == 0
    assert list(environment.site.iterdir()) == []


# --- what it refuses ------------------------------------------------------------------------------


def drop_the_power_over_permissions() -> None:
    """Root may write anywhere: as in a container without CAP_DAC_OVERRIDE, and with it CAP_FOWNER.

    Dropped from the bounding set, they are gone after the next exec (``capabilities(7)``)."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2, 3):  # DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
            if libc.prctl(24, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl(PR_CAPBSET_DROP)")


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_a_folder_that_may_not_be_written(
    environment: Environment, application: Application
) -> None:
    install(environment, application)
    environment.site.chmod(0o555)
    before = environment.listing()
    arguments = ["--root", str(application.root), "--mode", "audit"]
    for command, more in (("install", arguments), ("uninstall", [])):
        done = environment.guard(command, *more, before=drop_the_power_over_permissions)
        assert (done.status, done.stdout) == (1, ""), done
        assert "cannot be written by the user " in done.stderr
        assert ": permission denied\n" in done.stderr
        assert f"  folder    {environment.site}\n" in done.stderr
        assert environment.listing() == before
    environment.site.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
@pytest.mark.parametrize("way", [SITECUSTOMIZE, PTH])
def test_bytecode_that_may_not_be_removed(
    environment: Environment, application: Application, tmp_path: Path, way: str
) -> None:
    """That of the old file could pass for the new one's: all is as it was before."""
    install(environment, application)
    agent = tmp_path / "agent"
    agent.mkdir()
    if way == PTH:
        (agent / SITECUSTOMIZE).write_text("")
    cache = environment.site / "__pycache__"
    cache.chmod(0o555)
    before = environment.listing()
    done = environment.guard(
        "install",
        *("--root", str(application.root), "--mode", "audit"),
        environment={"PYTHONPATH": str(agent)},
        before=drop_the_power_over_permissions,
    )
    assert (done.status, done.stdout) == (1, ""), done
    assert environment.listing() == before
    cache.chmod(0o755)


def test_a_copy_without_its_sources_refuses_and_says_so(
    environment: Environment, application: Application
) -> None:
    """It is loaded from its source files alone, whose bytecode is in the usual ``__pycache__``."""
    compileall.compile_dir(environment.codegenie, quiet=2, legacy=True)
    for source in environment.codegenie.rglob("*.py"):
        source.unlink()
    done = environment.guard("install", "--root", str(application.root))
    assert (done.status, "it was written, and does not guard" in done.stderr) == (1, True), done
    outcome = start(application, environment, "-c", IMPORT)
    assert (outcome.status, outcome.executed) == (1, ())
    assert NOT_THERE in outcome.stderr


def test_an_environment_without_codegenie(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    """A copy on PYTHONPATH is not there at every start, and belongs to who runs the command."""
    shutil.rmtree(environment.codegenie)
    before = environment.listing()
    copy_codegenie(tmp_path)
    for variables in ({}, {"PYTHONPATH": str(tmp_path)}):
        done = environment.guard("install", "--root", str(application.root), environment=variables)
        assert (done.status, done.stdout) == (1, "")
        assert "No module named 'codegenie'" in done.stderr
        assert f"{environment.python} -m pip install codegenie==0.1.0" in done.stderr
        assert environment.listing() == before


def test_an_environment_with_another_version(
    environment: Environment, application: Application
) -> None:
    (environment.codegenie / "__init__.py").write_text('__version__ = "0.0.9"\n')
    done = environment.guard("install", "--root", str(application.root), "--json")
    assert (done.status, done.document["there"]) == (1, str(environment.codegenie))
    assert "codegenie is 0.0.9 there, and 0.1.0 here" in done.stderr
    assert not (environment.site / SITECUSTOMIZE).exists()


def test_an_environment_with_half_of_it(environment: Environment, application: Application) -> None:
    shutil.rmtree(environment.codegenie / "_enforce")
    done = environment.guard("install", "--root", str(application.root))
    assert (done.status, done.stdout) == (1, "")
    assert "_enforce" in done.stderr
    assert not (environment.site / SITECUSTOMIZE).exists()


WRONG = [
    [],
    ["--root", ""],
    ["--root", "/etc/passwd"],
    ["--root", "r", "--lock", ""],
    ["--root", "r", "--lock", "/etc"],
    ["--root", "r", "--log", ""],
    ["--root", "r", "--log", "fd:x"],
    ["--root", "r", "--mode", "off"],
    ["--root", "r", "--scope", "none"],
    ["--root", "r", "--on-refusal", "ignore"],
    ["--root", "r", "more"],
]


def test_wrong_usage(environment: Environment) -> None:
    before = environment.listing()
    for arguments in WRONG:
        done = environment.guard("install", *arguments)
        assert (done.status, done.stdout) == (2, ""), done
        assert "Error: " in done.stderr
    assert environment.listing() == before


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false", "/bin/true", "/"])
def test_what_is_no_interpreter(environment: Environment, python: str) -> None:
    for command, *more in (["install", "--root", "bin"], ["uninstall"], ["status"]):
        done = environment.guard(command, *more, "--python", python)
        assert (done.status, done.stdout) == (2, ""), done
        assert f"{python}: " in done.stderr


def test_an_interpreter_that_is_too_old(environment: Environment) -> None:
    """Its word is taken for it."""
    old = environment.folder / "old"
    pretend = "import sys; sys.version = '3.10.9 (main)'"
    old.write_text(f'#!/bin/sh\nexec "{environment.python}" -c "{pretend}\n$2"\n')
    old.chmod(0o755)
    done = environment.guard("install", "--root", "bin", "--python", str(old))
    assert (done.status, done.stdout) == (2, "")
    assert "is Python 3.10.9; codegenie needs 3.11 or newer" in done.stderr


# --- status ---------------------------------------------------------------------------------------


def test_status_in_every_state(environment: Environment, application: Application) -> None:
    def state(*, exits: int) -> str:
        done = environment.guard("status", "--json")
        assert done.status == exits, done
        document = done.document
        assert document["executable"] == environment.python
        assert bool(document["folders"]) is document["guard"]["active"]
        return str(document["state"])

    assert state(exits=1) == "not_installed"
    install(environment, application)
    assert state(exits=0) == "enforcing"
    install(environment, application, "--mode", "audit")
    assert state(exits=1) == "auditing"
    guard = environment.codegenie / "_start" / "finder.py"
    whole = guard.read_text()
    guard.write_text("raise RuntimeError('boom')")
    assert state(exits=1) == "refusing"
    assert environment.guard("status", "--json").document["reason"] == "RuntimeError: boom"
    guard.write_text(whole)
    enforcement = environment.codegenie / "_enforce"
    for missing in (enforcement, enforcement / "enforcer.py"):
        missing.rename(environment.folder / "away")
        assert state(exits=1) == "refusing"
        (environment.folder / "away").rename(missing)
    assert state(exits=1) == "auditing"
    assert environment.guard("uninstall").status == 0
    assert state(exits=1) == "not_installed"
    (environment.site / "app.pth").write_text("import codegenie.plugins.guard\n")
    assert state(exits=1) == "not_pinned"
    (environment.site / SITECUSTOMIZE).write_text("import os\n")
    assert state(exits=1) == "not_pinned"
    (environment.site / "app.pth").unlink()
    environment.activate(application.root, sitecustomize=False)
    assert state(exits=0) == "enforcing"
    assert environment.guard("status", "--json").document["by"] == str(environment.site / MODULE)
    (environment.site / PTH).unlink()
    assert state(exits=1) == "not_running"


def test_status_in_words(environment: Environment, application: Application) -> None:
    shown = environment.guard("status")
    assert "guard       NOT ACTIVE: not installed\n" in shown.stdout
    assert "codegenie guard install --root ROOT" in shown.stderr
    install(environment, application)
    shown = environment.guard("status")
    assert shown.stdout.splitlines() == [
        f"python      {environment.python} ({sys.version.split()[0]})",
        "guard       active, enforcing",
        f"set up by   {environment.site / SITECUSTOMIZE}",
        "scope       all",
        "mode        enforce",
        "on refusal  raise",
        f"root        {application.root} (package plugins)",
        f"lock        {application.lock_path}: 1 plugin",
        f"own files   not checked: nothing beside {environment.codegenie} says that it was installed",
    ]
    assert "a start with -S is never guarded" in shown.stderr
    assert "codegenie.plugins.guard.require()" in shown.stderr
    shutil.rmtree(environment.codegenie)
    shown = environment.guard("status")
    assert "guard       broken: every import of a plugin is refused\n" in shown.stdout
    assert f"reason      {NOT_THERE}'{environment.codegenie}/__init__.py'\n" in shown.stdout
    again = f"--root {application.root} --python {environment.python}"
    assert f"for another version: codegenie guard install {again}\n" in shown.stderr


def test_status_leaves_nothing_behind(environment: Environment, application: Application) -> None:
    (environment.site / "noisy.pth").write_text("import noisy\n")
    (environment.site / "noisy.py").write_text("print('codegenie-guard-status:nonsense')\n")
    before = environment.listing()
    assert environment.guard("status", "--json").document["state"] == "not_installed"
    assert environment.listing() == before


def test_a_module_of_the_working_directory_is_no_part_of_the_answer(
    environment: Environment, application: Application
) -> None:
    (environment.folder / "json.py").write_text("raise RuntimeError('not this one')")
    install(environment, application)
    assert environment.guard("status").status == 0


# --- other interpreters ---------------------------------------------------------------------------


def test_an_environment_below_a_guarded_one(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    """If both are activated, the inner one decides."""
    inner = Environment(tmp_path / "inner", "--system-site-packages", base=environment.python)
    done = inner.guard("install", "--root", str(application.root))
    assert done.status == 0
    assert "a sitecustomize in a user's own site-packages would be run instead" in done.stderr
    environment.activate(tmp_path)
    flip(application)
    assert_guarded(start(application, inner, "-c", IMPORT))


def another_python() -> str | None:
    """Return an interpreter of another version that can be guarded."""
    for minor in range(11, 20):
        name = shutil.which(f"python3.{minor}")
        if name is None or minor == sys.version_info.minor:
            continue
        command = [name, "-c", "import sys, venv; print(sys.executable)"]
        done = subprocess.run(
            command, capture_output=True, text=True, env=clean_environment(), timeout=60
        )
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def test_an_interpreter_of_another_version(application: Application, tmp_path: Path) -> None:
    base = another_python()
    if base is None:
        pytest.skip("there is no second Python, 3.11 or newer, on PATH")
    environment = Environment(tmp_path / "env", base=base)
    before = environment.listing()
    install(environment, application)
    shown = environment.guard("status", "--json").document
    assert shown["state"] == "enforcing"
    assert shown["version"].split(".")[:2] != sys.version.split(".")[:2]
    flip(application)
    assert_guarded(start(application, environment, "-c", IMPORT))
    assert environment.guard("uninstall").status == 0
    for cache in environment.codegenie.rglob("__pycache__"):
        shutil.rmtree(cache)
    assert environment.listing() == before
