"""A guard that cannot be started refuses rather than vanishes: the activation file on its own.

Each test breaks the ``codegenie`` of a real environment after it was activated, and starts it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codegenie.activation.verdict import GuardState
from tests.fixtures.environments import NOT_THERE, Environment, copy_codegenie
from tests.fixtures.trees import Application, Outcome

START = "_start/audit_hook.py"

# The outcome in a program. The refusal is no ModuleNotFoundError, for each way to import.
IMPORTS = """
import sys
def attempt(how, what):
    try:
        how(what)
    except ImportError as error:
        print("refused", type(error).__name__, error.name, "|", str(error).replace("\\n", "|"))
    else:
        print("LOADED", what)
import importlib, importlib.util
def statement(name):
    exec("import " + name)
attempt(statement, "plugins.alpha.api")
attempt(importlib.import_module, "plugins.alpha.api")
attempt(importlib.import_module, "plugins")
attempt(statement, "plugins")
attempt(importlib.util.find_spec, "plugins.alpha")
import colorsys, json, pluginsx, plugins_old  # every other import passes
print("others pass")
sys.exit(7)
"""

REFUSED = ["plugins.alpha.api", "plugins.alpha.api", "plugins", "plugins", "plugins"]


def append(text: str, path: str = START) -> Callable[[Path], None]:
    def damage(package: Path) -> None:
        with (package / path).open("a") as file:
            file.write(f"\n{text}\n")

    return damage


def without(path: str) -> Callable[[Path], None]:
    def damage(package: Path) -> None:
        target = package / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    return damage


def without_late_modules(package: Path) -> None:
    for name in ("checks", "deferring", "file_checks", "folder_paths", "loaders", "shutdown"):
        (package / "_start" / f"{name}.py").unlink()


def another_version(package: Path) -> None:
    (package / "__init__.py").write_text('__version__ = "0.0.1"\n')


def empty_start(package: Path) -> None:
    (package / START).write_text("")


def raising_start(text: str) -> Callable[[Path], None]:
    return append(f"def start(settings):\n    {text}")


UNPRINTABLE = "class E(BaseException):\n    def __str__(self):\n        raise E()\n"

# Changes to the package, with the text of the refusal.
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (shutil.rmtree, NOT_THERE),
    "syntax-error": (append("def"), "SyntaxError: "),
    "another-version": (another_version, "ImportError: codegenie is 0.0.1 in "),
    "raises-at-import": (append("raise RuntimeError('boom')"), "RuntimeError: boom"),
    "raises-in-start": (raising_start("raise OSError(5, 'boom')"), "OSError: [Errno 5] boom"),
    "no-start": (append("del start"), "AttributeError: "),
    "start-of-another-shape": (append("def start(): pass"), "TypeError: "),
    "exits-at-import": (append("raise SystemExit(3)"), "SystemExit: 3"),
    "exits-in-start": (raising_start("raise SystemExit"), "SystemExit: "),
    "interrupted": (append("raise KeyboardInterrupt"), "KeyboardInterrupt: "),
    "unprintable": (append(UNPRINTABLE + "raise E()"), "reason    E|"),
    "no-init": (without("__init__.py"), NOT_THERE),
    "no-start-module": (without(START), NOT_THERE),
    "empty-start": (empty_start, "AttributeError: "),
    # The start-up path is whole: the guard is there, and finds this out at the first import.
    "no-integrity": (without("integrity"), "the plugin guard cannot load its own code"),
    "no-late-modules": (without_late_modules, "the plugin guard cannot load its own code"),
    "no-enforcement": (without("_enforce"), "the plugin guard cannot load its own code"),
}


# A thread that is in the middle of loading a module of the start, and goes on once the main thread
# waits for it, or has not waited.
RACE = """
import sys, threading
half = threading.Event()
main = threading.get_ident()
def go_on():
    frame = sys._current_frames()[main]
    while frame is not None:
        if frame.f_code.co_name == "acquire" and "_bootstrap" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return bool(getattr(sys.modules.get("sitecustomize"), "STATE", ""))
def load():
    import codegenie._start.audit_hook
threading.Thread(target=load).start()
half.wait()
"""
HALF_LOADED = """
import sys
sys.modules["race"].half.set()
while not sys.modules["race"].go_on():
    pass
"""


@pytest.fixture
def environment(tmp_path: Path, application: Application) -> Environment:
    """Return an environment in which the payload of ``application`` runs, as long as nothing
    guards it."""
    for name in ("pluginsx", "plugins_old"):
        (application.folder / f"{name}.py").write_text("")
    found = Environment(tmp_path / "env")
    outcome = application.start([found.python, "-c", "import plugins.alpha.api"])
    assert outcome.executed == ("plugins.alpha.api", "plugins.alpha.helper"), outcome
    return found


def assert_refused(outcome: Outcome, reason: str) -> None:
    assert (outcome.status, outcome.stderr) == (7, ""), outcome
    *refusals, others = outcome.stdout.splitlines()
    assert others == "others pass"
    for line, name in zip(refusals, REFUSED, strict=True):
        kind = line.split()[:2]
        assert kind == ["refused", "ImportError"], line
        assert reason in line
        assert line.split()[2] in (name, "plugins"), line
    assert outcome.executed == ()


@pytest.mark.parametrize("way", ["sitecustomize", "pth"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broken_guard_refuses(
    environment: Environment, application: Application, damage: str, way: str
) -> None:
    environment.activate(application.root, sitecustomize=way == "sitecustomize")
    break_it, reason = DAMAGE[damage]
    break_it(environment.codegenie)
    outcome = application.start([environment.python, "-c", IMPORTS])
    assert_refused(outcome, reason)
    # A start that imports no plugin does not notice.
    outcome = application.start([environment.python, "-c", "print('fine')"])
    assert (outcome.status, outcome.stdout, outcome.stderr) == (0, "fine\n", "")

    assert environment.verdict().state is GuardState.REFUSING
    copy = copy_codegenie(application.folder)  # and repaired
    shutil.rmtree(environment.codegenie, ignore_errors=True)
    copy.rename(environment.codegenie)
    outcome = application.start([environment.python, "-c", "import plugins.alpha.api"])
    assert outcome.executed == ("plugins.alpha.api", "plugins.alpha.helper"), outcome


@pytest.mark.parametrize("damage", ["missing", "raises-in-start", "no-enforcement"])
@pytest.mark.parametrize("mode", ["audit", "exit"])
def test_it_refuses_whatever_was_pinned(
    environment: Environment, application: Application, damage: str, mode: str
) -> None:
    setting = {"mode": "audit"} if mode == "audit" else {"on_refusal": "exit"}
    environment.activate(application.root, setting)
    break_it, reason = DAMAGE[damage]
    break_it(environment.codegenie)
    assert_refused(application.start([environment.python, "-c", IMPORTS]), reason)


def test_without_its_functions_that_refuse_the_file_still_refuses(
    environment: Environment, application: Application
) -> None:
    """As without the memory to compile them."""
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    file = environment.site / "sitecustomize.py"
    file.write_text(file.read_text().replace("def watch(", "def watch(("))
    code = "import colorsys\nprint('others pass')\nimport plugins.alpha.api"
    outcome = application.start([environment.python, "-c", code])
    assert (outcome.status, outcome.stdout, outcome.executed) == (1, "others pass\n", ())
    assert "name 'refusal' is not defined" in outcome.stderr


AROUND = {
    "run_path": "import runpy\nrunpy.run_path(FILE)",
    "run_path, relative": "import runpy\nrunpy.run_path('plugins/alpha/helper.py')",
    "spec_from_file_location": (
        "import importlib.util as u\ns = u.spec_from_file_location('helper', FILE)\n"
        "m = u.module_from_spec(s)\ns.loader.exec_module(m)"
    ),
    "the folder on sys.path": "import os, sys\nsys.path.insert(0, os.path.dirname(FILE))\nimport helper",
    "exec": "exec(compile(open(FILE).read(), FILE, 'exec'))",
    "through a link": (
        "import os, runpy\nos.symlink(os.path.dirname(FILE), 'link')\n"
        "runpy.run_path('link/helper.py')"
    ),
    "another finder put first": (
        "import importlib, importlib.machinery, sys\n"
        "sys.meta_path.insert(0, importlib.machinery.PathFinder)\nimport plugins.alpha.helper"
    ),
    "a package put into sys.modules": (
        "import importlib, sys, types\nsys.modules['plugins'] = p = types.ModuleType('plugins')\n"
        "p.__path__ = ['plugins']\nimportlib.import_module('plugins.alpha.helper')"
    ),
    "import_module after a statement": (
        "import importlib\ntry:\n    import plugins.alpha\nexcept ImportError:\n    pass\n"
        "importlib.import_module('plugins.alpha.helper')"
    ),
    "another finder put first, another folder, import_module": (
        "import importlib, importlib.machinery, shutil, sys\n"
        "shutil.copytree('plugins', 'elsewhere/plugins', dirs_exist_ok=True,\n"
        "                ignore=shutil.ignore_patterns('__pycache__'))\n"
        "sys.path.insert(0, 'elsewhere')\n"
        "sys.meta_path.insert(0, importlib.machinery.PathFinder)\n"
        "importlib.import_module('plugins.alpha.helper')"
    ),
    "as a script": None,
    "a str of another class": "import runpy\nclass Path(str): pass\nrunpy.run_path(Path(FILE))",
    "bytes": "import runpy\nrunpy.run_path(FILE.encode())",
    "a path object": "import pathlib, runpy\nrunpy.run_path(pathlib.Path(FILE))",
    "a working folder that is gone": (
        "import importlib.machinery, os, types\nos.mkdir('gone')\nos.chdir('gone')\n"
        "os.rmdir('../gone')\n"
        "loader = importlib.machinery.SourceFileLoader('x', '../plugins/alpha/helper.py')\n"
        "loader.exec_module(types.ModuleType('x'))"
    ),
    "above a link": (
        "import os\nos.mkdir('plugins/alpha/sub')\nos.symlink('plugins/alpha/sub', 'link')\n"
        "PATH = 'link/../helper.py'\nexec(compile(open(PATH).read(), PATH, 'exec'))"
    ),
    "a link planted in the folder, by another name of it": (
        "import os\nos.symlink('plugins/alpha', 'link')\n"
        "os.rename(FILE, 'elsewhere.py'); os.symlink('../../elsewhere.py', FILE)\n"
        "exec(compile(open('link/helper.py').read(), 'link/helper.py', 'exec'))"
    ),
    "a name in angle brackets": (
        "import os\nos.chdir('plugins/alpha')\nos.link('helper.py', '<string>')\n"
        "exec(compile(open('<string>').read(), '<string>', 'exec'))"
    ),
    "a descriptor of the folder": (
        "import os\nfolder = os.open('plugins/alpha', os.O_RDONLY)\n"
        "PATH = f'/proc/self/fd/{folder}/helper.py'\n"
        "exec(compile(open(PATH).read(), PATH, 'exec'))"
    ),
    "a loader with a path, for code that claims another": (
        "import importlib.machinery as m, types\n"
        "class Loader(m.SourceFileLoader):\n"
        "    def source_to_code(self, data, path, *more, **other):\n"
        "        return compile(data, '/elsewhere.py', 'exec', dont_inherit=True)\n"
        "Loader('x', FILE).exec_module(types.ModuleType('x'))"
    ),
}

PLANTED = """
import importlib.util, marshal, os, sys
folder = os.path.dirname(FILE)
with open(FILE) as file:
    code = compile(file.read(), "/elsewhere/fine.py", "exec")
with open(f"{folder}/planted.pyc", "wb") as file:
    file.write(importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code))
sys.path.insert(0, folder)
import planted
"""


@pytest.mark.parametrize("damage", ["missing", "raises-in-start"])
@pytest.mark.parametrize("way", AROUND)
def test_what_goes_around_the_finder_is_refused_too(
    environment: Environment, application: Application, way: str, damage: str
) -> None:
    path = str(application.plugin / "helper.py")
    code = AROUND[way]
    command = [environment.python, path]
    if code is not None:
        command = [environment.python, "-c", f"FILE = {path!r}\n{code}"]
    assert application.start(command).executed != ()
    (application.folder / "link").unlink(missing_ok=True)
    application.repair()

    environment.activate(application.root)
    break_it, reason = DAMAGE[damage]
    break_it(environment.codegenie)
    outcome = application.start(command)
    assert (outcome.status, outcome.executed) == (1, ()), outcome
    assert "ImportError: " in outcome.stderr
    assert reason in outcome.stderr


def test_script_of_the_folder_is_refused_whatever_its_name(
    environment: Environment, application: Application
) -> None:
    path = application.plugin / "helper.txt"
    path.write_text((application.plugin / "helper.py").read_text())
    ways: list[tuple[list[str], dict[str, str]]] = [
        ([str(path)], {}),
        (["-i"], {"PYTHONSTARTUP": str(path)}),
    ]
    if sys.version_info >= (3, 14):
        remote = f"import os, sys\nsys.remote_exec(os.getpid(), {str(path)!r})\nfor _ in range(1000): pass"
        ways.append((["-c", remote], {}))

    def start(way: tuple[list[str], dict[str, str]]) -> Outcome:
        return application.start([environment.python, *way[0]], environment=way[1])

    for way in ways:
        assert start(way).executed != (), way
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    for way in ways:
        outcome = start(way)
        assert outcome.executed == (), way
        assert "a script of the plugin folder is refused" in outcome.stderr, way


def test_a_library_of_the_folder_is_refused_before_it_is_opened(
    environment: Environment, application: Application
) -> None:
    application.write("alpha/library.so", b"not a library")
    command = [environment.python, "-c", "import ctypes; ctypes.CDLL('plugins/alpha/library.so')"]
    assert "OSError: plugins/alpha/library.so: " in application.start(command).stderr
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    assert "a library of the plugin folder is refused" in application.start(command).stderr


@pytest.mark.parametrize("gone", [False, True], ids=["", "without a working folder"])
def test_code_of_other_files_runs(
    environment: Environment, application: Application, gone: bool
) -> None:
    leave = "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir(os.getcwd())" if gone else ""
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    script = f"""{leave}
import collections, ctypes
print(collections.namedtuple("Pair", "one two")(1, 2), ctypes.CDLL(None) is not None)
for name in "<string>", "<x>/tool", "made/up.py", "nul" + chr(0), "page.html", "/", "", "x" * 5000:
    exec(compile("print(1)", "name", "exec").replace(co_filename=name))
"""
    outcome = application.start([environment.python, "-c", script])
    assert (outcome.stdout, outcome.stderr) == ("Pair(one=1, two=2) True\n" + "1\n" * 8, "")


def test_bytecode_of_the_folder_is_refused_without_the_package(
    environment: Environment, application: Application
) -> None:
    command = [
        environment.python,
        "-c",
        f"FILE = {str(application.plugin / 'helper.py')!r}{PLANTED}",
    ]
    assert application.start(command).executed != ()
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    outcome = application.start(command)
    assert (outcome.status, outcome.executed) == (1, ()), outcome
    assert "PermissionError: " in outcome.stderr
    assert "bytecode of the plugin folder is refused" in outcome.stderr


def test_the_refusal_says_why_and_what_to_do(
    environment: Environment, application: Application
) -> None:
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    outcome = application.start([environment.python, "-c", "import plugins.alpha.api"])
    assert outcome.stderr.partition("ImportError: ")[2].splitlines() == [
        "plugins.alpha.api is refused: the plugin guard could not be started",
        f"  reason    {NOT_THERE}'{environment.codegenie}/__init__.py'",
        f"  at        {environment.site}/sitecustomize.py",
        f"  fix       install codegenie 0.1.0 again in {environment.site}",
        f"  or        for another version: codegenie guard install --root {application.root}",
    ]


def test_plugins_that_other_start_up_code_has_loaded_are_taken_back(
    environment: Environment, application: Application
) -> None:
    (environment.site / "000.pth").write_text(
        f"import sys; sys.path.append({str(application.folder)!r}); import plugins.alpha.helper\n"
    )
    environment.activate(application.root)
    outcome = application.start([environment.python, "-c", IMPORTS])
    assert (outcome.status, outcome.stderr) == (7, "")
    assert outcome.stdout.count("refused ImportError") == 5
    assert "GuardTooLate: the plugin guard was not installed: loaded without it" in outcome.stdout
    assert outcome.executed == ("plugins.alpha.helper",)  # by the .pth file, before the guard


def test_a_copy_that_start_up_code_loaded_from_elsewhere_is_not_trusted(
    environment: Environment, application: Application, tmp_path: Path
) -> None:
    """Another copy that is in ``sys.modules`` already cannot be replaced, only refused."""
    environment.activate(application.root)
    other = copy_codegenie(tmp_path)
    (environment.site / "000.pth").write_text(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import codegenie\n"
    )
    outcome = application.start([environment.python, "-c", IMPORTS])
    assert_refused(outcome, f"ImportError: codegenie is 0.1.0 in {other}, not 0.1.0 in ")


def test_an_audit_hook_that_lets_no_other_in_does_not_open_it(
    environment: Environment, application: Application
) -> None:
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    (environment.site / "veto.py").write_text(
        "import sys\ndef hook(event, args):\n"
        "    if event == 'sys.addaudithook':\n        raise {}('no')\nsys.addaudithook(hook)\n"
    )
    (environment.site / "000.pth").write_text("import veto\n")
    text = (environment.site / "veto.py").read_text()
    for error in ("RuntimeError", "ValueError", "SystemExit"):
        (environment.site / "veto.py").write_text(text.format(error))
        outcome = application.start([environment.python, "-B", "-c", IMPORTS])
        assert_refused(outcome, "FileNotFoundError")


def test_a_copy_that_another_thread_is_loading_is_waited_for(
    environment: Environment, application: Application
) -> None:
    """Start-up code may have started a thread that imports ``codegenie``, and is not done."""
    environment.activate(application.root)
    (environment.site / "race.py").write_text(RACE)
    (environment.site / "000.pth").write_text("import race\n")
    start = environment.codegenie / START
    start.write_text(HALF_LOADED + start.read_text())
    outcome = application.start([environment.python, "-c", f"import race\n{IMPORTS}"])
    assert "LOADED plugins.alpha.api" in outcome.stdout, outcome


@pytest.mark.parametrize(
    "odd", ["sys.modules[3] = None", "sys.meta_path = tuple(sys.meta_path); import plugins.alpha"]
)
def test_what_other_start_up_code_leaves_behind_does_not_open_it(
    environment: Environment, application: Application, odd: str
) -> None:
    """Keys of ``sys.modules`` that are no names, a ``sys.meta_path`` that is no list."""
    (environment.site / "000.pth").write_text(
        f"import sys; sys.path.append({str(application.folder)!r}); {odd}\n"
    )
    assert application.start([environment.python, "-c", "import plugins.alpha.api"]).executed != ()
    environment.activate(application.root)
    whole = application.start([environment.python, "-c", IMPORTS])
    assert whole.status == 7
    assert ("LOADED plugins.alpha.api" in whole.stdout) != ("GuardTooLate" in whole.stdout), whole
    shutil.rmtree(environment.codegenie)
    outcome = application.start([environment.python, "-c", IMPORTS])
    assert_refused(outcome, NOT_THERE)
    assert outcome.executed == ()


def test_bytecode_of_the_folder_can_be_copied_while_everything_is_refused(
    environment: Environment, application: Application
) -> None:
    application.write("alpha/__pycache__/helper.cpython-311.pyc", b"whatever it is")
    environment.activate(application.root)
    shutil.rmtree(environment.codegenie)
    backup = (
        "import shutil; shutil.copytree('plugins', 'copy'); shutil.make_archive('b', 'zip', '.')"
    )
    outcome = application.start([environment.python, "-c", backup])
    assert outcome.status == 0, outcome
    copied = application.folder / "copy/alpha/__pycache__/helper.cpython-311.pyc"
    assert copied.read_bytes() == b"whatever it is"
