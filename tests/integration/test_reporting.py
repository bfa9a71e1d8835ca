"""The application's own reporting of a refusal may fail, and never replaces the refusal."""

from __future__ import annotations

import json

import pytest

from tests.fixtures.trees import Application

TRY = """
from codegenie.plugins.errors import PluginImportRefused
try:
    import plugins.alpha.api
except PluginImportRefused as error:
    print(error.rejection.kind, *getattr(error, "__notes__", ()), sep=" | ")
except BaseException as error:
    print("instead", type(error).__name__)
else:
    print("imported")
"""

HANDLER = """
import logging
class Handler(logging.Handler):
    def emit(self, record):
        raise {error}
logging.getLogger({name!r}).addHandler(Handler())
logging.getLogger({name!r}).setLevel(logging.DEBUG)
"""

FAILURES = {
    "handler": HANDLER.format(error="ModuleNotFoundError('no module named x', name='x')", name=""),
    "handler-of-the-logger": HANDLER.format(error="KeyError('x')", name="codegenie.plugins"),
    "filter": """
import logging, os
logging.basicConfig(filename=os.devnull)
def refuse(record):
    raise ValueError("a filter")
logging.getLogger("codegenie.plugins").addFilter(refuse)
""",
    "logger-class": """
import logging, os
logging.basicConfig(filename=os.devnull)
class Logger(logging.Logger):
    def isEnabledFor(self, level):
        raise RuntimeError("a logger")
logging.setLoggerClass(Logger)
""",
    "exception-without-text": HANDLER.format(
        error="type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()", name=""
    ),
    "get-logger": """
import logging
def getLogger(name=None):
    raise LookupError(name)
logging.getLogger = getLogger
""",
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_a_log_that_fails_replaces_no_refusal(
    application: Application, failure: str, scope: str
) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    install = f"import codegenie.plugins.guard as guard; guard.install(scope={scope!r})\n"
    outcome = application.run(install + FAILURES[failure] + TRY)
    kind, note = outcome.stdout.rstrip().split(" | ")
    assert kind == "integrity_mismatch", outcome
    assert note.startswith("the log record was not made: ")
    assert outcome.executed == ()


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("settings", ["mode='audit'", "mode='audit', scope='plugin'", ""])
def test_a_log_that_fails_refuses_nothing(
    application: Application, failure: str, settings: str
) -> None:
    if settings:
        application.write("alpha/helper.py", "VALUE = 1\n")
    install = f"import codegenie.plugins.guard as guard; guard.install({settings})\n"
    outcome = application.run(install + FAILURES[failure] + TRY)
    assert outcome.stdout == "imported\n", outcome


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError", "SyntaxError", "AttributeError"])
@pytest.mark.parametrize(
    ("settings", "changed", "said"),
    [
        ("", True, "integrity_mismatch\n"),
        ("scope='plugin'", True, "integrity_mismatch\n"),
        ("mode='audit'", True, "imported"),
        ("scope='plugin'", False, "imported"),
    ],
)
def test_a_logging_that_cannot_be_imported_changes_no_decision(
    application: Application, error: str, settings: str, changed: bool, said: str
) -> None:
    """A module of that name in the application's folder, for instance."""
    if changed:
        application.write("alpha/helper.py", "VALUE = 1\n")
    (application.folder / "logging.py").write_text(f"raise {error}('not here')\n")
    install = f"import codegenie.plugins.guard as guard; guard.install({settings})\n"
    outcome = application.run(install + TRY.replace("error.rejection", "error.refusal"))
    assert outcome.stdout.startswith(said), outcome


@pytest.mark.parametrize("error", ["RuntimeError", "ImportError"])
def test_an_audit_hook_that_fails_replaces_no_refusal(application: Application, error: str) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    script = f"""
import sys
def hook(event, arguments):
    if event == "codegenie.plugins.refused":
        raise {error}("the hook")
sys.addaudithook(hook)
"""
    log = application.folder / "log"
    outcome = application.run(script + TRY, environment={"CODEGENIE_GUARD_LOG": str(log)})
    said = f"integrity_mismatch | an audit hook failed: {error}: the hook\n"
    assert outcome.stdout == said, outcome
    assert json.loads(log.read_text())["event"] == "refused"
    audited = "import codegenie.plugins.guard as guard; guard.install(mode='audit')\n"
    outcome = application.run(audited + script + TRY)
    assert outcome.stdout == "imported\n", outcome


@pytest.mark.parametrize("failure", FAILURES)
def test_a_process_that_is_to_end_ends(application: Application, failure: str) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    install = "import codegenie.plugins.guard as guard; guard.install(on_refusal='exit')\n"
    outcome = application.run(install + FAILURES[failure] + TRY)
    assert (outcome.status, outcome.executed) == (4, ()), outcome
    assert "the plugin guard refused to import" in outcome.stderr


def test_a_keyboard_interrupt_passes(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    failing = HANDLER.format(error="KeyboardInterrupt", name="")
    outcome = application.run(failing + TRY)
    assert (outcome.stdout, outcome.executed) == ("instead KeyboardInterrupt\n", ()), outcome


def test_a_displaced_guard_is_put_back_although_its_report_fails(application: Application) -> None:
    failing = FAILURES["handler"] + "import sys\nsys.meta_path.reverse()\n"
    assert application.run(failing + TRY).stdout == "imported\n"
    application.write("alpha/helper.py", "VALUE = 1\n")
    outcome = application.run(failing + TRY)
    assert outcome.stdout.startswith("integrity_mismatch | "), outcome


def test_a_handler_that_imports_the_plugin_ends(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 1\n")
    script = """
import logging
class Handler(logging.Handler):
    def emit(self, record):
        import plugins.alpha.api
logging.getLogger().addHandler(Handler())
"""
    outcome = application.run(script + TRY)
    assert outcome.stdout.startswith("integrity_mismatch | the log record was not made: "), outcome
    assert "\\u000a" not in outcome.stdout


# --- lines that lie -----------------------------------------------------------------------------

ODD = {
    "line-break": "x\n2026-01-01 INFO plugin verified",
    "carriage-return": "x\r2026-01-01 INFO plugin verified",
    "escape": "x\x1b[2J",
    "next-line": "x\x85y",
    "line-separator": "x\u2028y",
    "bidi": "x\u202ey",
    "zero-width": "x\u200by",
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("mode", ["enforce", "audit"])
@pytest.mark.parametrize("way", ["import", "path"])
def test_a_name_forges_no_line_of_a_log(
    application: Application, odd: str, mode: str, way: str
) -> None:
    """A script of the folder, or an imported module, may have any name."""
    name = ODD[odd]
    script = f"""
import importlib, logging, os, runpy, sys
import codegenie.plugins.guard as guard
guard.install(scope="plugin", mode={mode!r})
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s", encoding="utf-8")
import plugins.alpha.api
name = {name!r}
try:
    if {way!r} == "import":
        with open("plugins/alpha/helper.py", "a") as f: f.write("# changed")
        os.mkdir("plugins/" + name)
        importlib.import_module("plugins." + name)
    else:
        path = os.path.join("plugins/alpha", name + ".py")
        with open(path, "w") as f: f.write("pass")
        runpy.run_path(path)
except ImportError as error:
    print(error)
"""
    outcome = application.run(script, environment={"PYTHONIOENCODING": "utf-8:backslashreplace"})
    assert outcome.status == 0, outcome
    assert outcome.stdout.replace("\n", "").isprintable(), outcome
    assert "2026-01-01" not in {line[:10] for line in outcome.stdout.splitlines()}
    assert any(line.startswith(("ERROR", "WARNING")) for line in outcome.stdout.splitlines())


def test_no_name_fills_a_log(application: Application) -> None:
    script = """
    import importlib, logging, sys
    import codegenie.plugins.guard as guard
    guard.install(scope="plugin")
    logging.basicConfig(stream=sys.stdout)
    with open("plugins/PLUGINS.lock", "w") as f: f.write("[]")
    try:
        importlib.import_module("plugins." + "x" * 1000000)
    except ImportError as error:
        print(error)
    """
    outcome = application.run(script)
    assert "lock_file_malformed" in outcome.stdout
    assert len(outcome.stdout) < 5000


def test_refusal_of_find_spec_loads_no_module(application: Application) -> None:
    """Refuse under the import lock, where an import would wait for other threads."""
    application.write("alpha/größe.txt", "")  # which only some tables of the interpreter compare
    application.lock()
    application.write("alpha/helper.py", "VALUE = 1\n")
    outcome = application.run(
        """
        import sys
        import codegenie.plugins.guard as guard
        guard.install(scope="plugin")
        import plugins
        before = set(sys.modules)
        try:
            import plugins.alpha.api
        except ImportError as error:
            print(sorted(set(sys.modules) - before), error.refusal.kind)
        """
    )
    assert outcome.stdout == "[] integrity_mismatch\n", outcome
