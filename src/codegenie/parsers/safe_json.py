"""The only reader of JSON: UTF-8 without a BOM, capped in size and depth, no key twice."""

import json
import os

from codegenie.files import Unreadable, read_regular
from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from codegenie.result import Result

    JSONValue = None | bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def load(
    path: "str | os.PathLike[str]", *, max_bytes: int, max_depth: int
) -> "Result[JSONValue, Unreadable]":
    """Read and parse one file. ``max_depth`` counts nested objects and lists; a scalar has 0."""
    name = os.fspath(path)
    data = read_regular(name, max_bytes=max_bytes)
    if isinstance(data, Err):
        return data
    try:
        return Ok(parse(data.value, max_depth=max_depth))
    except ValueError as error:
        return Err(Unreadable(name, str(error)))


def parse(data: bytes, *, max_depth: int) -> "JSONValue":
    """Parse the bytes of one JSON document.

    Raises:
        ValueError: with one sentence on what is wrong.
    """
    if data.startswith(_BYTE_ORDER_MARK):
        raise ValueError("starts with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None
    _check_depth(text, max_depth)
    try:
        value: JSONValue = json.loads(
            text, object_pairs_hook=_object_without_duplicates, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        raise ValueError(
            f"is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    return value


def _check_depth(text: str, max_depth: int) -> None:
    """Refuse deep nesting before the parser, which recurses, sees it."""
    if text.count("{") + text.count("[") <= max_depth:
        return
    depth = 0
    in_string = False
    escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "{[":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"is nested more than {max_depth} deep")
        elif character in "}]":
            depth -= 1


def _object_without_duplicates(pairs: "list[tuple[str, JSONValue]]") -> "dict[str, JSONValue]":
    # A parser that keeps the last of two equal keys lets a reviewer read one and run the other.
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"holds the key {key[:200]!r} twice")
            seen.add(key)
    return value


def _refuse_constant(name: str) -> "JSONValue":
    raise ValueError(f"holds {name}, which is not JSON")
