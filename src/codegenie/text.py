"""Format text for people: names from the disk that cannot forge a line, shell words, times."""

import time

_LONGEST_NAME = 240
"""Characters of a name or path that a text shows, three lines of a terminal. Fields of documents
hold the whole name."""


def printable(text: str) -> str:
    """Escape everything in ``text`` that is not a visible character or a space."""
    if text.isprintable():
        return text
    # Not the codec "unicode_escape", because its module may not be imported yet.
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def shortened(text: str, limit: int = _LONGEST_NAME) -> str:
    """Return printable text of at most ``limit`` characters, with its middle left out if needed."""
    text = printable(text[:limit] + text[-limit:] if len(text) > 2 * limit else text)
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[: half - 1]}…{text[-half:]}"


def timestamp(seconds: int) -> str:
    """Return a time in ISO 8601, UTC, or ``@seconds`` if it is outside of the calendar."""
    try:
        t = time.gmtime(seconds)
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"
    return (
        f"{t.tm_year:04}-{t.tm_mon:02}-{t.tm_mday:02}T{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}Z"
    )


def quoted(value: str) -> str:
    """Quote ``value`` as one printable word of a shell command.

    Unprintable characters become escaped bytes in ``$'…'``, which is in POSIX since 2024, and in
    bash, zsh and ksh for longer.
    """
    if value and all(c.isalnum() or c in "/._-+@%:,=" for c in value):
        return value
    if value.isprintable():
        return "'" + value.replace("'", "'\"'\"'") + "'"
    return "$'" + "".join(_escaped(c) for c in value) + "'"


def _escaped(character: str) -> str:
    if character.isprintable() and character not in "'\\":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
