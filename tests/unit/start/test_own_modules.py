"""Load the guard's own modules, at the first guarded import and later."""

from __future__ import annotations

import ast
import gc
import os
import py_compile
import sys
import threading
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import codegenie
from codegenie._start import own_modules
from codegenie._start.finder import GuardFinder, find_own_module, late_module
from codegenie._start.own_modules import NEEDS, RULES, Late, load
from tests.fixtures.trees import Application

HOME = Path(codegenie.__file__).parent
TEXT = "codegenie.text"


class Recorder(GuardFinder):
    """Record the files that the audit hook does not look up, and those of the code that it lets
    run."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "own_code" and value is not None:
            self.let_run.append(getattr(value, "co_filename", ""))
        if name == "own_path" and value is not None:
            self.opened.append(str(value))

    def __init__(self) -> None:
        self.let_run: list[str] = []
        self.opened: list[str] = []
        super().__init__()


@pytest.fixture
def without_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove a loaded module for the time of a test."""
    import codegenie.text

    monkeypatch.delitem(sys.modules, TEXT)
    monkeypatch.setattr(codegenie, "text", None)


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Return a guard that is not installed, and whose audit hook would let own modules run."""
    guard = Recorder()
    monkeypatch.setattr(own_modules, "the_guard", [guard])
    return guard


def imports_at_the_top(name: str) -> set[str]:
    """Return the modules of ``codegenie`` that a module imports when it is executed."""
    path = HOME / f"{name.replace('.', '/')}.py"
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("codegenie"):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = (HOME.parent / f"{full.replace('.', '/')}.py").exists()
                found.add((full if is_module else str(node.module)).removeprefix("codegenie."))
    return {name for name in found if not name.startswith(("_start", "codegenie"))}


def test_each_rule_imports_only_rules_before_it() -> None:
    for number, name in enumerate(RULES):
        assert imports_at_the_top(name) <= set(RULES[:number]), name


def test_each_late_module_names_what_it_imports() -> None:
    late = {name for path in HOME.rglob("*.py") for name in late_modules_of(path)}
    assert late >= {"text", "refusals.kinds", "_enforce.strict"}
    for name in late | set(NEEDS):
        assert imports_at_the_top(name) <= {*RULES, *all_needs(name)}, name


def all_needs(name: str) -> set[str]:
    needed = set(NEEDS.get(name, ()))
    return needed.union(*(all_needs(other) for other in needed))


def late_modules_of(path: Path) -> set[str]:
    return {
        str(node.args[0].value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "Late"
        and isinstance(node.args[0], ast.Constant)
    }


def test_first_guarded_import_searches_for_no_module_of_the_guard(
    application: Application,
) -> None:
    outcome = application.run(
        """
        import sys
        sys.addaudithook(
            lambda event, args: event == "import"
            and args[0].startswith("codegenie.")
            and print(args[0])
        )
        import plugins.alpha.api
        assert "codegenie.refusals.kinds" not in sys.modules
        assert "codegenie._enforce.strict" not in sys.modules
        """
    )
    assert (outcome.status, outcome.stdout) == (0, ""), outcome


@pytest.mark.usefixtures("without_text")
def test_loaded_module_looks_like_an_imported_one() -> None:
    spec = find_own_module(TEXT)
    assert spec is not None
    imported = module_from_spec(spec)
    loaded = load("text")
    assert sys.modules[TEXT] is loaded is codegenie.text
    for attribute in ("__file__", "__cached__", "__package__", "__path__"):
        assert getattr(loaded, attribute, 0) == getattr(imported, attribute, 0), attribute
    assert isinstance(loaded.__loader__, SourceFileLoader)
    assert loaded.__spec__ is not None
    assert (loaded.__file__, loaded.__spec__.has_location) == (str(HOME / "text.py"), True)


@pytest.mark.usefixtures("without_text")
def test_own_module_runs_at_once(guard: Recorder) -> None:
    load("text")
    assert (guard.let_run, guard.own_code) == ([str(HOME / "text.py")], None)


@pytest.mark.usefixtures("without_text")
def test_audit_hook_does_not_look_up_the_path_of_an_own_module(guard: Recorder) -> None:
    py_compile.compile(str(HOME / "text.py"), doraise=True)  # else the source is looked up too
    guard.opened.clear()
    load("text")
    assert (guard.opened, guard.own_path) == ([cache_from_source(str(HOME / "text.py"))], None)


@pytest.mark.parametrize("prefix", [None, "/srv/cache"])
def test_bytecode_of_an_own_module_is_where_cpython_has_it(
    monkeypatch: pytest.MonkeyPatch, prefix: str | None
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", prefix)
    file = str(HOME / "integrity" / "__init__.py")
    assert own_modules._cache_of(file) == cache_from_source(file)


@pytest.mark.usefixtures("without_text")
@pytest.mark.parametrize("content", [b"", b"\0" * 200])
def test_other_bytecode_is_left_to_the_loader_of_cpython(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    real = own_modules._content
    monkeypatch.setattr(
        own_modules, "_content", lambda path: content if path.endswith(".pyc") else real(path)
    )
    assert load("text").printable("a\n") == r"a\u000a"


@pytest.mark.usefixtures("without_text")
def test_bytecode_that_shrinks_while_it_is_read_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own_modules, "read", lambda descriptor, size: b"\0" * (size - 1))
    assert load("text").printable("a\n") == r"a\u000a"


@pytest.mark.usefixtures("without_text")
def test_two_threads_get_the_module_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first = ModuleType(TEXT)

    def execute(code: object, namespace: dict[str, object]) -> None:
        sys.modules[TEXT] = first  # the other thread is faster

    monkeypatch.setattr(own_modules, "execute", execute)
    assert load("text") is first


def functions_of(thread: threading.Thread) -> set[str]:
    """Return the names of the functions of importlib that a thread is in."""
    assert thread.ident is not None
    frame = sys._current_frames().get(thread.ident)
    names = set()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names


@pytest.mark.usefixtures("without_text")
def test_module_that_another_thread_imports_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    importing, go_on = threading.Event(), threading.Event()

    class SlowLoader(SourceFileLoader):
        def exec_module(self, module: ModuleType) -> None:
            importing.set()
            go_on.wait(60)
            super().exec_module(module)

    class SlowFinder:
        def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
            if name != TEXT:
                return None
            file = str(HOME / "text.py")
            return spec_from_file_location(name, loader=SlowLoader(name, file))

    monkeypatch.setattr(sys, "meta_path", [SlowFinder(), *sys.meta_path])
    other = threading.Thread(target=lambda: __import__(TEXT))
    other.start()
    assert importing.wait(60)
    found: list[ModuleType] = []
    waiting = threading.Thread(target=lambda: found.append(load("text")))
    waiting.start()
    while waiting.is_alive() and "acquire" not in functions_of(waiting):
        waiting.join(0.01)
    go_on.set()
    other.join(60)
    waiting.join(60)
    assert found == [sys.modules[TEXT]]
    assert hasattr(found[0], "printable")


def test_late_module_is_loaded_at_its_first_use(without_text: None) -> None:
    late = Late("text")
    with pytest.raises(AttributeError):
        late.__wrapped__  # noqa: B018  # what a debugger asks for loads nothing
    assert TEXT not in sys.modules
    assert late.printable("a\n") == r"a\u000a"
    assert TEXT in sys.modules


def test_late_module_that_cannot_be_loaded_is_no_absent_plugin() -> None:
    with pytest.raises(ImportError, match="cannot load its own code") as caught:
        Late("absent").name  # noqa: B018
    assert type(caught.value) is ImportError


@pytest.mark.parametrize("enabled", [True, False])
def test_new_enforcer_leaves_garbage_collection_as_it_was(enabled: bool) -> None:
    guard = GuardFinder()
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        late_module("loaders").new_enforcer(guard.claims[0])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_import_statement_finds_an_own_module_beside_the_guard() -> None:
    spec = find_own_module(TEXT)
    assert spec is not None
    assert spec.origin == str(HOME / "text.py")


@pytest.mark.parametrize(
    ("mode", "pending", "resolved"),
    [
        (None, (), False),
        ("normal", (), False),
        ("normal", ("json", "codegenie_extras"), False),
        ("normal", ("json", TEXT), True),
        ("all", (), True),
    ],
)
def test_own_modules_are_resolved_where_imports_may_be_lazy(
    monkeypatch: pytest.MonkeyPatch, mode: str | None, pending: tuple[str, ...], resolved: bool
) -> None:
    """The state of the interpreter is the one of Python 3.15, with which other tests run."""
    if mode is None:
        monkeypatch.delattr(sys, "get_lazy_imports", raising=False)
    else:
        monkeypatch.setattr(sys, "get_lazy_imports", lambda: mode, raising=False)
        monkeypatch.setattr(sys, "lazy_modules", set(pending), raising=False)
    assert own_modules._has_lazy_imports() is resolved


# A thread imports a module of the guard by an import statement, and is held in the middle of it.
FORKED_MEANWHILE = """
import os, signal, sys, threading
from codegenie._start import own_modules

reached, never = threading.Event(), threading.Event()

def hold(event, args):
    if event == "import" and args[0] == "codegenie.files" and threading.current_thread() is thread:
        reached.set()
        never.wait()

sys.addaudithook(hold)
thread = threading.Thread(target=lambda: __import__("codegenie.log_target"), daemon=True)
thread.start()
reached.wait()
child = os.fork()
if not child:
    signal.alarm(60)  # if it waits for a thread that it does not have
    print(own_modules.load("log_target").problem("fd:2") == "", flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork()")
def test_forked_child_waits_for_no_thread_that_loads_a_module(application: Application) -> None:
    outcome = application.run(FORKED_MEANWHILE, guarded=False)
    assert outcome.stdout == "True\n0\n", outcome
