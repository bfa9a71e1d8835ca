"""Reading the project's own source, for the fences."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src" / "codegenie"


def modules() -> dict[str, Path]:
    """Return every module of the package, by dotted name."""
    return {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(source: str, *, top_level_only: bool = False) -> set[str]:
    """Return the modules that a source imports; type-checking blocks do not count."""
    return set(_imports(ast.parse(source).body, top_level_only))


def _imports(body: list[ast.stmt], top_level_only: bool) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _imports(node.orelse, top_level_only)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and top_level_only:
            continue
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(node, field, []), top_level_only)
            for handler in getattr(node, "handlers", []):
                yield from _imports(handler.body, top_level_only)


def importers(sources: dict[str, str], *targets: str) -> set[str]:
    """Return the modules whose source imports one of ``targets``."""
    return {name for name, source in sources.items() if imports(source) & set(targets)}
