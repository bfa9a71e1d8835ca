"""Read JSON: UTF-8 without a BOM, limited in size and depth, without duplicate keys.

No other module reads JSON. Threat: an application replaces functions of ``json``. Rule: use the C
scanner below ``json``. The package itself is never loaded, because that would take longer than
verifying a plugin.

Small documents in the layout of the project's own files are read without the scanner
(``_read_members``), because loading that takes longer than reading them.
"""

import os

from codegenie import _start
from codegenie.files import Unreadable, read_regular
from codegenie.result import Err, Ok

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from codegenie.result import Result

    JSONValue = None | bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


MAX_BYTES_OF_MEMBERS = 16 * 1024
"""The largest document that is read without the scanner, which is faster for larger ones."""


def quote(text: str) -> str:
    """Return text as a JSON string in ASCII, for writers that format JSON themselves."""
    quoted: str = _internal("encode_basestring_ascii")(text)
    return quoted


def _internal(name: str) -> "Any":
    """Return a name of ``_json``, which is loaded when a document first needs it.

    Raises:
        ImportError: this interpreter has none.
    """
    try:
        import _json

        return getattr(_json, name)
    except (ImportError, AttributeError) as error:
        raise ImportError(_start.unsupported([f"_json.{name}"])) from error


def load(
    path: "str | os.PathLike[str]", *, max_bytes: int, max_depth: int
) -> "Result[JSONValue, Unreadable]":
    """Read and parse one JSON file that an attacker may have written (rules 2.7 and 11.4).

    Args:
        path: the file. A link is not followed, and a FIFO or device is not opened.
        max_bytes: the largest accepted size, checked before and while reading.
        max_depth: how deep objects and lists may be nested; a scalar has 0.

    Returns:
        The value; or ``Unreadable`` with the path and one sentence that describes the error.

    Example:
        match safe_json.load("settings.json", max_bytes=65_536, max_depth=2):
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


def parse(data: bytes, *, max_depth: int) -> "JSONValue":
    """Parse the bytes of one JSON document.

    Raises:
        ValueError: one sentence describes the error.
    """
    if data.startswith(_BYTE_ORDER_MARK):
        raise ValueError("starts with a byte order mark; save it as UTF-8 without one")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None
    _check_depth(text, max_depth)
    if len(text) <= MAX_BYTES_OF_MEMBERS:
        members = _read_members(text)
        if members is not None:
            return members
    try:
        value, end = load_scanner()(text, _end_of_space(text, 0))
    except StopIteration as stopped:
        raise ValueError(_not_json("Expecting value", text, stopped.value)) from None
    except (ValueError, SystemError) as error:
        # The scanner raises json.JSONDecodeError, for which it loads that module. If it cannot load
        # the module, it raises SystemError. The rules below raise plain ValueErrors.
        message, at = getattr(error, "msg", ""), getattr(error, "pos", 0)
        if isinstance(error, SystemError):
            message = "it cannot be read"
        raise ValueError(_not_json(message, text, at) if message else str(error)) from None
    end = _end_of_space(text, end)
    if end != len(text):
        raise ValueError(_not_json("Extra data", text, end))
    return value


def _read_members(text: str) -> "dict[str, JSONValue] | None":
    """Read an object that is written with one member, or one bracket, on each line.

    This is the layout of ``PLUGINS.lock`` and of a pack's index. A value is a string, a whole
    number, or an object. Every text that this function reads is JSON, and its value is that of the
    scanner.

    Returns:
        None for every other text. The scanner reads it, or says why it is not JSON.
    """
    lines = text.split("\n")
    if lines[0] != "{" or lines[-1] or "\\" in text:
        return None
    whole: dict[str, JSONValue] = {}
    open_objects = [whole]
    may_end = may_continue = True
    for line in lines[1:-2]:
        parts = line.lstrip(" ").split('"')
        comma = parts[-1][-1:] == ","
        if len(parts) == 1:
            open_objects.pop()
            if not may_end or parts[0] not in ("}", "},") or not open_objects:
                return None
        else:
            value = _value_of_member(parts)
            if value is None or not may_continue or parts[1] in open_objects[-1]:
                return None
            open_objects[-1][parts[1]] = value
            if isinstance(value, dict):
                open_objects.append(value)
                may_end = may_continue = True
                continue
        may_end, may_continue = not comma, comma
    return whole if may_end and open_objects == [whole] and lines[-2] == "}" else None


def _value_of_member(parts: list[str]) -> "str | int | dict[str, JSONValue] | None":
    """Return the value of a member from its line, split at the quotes. None if it is unusual."""
    last = parts[-1]
    if parts[0] or not parts[1].isprintable():
        return None
    if len(parts) == 5 and parts[2] == ": " and last in ("", ",") and parts[3].isprintable():
        return parts[3]
    if len(parts) != 3 or last[:2] != ": ":
        return None
    if last == ": {":
        return {}
    number = last[2:].removesuffix(",")
    # Without a leading zero, and short enough that converting it takes no time.
    if number.isascii() and number.isdigit() and len(number) < 16 and number[0] in "123456789":
        return int(number)
    return 0 if number == "0" else None


def _end_of_space(text: str, index: int) -> int:
    """Return the end of the white space (RFC 8259) that starts at ``index``."""
    while text[index : index + 1] in (" ", "\t", "\n", "\r"):
        index += 1
    return index


def _not_json(message: str, text: str, index: int) -> str:
    line = text.count("\n", 0, index) + 1
    column = index - text.rfind("\n", 0, index)
    return f"is not JSON: {message} (line {line}, column {column})"


def _check_depth(text: str, max_depth: int) -> None:
    """Refuse deep nesting before the parser runs, because the parser recurses."""
    if text.count("{") + text.count("[") <= max_depth:
        return
    depth = 0
    in_string = False
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif in_string:
            escaped = character == "\\"
            in_string = character != '"'
        elif character == '"':
            in_string = True
        elif character in "{[":
            depth += 1
            if depth > max_depth:
                raise ValueError(f"is nested more than {max_depth} deep")
        elif character in "}]":
            depth -= 1


def _object_without_duplicates(pairs: "list[tuple[str, JSONValue]]") -> "dict[str, JSONValue]":
    # Threat: a reviewer reads the first of two equal keys, and the parser keeps the last. Rule:
    # refuse duplicate keys.
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


class _Rules:
    """The settings that the C scanner reads from its argument (``Modules/_json.c``).

    ``memo`` is missing, because only the scanner written in Python uses it.
    """

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_object_without_duplicates)
    array_hook = None  # the scanner reads this attribute since Python 3.15
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse_constant)


_QUESTION = '{"a": ["\\u0062", 1, true, null]} '
_ANSWER = ({"a": ["b", 1, True, None]}, len(_QUESTION) - 1)


_known_scanner: "list[Callable[[str, int], tuple[JSONValue, int]]]" = []


def load_scanner() -> "Callable[[str, int], tuple[JSONValue, int]]":
    """Return the scanner, and load and check it at the first call.

    Call it before the first document is read where nothing may be imported (``find_spec``).

    Raises:
        ImportError: the scanner is not genuine, so no plugin is imported.
    """
    if not _known_scanner:
        _known_scanner.append(_genuine_scanner(_internal("make_scanner")))
    return _known_scanner[0]


def _genuine_scanner(make_scanner: "Any") -> "Callable[[str, int], tuple[JSONValue, int]]":
    """Return a scanner that is machine code and reads a known text correctly.

    Raises:
        ImportError: the scanner is not genuine, so no lock is read and no plugin is imported.
    """
    # ``__call__`` of a class is a function if written in Python, and a slot wrapper if in C.
    in_c = type(make_scanner) is type and make_scanner.__mro__ == (make_scanner, object)
    if in_c and type(vars(make_scanner).get("__call__")) is _start.SLOT_WRAPPER:
        try:
            scan: Callable[[str, int], tuple[JSONValue, int]] = make_scanner(_Rules)
        except AttributeError as error:
            # A new version of Python reads another setting. Any value here would be a guess.
            raise ImportError(f"the JSON scanner of this interpreter is unknown: {error}") from None
        if scan(_QUESTION, 0) == _ANSWER:
            return scan
    raise ImportError("the JSON scanner of this interpreter is not what it claims to be")
