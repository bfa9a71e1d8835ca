"""The internals of CPython that the guard relies on, one test for each.

A new version of CPython that changes one of them fails here first.
``docs/reference/interpreters.md`` says what to do then.
"""

from __future__ import annotations

import ast
import importlib
import runpy
import site
import sys
import zipimport
from _json import make_scanner
from pathlib import Path
from types import CodeType, FunctionType

import pytest

import codegenie
from codegenie import _start
from codegenie._enforce import interpreter
from codegenie._start.loaders import why_unsupported
from codegenie.integrity import code_objects
from codegenie.parsers import safe_json

NEWEST = ".".join(map(str, _start.NEWEST))
PACKAGE = Path(codegenie.__path__[0])

FUNCTIONS = {
    ("_frozen_importlib", "_call_with_frames_removed"): (),
    ("_frozen_importlib", "_exec"): ("spec",),
    ("_frozen_importlib", "_find_and_load_unlocked"): ("name",),
    ("_frozen_importlib", "_init_module_attrs"): (),
    ("_frozen_importlib", "_load_unlocked"): ("spec",),
    ("_frozen_importlib_external", "SourceLoader.exec_module"): ("self", "module"),
    ("_frozen_importlib_external", "SourceLoader.get_code"): (),
    ("_frozen_importlib_external", "SourceLoader.source_to_code"): (),
    ("_frozen_importlib_external", "SourcelessFileLoader.get_code"): (),
    ("runpy", "_get_code_from_file"): (),
    ("runpy", "_run_code"): ("loader", "fname"),
}
"""Functions of CPython by module and name, with the variables that the audit hook reads."""


def function(module: str, path: str) -> object:
    found: object = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


@pytest.mark.parametrize(("module", "path"), FUNCTIONS)
def test_function_has_the_variables_that_are_read(module: str, path: str) -> None:
    found = function(module, path)
    assert isinstance(found, FunctionType)
    assert set(FUNCTIONS[module, path]) <= set(found.__code__.co_varnames)


def test_importlib_keeps_its_locks_by_the_names_of_modules() -> None:
    assert type(importlib._bootstrap._module_locks) is dict  # type: ignore[attr-defined]
    assert importlib._bootstrap_external._bootstrap is importlib._bootstrap  # type: ignore[attr-defined]


def test_site_names_the_file_while_it_executes_a_line() -> None:
    held = getattr(site, "StartupState", None)
    executes = site.addpackage if held is None else held._exec_imports
    assert "fullname" in executes.__code__.co_varnames


@pytest.mark.skipif(
    not hasattr(zipimport.zipimporter, "load_module"), reason="Python 3.15 removed load_module"
)
def test_zipimporter_names_the_module_while_it_executes_it() -> None:
    code = zipimport.zipimporter.load_module.__code__
    assert {"fullname", "modpath"} <= set(code.co_varnames)


@pytest.mark.skipif(sys.version_info < (3, 15), reason="Python 3.15 adds lazy imports")
def test_import_tells_whether_it_looks_for_a_lazy_name() -> None:
    found = importlib._bootstrap._find_and_load_unlocked  # type: ignore[attr-defined]
    assert "lazy_submodule" in found.__code__.co_varnames


@pytest.mark.skipif(sys.version_info < (3, 15), reason="Python 3.15 adds lazy imports")
def test_lazy_import_has_its_type() -> None:
    assert isinstance(importlib.import_module("_types").LazyImportType, type)


@pytest.mark.parametrize(("module", "name"), interpreter.INTERNALS)
def test_internal_is_there(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("name", interpreter.CODE_ATTRIBUTES)
def test_code_object_has_the_attribute(name: str) -> None:
    assert hasattr(test_code_object_has_the_attribute.__code__, name)


def test_code_object_has_no_attribute_that_is_not_compared() -> None:
    """A part of code objects that a new version adds would go unnoticed in a forged one."""
    not_compared = {
        "co_branches",  # from co_code
        "co_lines",  # from co_linetable
        "co_lnotab",  # from co_linetable
        "co_positions",  # from co_linetable
    }
    found = {name for name in dir(CodeType) if name.startswith("co_")}
    assert found - set(interpreter.CODE_ATTRIBUTES) - not_compared == set()


def test_every_attribute_that_is_compared_is_examined() -> None:
    assert set(code_objects._FIELDS) <= set(interpreter.CODE_ATTRIBUTES)


def test_json_scanner_reads_nothing_unknown() -> None:
    rules = interpreter._Rules()
    make_scanner(rules)  # type: ignore[arg-type]
    assert set(rules.read) <= interpreter.SCANNER_READS
    assert {
        name for name in vars(safe_json._Rules) if name[:2] != "__"
    } == interpreter.SCANNER_READS


def test_nothing_is_unexpected_here() -> None:
    assert _start._unexpected == []
    assert interpreter.unexpected() == []
    assert runpy.__name__ in sys.modules  # so that its frames were examined
    assert why_unsupported() == ""


def private_imports() -> set[tuple[str, str]]:
    """Return module and name of everything that the package imports from private modules."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            is_private = any(part.startswith("_") for part in node.module.split("."))
            if is_private and not node.module.startswith(("codegenie", "__future__")):
                found |= {(node.module, alias.name) for alias in node.names}
    return found


def test_every_private_name_that_is_imported_is_examined() -> None:
    optional = {
        ("_ctypes", "dlopen"),  # without it, libraries are mirrored
        ("_hashlib", "openssl_sha256"),  # hashing takes the first genuine one, and needs one
        ("_sha2", "sha256"),
        ("_hashlib", "openssl_sha512"),  # as for SHA-256, where a policy is pinned
        ("_sha2", "sha512"),
        ("_sha256", "sha256"),
        ("_sha512", "sha512"),
        ("_thread", "get_ident"),  # what threading re-exports
        ("importlib._abc", "Loader"),  # for load_module, where CPython's loaders have it
        ("_frozen_importlib_external", "SourcelessFileLoader"),  # if only bytecode is installed
        ("_types", "LazyImportType"),  # Python 3.14 and earlier have no lazy imports
    }
    at_start = {
        ("_frozen_importlib", "ModuleSpec"),
        ("_frozen_importlib_external", "BYTECODE_SUFFIXES"),
        ("_frozen_importlib_external", "SOURCE_SUFFIXES"),
        ("_imp", "extension_suffixes"),
    }
    by_itself = {("_frozen_importlib_external", "spec_from_file_location")}  # the activation file
    examined = {*interpreter.INTERNALS, *optional, *at_start, *by_itself}
    assert private_imports() - examined == set()


def test_a_module_that_cannot_be_imported_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "_json", None)
    assert interpreter.unexpected() == ["an importable _json"]


@pytest.mark.parametrize(("module", "loaded"), [("_weakref", True), ("_json", False)])
def test_only_modules_that_each_plugin_needs_are_loaded_to_be_checked(
    monkeypatch: pytest.MonkeyPatch, module: str, loaded: bool
) -> None:
    monkeypatch.delitem(sys.modules, module)
    assert interpreter.unexpected() == []
    assert (module in sys.modules) is loaded
    monkeypatch.undo()


# --- what is said of an interpreter that is not supported -----------------------------------------


@pytest.mark.parametrize(
    ("version", "name", "unexpected", "problem"),
    [
        ((3, 10, 1), "cpython", [], "CPython 3.10.1 was never tested with this version"),
        ((3, 16, 0), "cpython", [], "CPython 3.16.0 was never tested with this version"),
        ((3, 11, 9), "pypy", [], "pypy 3.11.9 is not CPython"),
        ((3, 12, 4), "cpython", ["_imp.x", "_json.y"], "CPython 3.12.4 lacks _imp.x, _json.y"),
    ],
)
def test_sentence_tells_version_problem_and_remedy(
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, ...],
    name: str,
    unexpected: list[str],
    problem: str,
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys.implementation, "name", name)
    said = _start.unsupported(unexpected)
    monkeypatch.undo()
    assert said.startswith(problem)
    assert f"use CPython 3.11 to {NEWEST}, or install a version of codegenie" in said
    assert "\n" not in said


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 10), (3, 15, 2)])
def test_supported_versions_are_not_refused(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    said = _start.unsupported([])
    monkeypatch.undo()
    assert said == ""
