"""Find unquoted YAML scalars that have different values in YAML 1.1 and YAML 1.2.

``no`` is false in YAML 1.1 and text in YAML 1.2; ``012`` is ten or twelve; ``1:30`` is ninety or
text. Threat: a reviewer's tools follow one version and this project's parser the other, so the
reviewer approves another manifest than the one that is used.
"""

from __future__ import annotations

import re

WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""Lower-case words that some version of YAML does not read as text."""

# The core schema of YAML 1.2.2, section 10.3.2, in the order of its table.
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_DECIMAL = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_MAX_DIGITS = 1000
"""Fewer than Python converts to an integer; YAML has no limit."""


def value_in_yaml_1_2(text: str) -> bool | int | float | str | None:
    """Return the value that the core schema of YAML 1.2 gives an unquoted scalar."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > _MAX_DIGITS:
        return text  # differs from every value in YAML 1.1 that is not text
    for pattern, base in ((_DECIMAL, 10), (_OCTAL, 8), (_HEXADECIMAL, 16)):
        if pattern.fullmatch(text):
            return int(text.removeprefix("0o"), base)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "", 1))
    return text


def is_ambiguous(text: str, value: object) -> bool:
    """Return True if some readers give an unquoted scalar another value than ``value``.

    Args:
        text: the scalar.
        value: its value for this project's parser, which follows YAML 1.1.
    """
    if text.lower() in ("y", "n"):
        return True  # booleans in YAML 1.1, but not in every parser of it
    other = value_in_yaml_1_2(text)
    # repr, because not-a-number is not equal to itself.
    return type(value) is not type(other) or repr(value) != repr(other)
