"""Find prose that a native reader has to read twice (docs/contributing/style.md, "Sentences").

``python -m tests.static.language [GROUP ...]`` lists each hit with its place.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.static.sources import REPOSITORY

CONSTRUCTIONS = {
    "a clause as a noun": r"(?:^|[.:;] +)(?:What|Whether|Where|Who|Whoever|How) (?!to\b)[^?]*$",
    "an actor without a name": (
        r"\b(?:[Ww]hoever|[Ss]omebody|[Nn]obody|[Aa]nybody|[Ww]ho cannot)\b|\bstands? between\b"
    ),
    "files that lie or stand": (
        r"\b(?:lie|lies|lay|lain|stand|stands|stood|standing) (?:in|at|on|below|beside|before"
        r"|there|for|first|behind|where|as|outside|untouched)\b"
    ),
    "code that asks or tells": (
        r"\b(?:is|are|was|be) (?:asked|told)\b|\b(?:asks|tells|judges)\b|\bjudged?\b"
    ),
    "an old word": (
        r"\b(?:anew|any more|be it|for want of|shall|meanwhile)\b"
        r"|\b[Nn]or (?:does|is|do|are)\b|\b[Ss]o (?:does|is|do|are) (?=\w+[.,;])"
        r"|\bin (?:its|their) (?:place|stead)\b|\bas (?:\S+ ){1,4}has it\b"
    ),
}
PATTERNS = {name: re.compile(pattern) for name, pattern in CONSTRUCTIONS.items()}

NOT_A_VERB = re.compile(
    r"(?:The|An?|This|That|These|Those|Each|Every|All|Any|Both|Some|No|One|Another|Its|Their|Our"
    r"|It|They|He|She|We|You|I|Nothing|Everything|Something|Anything|None"
    r"|As|At|By|For|From|In|Into|Of|On|Over|Through|Under|Up|With|Without|After|Before"
    r"|What|Whether|Where|Who|Whoever|How)\b"
)

SENTENCE_ENDS = re.compile(r"(?<=[.!?:;])\s+")
PARAGRAPH_ENDS = re.compile(r"\n\s*\n")
NOT_PROSE = re.compile(r"#\s*(?:noqa|type:|!|-{3})")
FENCED = re.compile(r"(?ms)^( *)```.*?^\1```")

# A line of the scripts that tests run. Not ast.parse(): each Python would find others.
SCRIPT = re.compile(
    r"(?m)^\s*(?:(?:lazy )?import \w+(?:$|[;,.]| as )|(?:lazy )?from \S+ import |def \w+\("
    r"|class \w+.*:$|@\w+|[\w.]+ = |[\w.]+\()"
)

# The fence's own patterns and planted sentences are no prose.
UNREAD = {Path(__file__), Path(__file__).with_name("test_language.py")}
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")


@dataclass(frozen=True)
class Passage:
    """A paragraph of a docstring, a comment, a message, or a sentence of a page."""

    place: str
    text: str
    begins_function: bool = False
    """It begins the docstring of a function that is no property."""

    def constructions(self) -> list[str]:
        """Name each construction that the passage uses."""
        sentences = SENTENCE_ENDS.split(self.text)
        return [name for name, p in PATTERNS.items() if any(p.search(s) for s in sentences)]

    def begins_without_verb(self) -> bool:
        """Return True for a docstring of a function that begins with no verb."""
        return self.begins_function and NOT_A_VERB.match(self.text) is not None


def of_code(source: str, name: str) -> Iterator[Passage]:
    """Return the docstring paragraphs, messages and comments of a Python file."""
    tree = ast.parse(source)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        for constant in _docstrings(node):
            docstrings.add(id(constant))
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            paragraphs = PARAGRAPH_ENDS.split(str(constant.value))
            for index, paragraph in enumerate(paragraphs):
                begins = index == 0 and is_function and not _is_property(node)
                yield Passage(f"{name}:{constant.lineno}", _one_line(paragraph), begins)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and id(node) not in docstrings
            and _is_message(node.value)
        ):
            yield Passage(f"{name}:{node.lineno}", _one_line(str(node.value)))
    yield from _comments(source, name)


def of_page(text: str, name: str) -> Iterator[Passage]:
    """Return the sentences of a Markdown page, without its code blocks."""
    text = FENCED.sub(lambda block: "\n" * block[0].count("\n"), text)
    line = 1
    for part in re.split(r"(\n\s*\n|\n(?= *[-*|]|\d+\.))", text):
        if part.strip():
            for sentence in SENTENCE_ENDS.split(_one_line(part)):
                yield Passage(f"{name}:{line}", sentence)
        line += part.count("\n")


def _docstrings(node: ast.AST) -> Iterator[ast.Constant]:
    body = getattr(node, "body", None)
    for statement in body if isinstance(body, list) else ():
        value = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value


def _is_property(node: ast.AST) -> bool:
    """Return True for a property: its docstring may be a noun, as an attribute's."""
    decorators = getattr(node, "decorator_list", [])
    return any(ast.unparse(decorator).endswith("property") for decorator in decorators)


def _is_message(value: object) -> bool:
    if not isinstance(value, str) or value.count(" ") < 3:
        return False
    return SCRIPT.search(value) is None


def _comments(source: str, name: str) -> Iterator[Passage]:
    """Join the comments of consecutive lines, because a sentence runs over them."""
    run: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or NOT_PROSE.match(token.string):
            continue
        if run and token.start[0] != last + 1:
            yield Passage(f"{name}:{start}", " ".join(run))
            run = []
        if not run:
            start = token.start[0]
        run.append(token.string.lstrip("# "))
        last = token.start[0]
    if run:
        yield Passage(f"{name}:{start}", " ".join(run))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _python_files(folder: str) -> list[Path]:
    return [path for path in sorted((REPOSITORY / folder).rglob("*.py")) if path not in UNREAD]


def _pages() -> list[Path]:
    return [*sorted((REPOSITORY / "docs").rglob("*.md")), *(REPOSITORY / page for page in PAGES)]


Reader = Callable[[str, str], Iterator[Passage]]
GROUPS: dict[str, tuple[Callable[[], Iterable[Path]], Reader]] = {
    "src": (lambda: _python_files("src"), of_code),
    "tests": (lambda: _python_files("tests"), of_code),
    "pages": (_pages, of_page),
}


def passages(group: str) -> list[Passage]:
    """Read every passage of ``src``, ``tests`` or ``pages``."""
    files, reader = GROUPS[group]
    return [
        passage
        for path in files()
        for passage in reader(path.read_text("utf-8"), path.relative_to(REPOSITORY).as_posix())
    ]


def sentence_hits(found: Iterable[Passage]) -> list[str]:
    """Describe each passage with a sentence to rewrite: place, constructions, text."""
    described = ((passage, passage.constructions()) for passage in found)
    return [f"{p.place}: {', '.join(names)}: {p.text[:160]}" for p, names in described if names]


def docstring_hits(found: Iterable[Passage]) -> list[str]:
    """Describe each docstring of a function that does not begin with a verb."""
    return [f"{p.place}: no verb first: {p.text[:160]}" for p in found if p.begins_without_verb()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.static.language", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"one of {', '.join(GROUPS)}")
    groups: list[str] = parser.parse_args().groups
    if unknown := [group for group in groups if group not in GROUPS]:
        parser.error(f"unknown group {unknown[0]!r}: choose from {', '.join(GROUPS)}")
    for group in groups or GROUPS:
        read = passages(group)
        sentences, docstrings = sentence_hits(read), docstring_hits(read)
        print(*sentences, *docstrings, sep="\n")
        share = 100 * len(sentences) / len(read)
        print(f"{group}: {len(sentences)} of {len(read)} passages to rewrite ({share:.1f} %),")
        print(f"    {len(docstrings)} docstrings of functions that do not begin with a verb")
    return 0


if __name__ == "__main__":
    sys.exit(main())
