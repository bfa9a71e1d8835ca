"""The only reader of YAML, and the only importer of ``yaml``.

Plain data only: no aliases (an alias bomb is a few hundred bytes that grow into gigabytes), no
tags that build objects, no key twice, capped in size and depth.
"""

from __future__ import annotations

import os
from typing import Any

import yaml

from codegenie.files import Unreadable, read_regular
from codegenie.result import Err, Ok, Result


class _PlainLoader(yaml.SafeLoader):
    """A ``SafeLoader`` without aliases, duplicate keys or deep nesting."""

    max_depth: int
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

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"has a key that is no text (line {line}); quote it")
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"holds the key {key!r} twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load(
    path: str | os.PathLike[str], *, max_bytes: int, max_depth: int
) -> Result[Any, Unreadable]:
    """Read and parse one file. ``max_depth`` counts nested mappings and lists; a scalar has 0."""
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
        ValueError: with one sentence on what is wrong.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None
    try:
        loader = _PlainLoader(text)
    except yaml.YAMLError as error:
        raise ValueError(_sentence(error)) from None
    loader.max_depth = max_depth
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise ValueError(_sentence(error)) from None
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        # PyYAML's constructors assume that a value is of its tag: `!!int ''` is an IndexError.
        raise ValueError(f"holds a value that is not of its tag: {error}") from None
    except RecursionError:
        # Flow collections recurse in the parser's own states before they become nodes.
        raise ValueError(f"is nested more than {max_depth} deep") from None
    finally:
        loader.dispose()


def _sentence(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        return f"is not plain YAML: {error.problem or error.context}{line}"
    return " ".join(str(error).split())
