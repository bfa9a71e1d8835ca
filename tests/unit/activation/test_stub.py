"""The text that gets installed: what it may depend on, and that the template itself does nothing.

The tests that run it, with a whole and with a broken guard, are in
``tests/integration/test_activation_failures.py``."""

from __future__ import annotations

import ast
import errno
import importlib.machinery
import os
import py_compile
import subprocess
import sys
import types
from pathlib import Path

import pytest

from codegenie.activation import stub
from tests.static.sources import imports

SOURCE = Path(stub.__file__).read_text()

EXTERNAL = vars(sys.modules["_frozen_importlib_external"])

LONGEST = 280
"""In lines, because the reviewer of an environment reads all of it."""


def test_it_stands_alone() -> None:
    """The interpreter has loaded all of these before ``site`` runs anything."""
    loaded = {"_frozen_importlib", "_frozen_importlib_external", "os", "sys"}
    assert {name.partition(".")[0] for name in imports(SOURCE)} == loaded


def test_it_loads_codegenie_where_every_failure_is_caught() -> None:
    (activate,) = [
        node
        for node in ast.parse(SOURCE).body
        if isinstance(node, ast.FunctionDef) and node.name == "activate"
    ]
    (guarded,) = [node for node in activate.body if isinstance(node, ast.Try)]
    (handler,) = guarded.handlers
    assert isinstance(handler.type, ast.Name)
    assert handler.type.id == "BaseException"
    assert _loads(guarded.body) == _loads(ast.parse(SOURCE).body) > 0


def _loads(nodes: list[ast.stmt]) -> int:
    return sum(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load"
        for statement in nodes
        for node in ast.walk(statement)
    )


def test_it_is_short() -> None:
    assert len(SOURCE.splitlines()) <= LONGEST


def test_the_template_itself_activates_nothing() -> None:
    code = (
        "import sys\nbefore = list(sys.meta_path)\nimport codegenie.activation.stub as stub\n"
        "print(stub.STATE, sys.meta_path == before, 'codegenie.plugins.guard' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (" True False\n", "")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.py"
    path.write_text("VALUE = 1\n")
    return path


def compiled(module: Path, mode: str = "TIMESTAMP", shown_as: str | None = None) -> Path:
    invalidation = py_compile.PycInvalidationMode[mode]
    written = py_compile.compile(str(module), None, shown_as, True, -1, invalidation)
    assert written is not None
    return Path(written)


def code_in(bytecode: Path | str, source: Path) -> types.CodeType | None:
    code: types.CodeType | None = stub.of_bytecode(str(source), str(bytecode), EXTERNAL)
    return code


def test_usual_bytecode_is_executed_as_by_cpythons_loader(module: Path) -> None:
    code = code_in(compiled(module, shown_as="/elsewhere.py"), module)
    loaded = importlib.machinery.SourceFileLoader("module", str(module)).get_code("module")
    assert code is not None
    assert code == loaded
    assert code.co_filename == str(module)


@pytest.mark.parametrize("mode", ["CHECKED_HASH", "UNCHECKED_HASH"])
def test_bytecode_with_a_hash_is_left_to_cpythons_loader(module: Path, mode: str) -> None:
    assert code_in(compiled(module, mode), module) is None


def test_bytecode_of_another_source_is_left_to_cpythons_loader(module: Path) -> None:
    bytecode = compiled(module)
    written = module.stat().st_mtime
    os.utime(module, (written, written + 1))
    assert code_in(bytecode, module) is None
    module.write_text("VALUE = 10\n")
    os.utime(module, (written, written))
    assert code_in(bytecode, module) is None


@pytest.mark.parametrize("at", range(4))
def test_bytecode_of_another_version_is_left_to_cpythons_loader(module: Path, at: int) -> None:
    bytecode = compiled(module)
    data = bytearray(bytecode.read_bytes())
    data[at] ^= 1
    bytecode.write_bytes(data)
    assert code_in(bytecode, module) is None


def test_missing_bytecode_is_left_to_cpythons_loader(module: Path) -> None:
    assert code_in("", module) is None
    assert code_in(module.with_suffix(".pyc"), module) is None
    assert stub.of_bytecode(str(module), str(module), {}) is None


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a folder that an activation guards, whose guard is not started."""
    folder = tmp_path / "plugins"
    (folder / "alpha").mkdir(parents=True)
    guarded = {"root": str(folder), "package": "plugins", "others": "refuse"}
    monkeypatch.setattr(stub, "SETTINGS", {"folders": [guarded]})
    return str(folder)


@pytest.mark.parametrize(
    ("flags", "refused"),
    [(os.O_RDONLY, True), (os.O_RDWR, True), (os.O_RDWR | os.O_CREAT, True), (os.O_WRONLY, False)],
)
def test_bytecode_is_not_read_by_code_that_can_run_it(root: str, flags: int, refused: bool) -> None:
    def ask(path: str) -> None:
        marshal = None  # the name that shows what the caller can do  # noqa: F841
        stub.watch("open", (path, None, flags))

    ask(f"{root}/alpha/api.py")
    ask(f"{root}-other/alpha/api.pyc")
    if refused:
        with pytest.raises(PermissionError, match="bytecode of the plugin folder") as caught:
            ask(f"{root}/alpha/api.pyc")
        assert caught.value.errno == errno.EACCES
    else:
        ask(f"{root}/alpha/api.pyc")


@pytest.mark.parametrize(
    ("event", "arguments", "refused"),
    [
        ("import", ("plugins.alpha", None), True),
        ("import", ("plugins_of_others", None), False),
        ("import", ("_fast", "{root}/alpha/_fast.so"), True),
        ("cpython.run_file", ("{root}/alpha/api.py",), True),
        ("cpython.run_file", ("{root}/../application.py",), False),
        ("ctypes.dlopen", ("{root}/alpha/libx.so",), True),
        ("ctypes.dlopen", ("libx.so",), False),
        ("ctypes.dlopen", (None,), False),
        ("sqlite3.load_extension", (None, "{root}/alpha/libx.so"), True),
        ("sqlite3.load_extension", ("{root}/alpha/libx.so", "/lib/libx.so"), False),
    ],
)
def test_events_of_the_folder_are_refused(
    root: str,
    monkeypatch: pytest.MonkeyPatch,
    event: str,
    arguments: tuple[str | None, ...],
    refused: bool,
) -> None:
    monkeypatch.chdir(f"{root}/alpha")  # a name without a slash is not in the working folder
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    given = tuple(text and text.format(root=root) for text in arguments)
    if refused:
        with pytest.raises(ImportError, match="the plugin guard could not be started"):
            stub.watch(event, given)
    else:
        stub.watch(event, given)


@pytest.mark.parametrize(
    ("package", "names", "name", "claimed"),
    [
        ("plugins", (), "plugins", True),
        ("plugins", (), "plugins.alpha", True),
        ("plugins", (), "pluginsx", False),
        ("a.b", (), "a", False),
        ("a.b", (), "a.b.c", True),
        ("", ("tool",), "tool.part", True),
        ("", ("tool",), "tools", False),
        (None, ("tool",), "tool", False),
    ],
)
def test_a_folder_claims_the_modules_of_its_package(
    package: str | None, names: tuple[str, ...], name: str, claimed: bool
) -> None:
    assert stub.claims({"package": package, "names": names}, name) is claimed


@pytest.mark.parametrize(
    ("entry", "others", "names", "guarded"),
    [
        ("alpha/api.py", "refuse", None, True),
        ("alpha/api.py", "refuse", ["beta"], True),
        ("alpha/api.py", "leave", None, True),
        ("alpha/api.py", "leave", ["alpha"], True),
        ("alpha.py", "leave", ["alpha"], True),
        ("beta/api.py", "leave", ["alpha"], False),
        ("alphabet/api.py", "leave", ["alpha"], False),
    ],
)
def test_in_a_shared_folder_only_units_of_the_lock_are_guarded(
    tmp_path: Path, entry: str, others: str, names: list[str] | None, guarded: bool
) -> None:
    folder = {"root": str(tmp_path), "others": others}
    if names is not None:
        folder["names"] = names  # type: ignore[assignment]
    assert stub.is_in_folder(f"{tmp_path}/{entry}", folder) is guarded
    assert not stub.is_in_folder(f"{tmp_path}-other/{entry}", folder)


def test_without_proc_a_folder_has_its_own_path(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_link = os.readlink

    def without_proc(path: str) -> str:
        if path.startswith("/proc/"):
            raise FileNotFoundError(errno.ENOENT, "there is no /proc")
        return read_link(path)

    (tmp_path / "link").symlink_to("plugins")
    monkeypatch.setattr(os, "readlink", without_proc)
    monkeypatch.chdir(tmp_path)
    assert stub.real_folder("link") == os.path.realpath(root)
    assert stub.real_folder("link/alpha") == os.path.realpath(f"{root}/alpha")
    assert stub.real_folder("") == os.path.realpath(tmp_path)


@pytest.mark.parametrize(
    ("package", "claim"),
    [("plugins", ""), (None, " --no-package"), ("a.b", " --package 'a.b'"), ("", " --package ''")],
)
def test_refusal_names_the_command_for_its_folder(
    monkeypatch: pytest.MonkeyPatch, package: str | None, claim: str
) -> None:
    folder = {"root": "/srv/folder", "package": package}
    monkeypatch.setattr(stub, "SETTINGS", {"folders": [folder]})
    assert stub.again() == f"codegenie guard install --root /srv/folder{claim}"
    monkeypatch.setattr(stub, "SETTINGS", {"folders": [folder, folder]})
    assert stub.again() == "codegenie guard install --config codegenie.toml"
