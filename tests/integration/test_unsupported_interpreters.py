"""An interpreter that the guard does not support: no plugin, one sentence, everything else.

Each internal is taken away as the guard sees it: a module without it takes the place of the real
one in ``sys.modules``. CPython itself goes on with the real one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from codegenie._enforce import interpreter
from tests.fixtures.environments import Environment, run_codegenie
from tests.fixtures.trees import Application, Outcome

WITHOUT = """
import sys, types
def without(module, *names):
    real = __import__(module, fromlist=["x"])
    copy = types.ModuleType(module)
    copy.__dict__.update({{k: v for k, v in vars(real).items() if k != names[0]}})
    if names[1:]:
        owner = vars(real)[names[0]]
        copy.__dict__[names[0]] = types.SimpleNamespace(
            **{{k: getattr(owner, k) for k in dir(owner) if k not in names and k[:2] != "__"}}
        )
    sys.modules[module] = copy
without({arguments})
"""

AT_START = {
    "_frozen_importlib.ModuleSpec": None,
    "_frozen_importlib._call_with_frames_removed": None,
    "_frozen_importlib._exec": None,
    "_frozen_importlib._find_and_load_unlocked": None,
    "_frozen_importlib._init_module_attrs": None,
    "_frozen_importlib._load_unlocked": None,
    "_frozen_importlib._module_locks": None,
    "_frozen_importlib_external.BYTECODE_SUFFIXES": None,
    "_frozen_importlib_external.SOURCE_SUFFIXES": None,
    "_frozen_importlib_external.SourceLoader.exec_module": None,
    "_frozen_importlib_external.SourceLoader.get_code": None,
    "_frozen_importlib_external.SourceLoader.source_to_code": None,
    "_frozen_importlib_external.SourcelessFileLoader.get_code": None,
    "_imp.extension_suffixes": None,
}
"""The internals that every start needs."""

BY_RULES = dict.fromkeys(".".join(internal) for internal in interpreter.INTERNALS)
"""The internals that are needed for the first plugin."""

OTHER = {
    "sys._getframe": "import sys\ndel sys._getframe\n",
    "sys.addaudithook": "import sys\ndel sys.addaudithook\n",
    "the variable 'module' in _frozen_importlib_external.SourceLoader.exec_module": (
        "import types, _frozen_importlib_external as real\n"
        "def exec_module(self, other): pass\n"
        "copy = types.ModuleType(real.__name__)\n"
        "copy.__dict__.update(vars(real))\n"
        "copy.SourceLoader = type('SourceLoader', (real.SourceLoader,), {{}})\n"
        "copy.SourceLoader.exec_module = exec_module\n"
        "import sys\nsys.modules[real.__name__] = copy\n"
    ).replace("{{}}", "{}"),
    "a JSON scanner without the attribute 'new_hook'": (
        "import _json, types, sys\n"
        "copy = types.ModuleType('_json')\n"
        "copy.__dict__.update(vars(_json))\n"
        "class make_scanner:\n"
        "    def __init__(self, rules):\n"
        "        rules.new_hook\n"
        "copy.make_scanner = make_scanner\n"
        "sys.modules['_json'] = copy\n"
    ),
    "never tested": "import sys\nsys.version_info = (3, 16, 0, 'final', 0)\n",
    "is not CPython": "import sys\nsys.implementation.name = 'pypy'\n",
}
"""Other defects, with the code that causes each."""


def removal(internal: str) -> str:
    """Return the code that takes an internal away."""
    code = OTHER.get(internal)
    if code is not None:
        return code
    known = ("importlib._abc", "_frozen_importlib_external", "_frozen_importlib")
    module = next((m for m in known if internal.startswith(f"{m}.")), internal.partition(".")[0])
    names = internal.removeprefix(f"{module}.").split(".")
    return WITHOUT.format(arguments=", ".join(map(repr, (module, *names))))


SCRIPT = """
import codegenie.plugins.guard
import colorsys  # everything else is imported as ever
try:
    import plugins.alpha.api
except ImportError as error:
    assert not isinstance(error, ModuleNotFoundError)
    print(error)
exec(compile("print('and runs')", "<made>", "exec"))
"""


def assert_refused(outcome: Outcome, internal: str) -> None:
    """One sentence names the problem, no plugin ran, and everything else did."""
    assert outcome.executed == (), outcome
    said, last = outcome.stdout.splitlines()
    assert internal in said
    assert "use CPython 3.11 to 3." in said
    assert (last, outcome.stderr, outcome.status) == ("and runs", "", 0)


@pytest.mark.parametrize("internal", [*AT_START, *BY_RULES, *OTHER])
def test_without_an_internal_no_plugin_is_imported(application: Application, internal: str) -> None:
    outcome = application.run(removal(internal) + SCRIPT, guarded=False)
    assert_refused(outcome, internal)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.mark.parametrize("sitecustomize", [True, False], ids=["sitecustomize", "pth"])
@pytest.mark.parametrize(
    "internal",
    [
        *AT_START,
        "_frozen_importlib._ModuleLockManager",
        "_frozen_importlib_external.spec_from_file_location",
        "_imp.create_dynamic",
        *OTHER,
    ],
)
def test_without_an_internal_an_activated_start_refuses_plugins(
    environment: Environment, application: Application, internal: str, sitecustomize: bool
) -> None:
    environment.activate(application.root, sitecustomize=sitecustomize)
    (environment.site / "taken_away.py").write_text(removal(internal))
    (environment.site / "000.pth").write_text("import taken_away\n")
    script = SCRIPT.replace("import codegenie.plugins.guard\n", "")
    outcome = application.start([environment.python, "-c", script])
    assert outcome.executed == (), outcome
    assert outcome.stderr == ""
    assert outcome.stdout.splitlines()[-1] == "and runs"
    assert internal.rpartition(".")[2] in outcome.stdout


@pytest.mark.parametrize("internal", ["never tested", "_imp.create_dynamic"])
def test_status_says_that_the_interpreter_is_not_supported(
    environment: Environment, application: Application, internal: str
) -> None:
    environment.activate(application.root)
    (environment.site / "taken_away.py").write_text(removal(internal))
    (environment.site / "000.pth").write_text("import taken_away\n")
    shown = environment.guard("status", "--json")
    assert (shown.status, shown.document["state"]) == (1, "refusing")
    assert internal in shown.document["reason"]
    assert "use CPython 3.11 to 3." in shown.document["reason"]


def test_installing_into_an_unsupported_interpreter_writes_nothing(
    environment: Environment, application: Application
) -> None:
    (environment.site / "taken_away.py").write_text(removal("_imp.create_dynamic"))
    (environment.site / "000.pth").write_text("import taken_away\n")
    before = environment.listing().keys()
    done = environment.guard("install", "--root", str(application.root))
    assert done.status == 1
    assert "_imp.create_dynamic" in done.stderr
    assert {n for n in environment.listing() if "__pycache__" not in n} == {
        n for n in before if "__pycache__" not in n
    }


def test_requiring_a_guard_raises_on_an_unsupported_interpreter(application: Application) -> None:
    script = (
        "import codegenie.plugins.guard as guard\n"
        "try:\n    guard.require()\nexcept RuntimeError as error:\n    print(error)\n"
    )
    outcome = application.run(removal("never tested") + script, guarded=False)
    assert "never tested" in outcome.stdout, outcome


def test_a_locked_folder_can_be_verified_on_an_unsupported_interpreter(
    application: Application, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(removal("_imp.create_dynamic"))
    done = run_codegenie(
        "plugins",
        "verify",
        str(application.root),
        cwd=tmp_path,
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert done.status == 0, done


@pytest.mark.parametrize(
    ("internal", "command"),
    [("_json.make_scanner", "verify"), ("_json.encode_basestring_ascii", "compile")],
)
def test_a_command_that_needs_the_internal_ends_with_the_sentence(
    application: Application, tmp_path: Path, internal: str, command: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(removal(internal))
    lock = application.root / "PLUGINS.lock"
    lock.write_text(json.dumps(json.loads(lock.read_text())))  # a layout that needs the scanner
    done = run_codegenie(
        "plugins",
        command,
        str(application.root),
        cwd=tmp_path,
        environment={"PYTHONPATH": str(tmp_path)},
    )
    assert (done.status, done.stdout) == (1, "")
    assert f"lacks {internal}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
