"""Keep the types of functions that every start or first guarded import loads in comments."""

from __future__ import annotations

import ast

import pytest

from codegenie._start.own_modules import RULES
from tests.static.sources import modules

WITH_A_PAGE = {"hashing", "parsers.safe_json", "result", "types.parsers"}
"""Modules of the reference, whose pages show the annotations."""

OF_THE_START = (
    "",
    ".audit_hook",
    ".checks",
    ".finder",
    ".folder_paths",
    ".loaders",
    ".own_modules",
)
LOADED = sorted(
    {f"codegenie._start{name}" for name in OF_THE_START}
    | {f"codegenie.{name}" for name in (*RULES, "_enforce.interpreter") if name not in WITH_A_PAGE}
)


@pytest.mark.parametrize("name", LOADED)
def test_functions_of_an_early_module_have_no_annotations(name: str) -> None:
    annotated = [
        node.name
        for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.returns is not None
    ]
    assert annotated == [], "each annotation is loaded at every first import: use a type comment"
