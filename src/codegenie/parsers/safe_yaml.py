"""Read YAML as plain data. No other module imports ``yaml``.

Aliases are refused, because a few hundred bytes of them expand to gigabytes. So are tags that build
objects, and duplicate keys. Size and depth are limited. Threat: a reviewer's tools follow YAML 1.2
and show another value than this parser of YAML 1.1 reads. Rule: refuse values that differ.
"""

from __future__ import annotations

import os
import re
from typing import Any

import yaml

from codegenie.files import Unreadable, read_regular
from codegenie.parsers.yaml_scalars import is_ambiguous
from codegenie.result import Err, Ok, Result

MAX_SHOWN = 100
"""Characters of a value that a message shows."""

_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAG = "tag:yaml.org,2002:str"
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "null", "bool", "int", "float", "timestamp")
)


class Ambiguous(ValueError):
    """A document that means different data in YAML 1.1 and YAML 1.2.

    ``value`` is the data that this reader got, so a caller can write a more precise message.
    """

    def __init__(self, detail: str, value: object) -> None:
        super().__init__(detail)
        self.value = value


class _PlainLoader(yaml.SafeLoader):
    """A ``SafeLoader`` without aliases, duplicate keys, deep nesting or ambiguities."""

    max_depth: int
    ambiguity = ""
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            line = self.get_mark().line + 1
            raise yaml.YAMLError(f"uses an alias (line {line}); write the value out")
        self._depth += 1
        if self._depth > self.max_depth and not self.check_event(yaml.ScalarEvent):
            raise yaml.YAMLError(f"is nested more than {self.max_depth} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def compose_scalar_node(self, anchor: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_scalar_node(anchor)
        untyped = event.tag is None and event.style is not None
        node.is_text = untyped or event.tag == _TEXT_TAG  # type: ignore[attr-defined]
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        value = super().construct_object(node, deep=deep)
        has_type = isinstance(node, yaml.ScalarNode) and not node.is_text  # type: ignore[attr-defined]
        if has_type and node.tag in _TAGS and is_ambiguous(node.value, value):
            self.ambiguity = self.ambiguity or (
                f"holds {_shown(node.value)} (line {node.start_mark.line + 1}), which YAML 1.1 and "
                "YAML 1.2 read as different values; put it in quotes"
            )
        return value

    def process_directives(self) -> Any:
        if self.check_token(yaml.DirectiveToken):
            line = self.peek_token().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"is not plain YAML: it holds a directive (line {line})")
        return super().process_directives()  # type: ignore[no-untyped-call]

    def check_key(self) -> Any:
        self._check_indicator("?")
        return super().check_key()

    def check_value(self) -> Any:
        self._check_indicator(":")
        return super().check_value()

    def _check_indicator(self, indicator: str) -> None:
        """Refuse ``[:b]`` and ``[?b]``, which this parser reads as pairs and YAML 1.2 as text."""
        if not self.flow_level or self.peek(1) in "\0 \t\r\n,[]{}":
            return
        last = self.tokens[-1] if self.tokens else None
        ends_json = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken)
        quoted = isinstance(last, yaml.ScalarToken) and not last.plain
        if indicator == ":" and (quoted or isinstance(last, ends_json)):
            return  # {"a":b} is the same pair in both
        line = self.get_mark().line + 1
        raise yaml.YAMLError(f"needs a space after {indicator!r} (line {line}), or quotes")

    def _construct_key(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.tag not in (_TEXT_TAG, _MERGE_TAG):
            return None  # not text in YAML 1.1, even if it is in YAML 1.2
        return self.construct_object(node, deep=True)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE_TAG:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(
                    f"is not plain YAML: {key_node.value!r} (line {line}) merges mappings in YAML "
                    "1.1 only; write the fields out, or put it in quotes"
                )
            key = self._construct_key(key_node)
            if not isinstance(key, str):
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"has a key that is no text (line {line}); quote it")
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"holds the key {_shown(key)} twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load(
    path: str | os.PathLike[str], *, max_bytes: int, max_depth: int
) -> Result[Any, Unreadable]:
    """Read and parse one YAML file that an attacker may have written (rules 2.7 and 11.4).

    Args:
        path: the file. A link is not followed, and a FIFO or device is not opened.
        max_bytes: the largest accepted size, checked before and while reading.
        max_depth: how deep mappings and lists may be nested; a scalar has 0.

    Returns:
        The value; or ``Unreadable`` with the path and one sentence that describes the error.

    Example:
        match safe_yaml.load("settings.yaml", max_bytes=65_536, max_depth=2):
            case Ok(settings):
                print(settings)
            case Err(problem):
                print(problem)
    """
    name = os.fspath(path)
    data = read_regular(name, max_bytes=max_bytes)
    if isinstance(data, Err):
        return data
    try:
        return Ok(parse(data.value, max_depth=max_depth))
    except ValueError as error:
        return Err(Unreadable(name, str(error)))


def parse(data: bytes, *, max_depth: int) -> Any:
    """Parse the bytes of one YAML document.

    Raises:
        Ambiguous: YAML 1.1 and YAML 1.2 give a value different meanings.
        ValueError: one sentence describes the error.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None
    _check_line_breaks(text)
    try:
        loader = _PlainLoader(text)
    except yaml.YAMLError as error:
        raise ValueError(_sentence(error)) from None
    loader.max_depth = max_depth
    try:
        value = loader.get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(_sentence(error)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # PyYAML's constructors do not check that a value fits its tag: `!!int ''` is an IndexError.
        raise ValueError(f"holds a value that is not of its tag: {error}") from None
    except RecursionError:
        # Flow collections recurse in the parser's states before they become nodes.
        raise ValueError(f"is nested more than {max_depth} deep") from None
    finally:
        loader.dispose()
    if loader.ambiguity:
        raise Ambiguous(loader.ambiguity, value)
    return value


# Characters that end a line in YAML 1.1 only, or that editors show as a part of a line.
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029]|\r(?!\n)|(?<!^)\ufeff")


def _check_line_breaks(text: str) -> None:
    """Refuse characters that end a line for some readers only.

    Threat: an editor shows a comment, and the parser reads a field after such a character.

    Raises:
        ValueError: the text contains one.
    """
    found = _OTHER_BREAKS.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise ValueError(
            f"holds U+{ord(found[0]):04X} (line {line}), which ends a line for some readers only; "
            "end lines with a line feed, and write the character as an escape in double quotes"
        )


def _shown(text: str) -> str:
    shown = repr(text)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"


def _sentence(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        return f"is not plain YAML: {error.problem or error.context}{line}"
    return " ".join(str(error).split())
