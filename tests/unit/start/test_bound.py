"""Objects that an application could replace are bound at start-up; machine code differs from
Python."""

from __future__ import annotations

import _frozen_importlib
import _frozen_importlib_external
import _imp
import ast
import builtins
import hashlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from codegenie import _start, hashing
from codegenie._enforce import loaders
from codegenie.parsers import safe_json

NOT_BUILT_IN: dict[str, Callable[..., Any]] = {
    "a function": lambda data: hashlib.sha256(data),
    "a class": type("sha256", (), {}),
    "a bound method": [].append,
    "one of another module": len,
}


@pytest.mark.parametrize("name", NOT_BUILT_IN)
def test_what_is_not_machine_code_of_its_module_is_noticed(name: str) -> None:
    assert not _start.is_builtin_of(NOT_BUILT_IN[name], "_hashlib")


def test_machine_code_of_its_module_is_recognised() -> None:
    import _hashlib

    assert _start.is_builtin_of(_hashlib.openssl_sha256, "_hashlib")
    assert _start.is_builtin_of(len, "builtins")


def test_a_module_that_only_hands_on_the_function_is_not_its_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import _hashlib

    monkeypatch.setitem(sys.modules, "_hashlib", types.ModuleType("_hashlib"))
    assert not _start.is_builtin_of(_hashlib.openssl_sha256, "_hashlib")


def engine_after(size: int) -> hashing._Engine:
    """Return a new engine after this many bytes, as in a process that has not loaded OpenSSL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "_hashlib", raising=False)
        engine = hashing._Engine()
    engine.expect(size)
    return engine


def module_of(engine: hashing._Engine) -> str:
    return str(engine.new.__self__.__name__)  # type: ignore[attr-defined]


def test_few_bytes_are_hashed_without_openssl() -> None:
    assert module_of(engine_after(hashing.SWITCH_AFTER)) in ("_sha2", "_sha256")


def test_many_bytes_are_hashed_by_openssl() -> None:
    engine = engine_after(hashing.SWITCH_AFTER + 1)
    assert module_of(engine) == "_hashlib"
    assert engine.new(b"x").digest() == hashlib.sha256(b"x").digest()


def test_openssl_is_never_loaded_under_the_import_lock() -> None:
    _imp.acquire_lock()
    try:
        engine = engine_after(hashing.SWITCH_AFTER + 1)
        assert module_of(engine) in ("_sha2", "_sha256")
    finally:
        _imp.release_lock()
    engine.expect(0)
    assert module_of(engine) == "_hashlib"


def test_a_loaded_openssl_is_used_at_once() -> None:
    import _hashlib  # noqa: F401

    assert module_of(hashing._Engine()) == "_hashlib"


def test_openssl_with_another_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """MD5 is machine code of the right module, but gives another answer."""
    import _hashlib

    monkeypatch.setattr(_hashlib, "openssl_sha256", _hashlib.openssl_md5)
    for engine in (hashing._Engine(), engine_after(hashing.SWITCH_AFTER + 1)):
        assert engine.new is not _hashlib.openssl_md5
        assert engine.new(b"x").digest() == hashlib.sha256(b"x").digest()


def test_without_a_genuine_hash_nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("_hashlib", "_sha2", "_sha256"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match="no SHA-256"):
        hashing._Engine()


@pytest.mark.parametrize(
    "forged", [lambda rules: None, type("Scanner", (), {"__call__": lambda *given: ({}, 0)})]
)
def test_a_json_scanner_in_python_is_noticed(forged: object) -> None:
    with pytest.raises(ImportError, match="not what it claims to be"):
        safe_json._genuine_scanner(forged)


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (builtins, "compile"),
        (builtins, "exec"),
        (_frozen_importlib, "_call_with_frames_removed"),
        (_frozen_importlib_external, "compile"),
        (_frozen_importlib_external, "exec"),
    ],
)
def test_whatever_stands_between_bytes_and_code_is_noticed(
    holder: types.ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaders.replaced_primitive() is None
    with monkeypatch.context() as patch:
        patch.setitem(vars(holder), name, lambda *given, **named: None)
        found = loaders.replaced_primitive()
    assert found is not None
    assert found.endswith(f".{name}")
    assert loaders.replaced_primitive() is None


@pytest.mark.parametrize("name", ["__init__", "finder", "audit_hook"])
def test_functions_of_a_start_have_their_types_in_comments(name: str) -> None:
    """Each annotation is code that every start would load (record 73)."""
    source = Path(_start.__file__).with_name(f"{name}.py").read_text()
    functions = [
        node
        for node in ast.walk(ast.parse(source, type_comments=True))
        if isinstance(node, ast.FunctionDef)
    ]
    assert functions
    for function in functions:
        arguments = function.args
        assert function.type_comment, function.name
        assert not function.returns, function.name
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            assert argument.annotation is None, function.name
