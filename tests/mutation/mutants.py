"""Make mutants of a module: its source with one small change, as a mistake would make it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
    ast.Mult: "+",
    ast.FloorDiv: "*",
    ast.Mod: "+",
}


@dataclass(frozen=True)
class Mutant:
    """One change of one module: the bytes from ``start`` to ``end`` become ``text``."""

    module: str
    line: int
    start: int
    end: int
    before: str
    text: str

    @property
    def order(self) -> str:
        """A key that puts mutants in an order that is fixed, and that no place in a file favors."""
        return hashlib.sha256(
            repr((self.module, self.before, self.text, self.line)).encode()
        ).hexdigest()

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:100] for text in (self.before, self.text))
        return f"{self.module}:{self.line}: {before}  ->  {after}"


def mutants_of(module: str, source: bytes) -> list[Mutant]:
    """Return every mutant of a module, in the fixed order."""
    places = _Places(source)
    found = []
    for node in _executed_nodes(ast.parse(source)):
        for changed, text in _changes(node, places):
            start, end = places.span(changed)
            before = source[start:end].decode()
            if before != text:
                found.append(Mutant(module, changed.lineno, start, end, before, text))
    return sorted(set(found), key=lambda mutant: mutant.order)


class _Places:
    def __init__(self, source: bytes) -> None:
        self.source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()


def _executed_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run: no annotations, docstrings, or blocks for type checkers."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Assign | ast.AnnAssign) and _only_for_tools(child):
            continue
        if child is getattr(tree, "annotation", None) or child is getattr(tree, "returns", None):
            continue
        yield child
        yield from _executed_nodes(child)


def _only_for_tools(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    named = {target.id for target in targets if isinstance(target, ast.Name)}
    return bool(named & {"TYPE_CHECKING", "__all__", "__slots__"}) or (
        isinstance(node, ast.AnnAssign) and node.value is None
    )


def _changes(node: ast.AST, places: _Places) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    match node:
        case ast.Compare():
            yield from _compared(node, places)
        case ast.BoolOp():
            other = " or " if isinstance(node.op, ast.And) else " and "
            yield node, "(" + other.join(f"({places.text(value)})" for value in node.values) + ")"
        case ast.UnaryOp(op=ast.Not()):
            yield node, f"({places.text(node.operand)})"
        case ast.BinOp() if type(node.op) in OPERATORS:
            left, right = places.text(node.left), places.text(node.right)
            yield node, f"(({left}) {OPERATORS[type(node.op)]} ({right}))"
        case ast.Constant(value=bool()):
            yield node, repr(not node.value)
        case ast.Constant(value=int()):
            yield node, f"({places.text(node)} + 1)"
        case ast.If() | ast.While() | ast.IfExp():
            yield node.test, f"(not ({places.text(node.test)}))"
        case _:
            yield from _changed_statements(node)


def _compared(node: ast.Compare, places: _Places) -> Iterator[tuple[ast.expr, str]]:
    if len(node.ops) == 1:
        left, right = places.text(node.left), places.text(node.comparators[0])
        yield node, f"(({left}) {COMPARISONS[type(node.ops[0])]} ({right}))"


def _changed_statements(node: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    match node:
        case ast.Raise():
            yield node, "pass"
        case ast.Expr(value=ast.Call()):
            yield node, "pass"
        case ast.Return(value=ast.expr() as value) if not (
            isinstance(value, ast.Constant) and value.value is None
        ):
            yield value, "None"
        case ast.Assign() if all(isinstance(target, ast.Attribute) for target in node.targets):
            yield node, "pass"
        case ast.Continue():
            yield node, "break"
        case ast.Break():
            yield node, "continue"
