"""Make mutants of a module: its source with one small change, as a mistake would make it."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
class Name:
    """The name of a mutant, which stays when lines are added elsewhere.

    ``before`` is the source text that the operator changes. The operator and this text determine
    the new text. ``occurrence`` counts equal texts of one function.
    """

    module: str
    function: str
    operator: str
    before: str
    occurrence: int = 1

    def order(self, seed: int) -> str:
        """Return a sort key. It is fixed for a seed, and favors no place in a file."""
        return hashlib.sha256(repr((seed, self)).encode()).hexdigest()

    def __str__(self) -> str:
        number = f" [{self.occurrence}]" if self.occurrence > 1 else ""
        return f"{self.module}: {self.function}: {self.operator}: {self.before}{number}"


@dataclass(frozen=True)
class Mutant:
    """One change of one module: the bytes from ``start`` to ``end`` become ``text``."""

    name: Name
    line: int
    start: int
    end: int
    text: str

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"line {self.line}: {self.name}  ->  {_one_line(self.text)}"


def mutants_of(module: str, source: bytes, seed: int) -> list[Mutant]:
    """Return every mutant of a module, in the order of the seed."""
    places = _Places(source)
    seen: Counter[Name] = Counter()
    found = []
    for function, node in _executed_nodes(ast.parse(source), ""):
        for operator, changed, text in _changes(node, places):
            start, end = places.span(changed)
            name = Name(module, function, operator, _one_line(source[start:end].decode()))
            seen[name] += 1
            name = replace(name, occurrence=seen[name])
            found.append(Mutant(name, changed.lineno, start, end, text))
    return sorted(found, key=lambda mutant: mutant.name.order(seed))


def _one_line(text: str) -> str:
    return " ".join(text.split())


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


def _executed_nodes(tree: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """Yield the nodes that run, each with the dotted name of its function.

    Annotations, docstrings and blocks for type checkers do not run. Formatted strings are left
    out, because CPython 3.11 does not know the places of what is in them.
    """
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.JoinedStr):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        if isinstance(child, ast.Assign | ast.AnnAssign) and _only_for_tools(child):
            continue
        if child is getattr(tree, "annotation", None) or child is getattr(tree, "returns", None):
            continue
        inner = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{function}.{child.name}".lstrip(".")
        yield inner, child
        yield from _executed_nodes(child, inner)


def _only_for_tools(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    named = {target.id for target in targets if isinstance(target, ast.Name)}
    return bool(named & {"TYPE_CHECKING", "__all__", "__slots__"}) or (
        isinstance(node, ast.AnnAssign) and node.value is None
    )


Change = tuple[str, ast.expr | ast.stmt, str]
"""The operator, the node that it changes, and the new text."""


def _changes(node: ast.AST, places: _Places) -> Iterator[Change]:
    match node:
        case ast.Compare(ops=[operator]):
            left, right = places.text(node.left), places.text(node.comparators[0])
            yield "comparison", node, f"(({left}) {COMPARISONS[type(operator)]} ({right}))"
        case ast.BoolOp():
            other = " or " if isinstance(node.op, ast.And) else " and "
            changed = other.join(f"({places.text(value)})" for value in node.values)
            yield "and-or", node, f"({changed})"
        case ast.UnaryOp(op=ast.Not()):
            yield "not", node, f"({places.text(node.operand)})"
        case ast.BinOp() if type(node.op) in OPERATORS:
            left, right = places.text(node.left), places.text(node.right)
            yield "arithmetic", node, f"(({left}) {OPERATORS[type(node.op)]} ({right}))"
        case ast.Constant(value=bool()):
            yield "boolean", node, repr(not node.value)
        case ast.Constant(value=int()):
            yield "number", node, f"({places.text(node)} + 1)"
        case ast.If() | ast.While() | ast.IfExp() if not _negated_elsewhere(node.test):
            yield "condition", node.test, f"(not ({places.text(node.test)}))"
        case _:
            yield from _changed_statements(node)


def _negated_elsewhere(test: ast.expr) -> bool:
    """Return True if another operator already negates this condition."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Compare(
            ops=[ast.Eq() | ast.NotEq() | ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()]
        ):
            return True
    return False


def _changed_statements(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Raise():
            yield "raise", node, "pass"
        case ast.Expr(value=ast.Call()):
            yield "call", node, "pass"
        case ast.Return(value=ast.expr() as value) if not (
            isinstance(value, ast.Constant) and (value.value is None or value.value is False)
        ):
            yield "return", value, "None"
        case ast.Assign() if all(isinstance(target, ast.Attribute) for target in node.targets):
            yield "assignment", node, "pass"
        case ast.Continue():
            yield "continue", node, "break"
        case ast.Break():
            yield "break", node, "continue"
