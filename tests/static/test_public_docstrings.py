"""What the API pages show has an example, and each example is Python."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.static.sources import REPOSITORY

PAGES = sorted((REPOSITORY / "docs" / "reference" / "api").glob("*.md"))

WITHOUT_EXAMPLE = {
    "folded": "for the readers of names",
    "is_reserved": "for the readers of names",
    "parse_new_plugin_id": "as parse_plugin_id",
    "sha256": "as hashlib.sha256",
    "file_digest": "as hashlib.sha256",
    "sha512_digest": "as hashlib.sha512",
    "tree_digest_of_digests": "as tree_digest_of_files",
    "quote": "as json.dumps",
    "load_scanner": "for the guard's own start",
    "parse": "as load",
    "read_manifest": "for load_plugins",
}
"""Functions of those pages whose docstring needs no example, and the reason."""


def shown() -> Iterator[tuple[str, Any]]:
    """Yield the functions of the modules that a page shows, by their names."""
    for page in PAGES:
        for name, options in re.findall(
            r"^::: (\S+)\n((?:    .*\n)*)", page.read_text() + "\n", re.M
        ):
            try:
                module = import_module(name)
            except ModuleNotFoundError:
                continue  # a class, which its module's own entry shows too
            members = re.search(r"members: \[(.*)\]", options)
            if members is not None:
                names = [m for m in members[1].split(", ") if m]
            else:
                names = [
                    n
                    for n, value in vars(module).items()
                    if not n.startswith("_") and getattr(value, "__module__", "") == name
                ]
            for member in names:
                value = getattr(module, member)
                if inspect.isfunction(value):
                    yield f"{name}.{member}", value


FUNCTIONS = dict(shown())


def example(docstring: str) -> str:
    """Return the code of the section ``Example``; empty if there is none."""
    found = re.search(r"^Example:\n((?:    .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    return "" if found is None else textwrap.dedent(found[1]).rstrip() + "\n"


def test_pages_show_functions() -> None:
    assert "codegenie.plugins.guard.install" in FUNCTIONS
    assert "codegenie.plugins.loader.load_plugins" in FUNCTIONS
    assert len(FUNCTIONS) > 15


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_public_function_has_an_example_that_is_python(name: str) -> None:
    docstring = inspect.getdoc(FUNCTIONS[name]) or ""
    code = example(docstring)
    if name.rpartition(".")[2] in WITHOUT_EXAMPLE:
        assert not code, f"{name} has an example: take it out of the list of exceptions"
        return
    assert code, f"{name} has no section Example"
    assert ast.parse(code).body


def test_each_exception_is_a_function_that_a_page_shows() -> None:
    assert WITHOUT_EXAMPLE.keys() <= {name.rpartition(".")[2] for name in FUNCTIONS}


def test_example_is_found_in_a_docstring() -> None:
    assert example("Return x.\n\nExample:\n    f(1)\n") == "f(1)\n"
    assert example("Return x.") == ""
