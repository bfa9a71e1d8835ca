"""The text that gets installed: what it may depend on, and that the template itself does nothing.

The tests that run it, with a whole and with a broken guard, are in
``tests/integration/test_activation_failures.py``."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from codegenie.activation import stub
from tests.static.sources import imports

SOURCE = Path(stub.__file__).read_text()

LONGEST = 250
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
