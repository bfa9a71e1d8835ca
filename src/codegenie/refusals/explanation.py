"""The words for a refusal: the one place where exception, log, event and command line get theirs.

A refusal is told three times from the same rows: as a text of lines that fit 80 columns
(exceptions, the command line), as a single line (log records, which are cut at line ends on their
way), and as fields (JSON). Names from the disk end up in all of them: none may forge a line,
nor a part of one.
"""

from codegenie._start import LOCK_NAME
from codegenie.text import printable, quoted, shortened, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from codegenie.refusals.differences import Guess
    from codegenie.refusals.record import Refusal

    # Label, value, time (or none).
    Row: TypeAlias = tuple[str, str, str]

FILES_IN_A_TRACEBACK = 5
"""Lines for files in the message of an exception. With them, and the lines of a short traceback, it
fits a terminal of 20 lines, the last of which say what to type."""

MAX_LISTED_FILES = 10
"""Files that an explanation names. ``codegenie plugins diff`` names them all."""

DOCUMENTATION = "docs/rejections.md"
"""Where every kind has its section. A path in the repository; a web address can take its place."""

_PATH_COLUMNS = 46
"""What 80 columns leave for a path between its label and its time."""

_NAMES = ("changed", "added", "removed", "newer", "locked", "at")
"""Rows whose value is a path from the disk."""


NO_SIDECAR = "no PLUGINS.sha256 proves itself"

# What each step of a command line is for, in the order to take them.
_STEPS = {"diff": "review", "lock": "accept"}


def anchor(name: str) -> str:
    """The section about a kind (``integrity_mismatch``) or an exception (``guard_too_late``)."""
    return f"{DOCUMENTATION}#{name.replace('_', '-')}"


def commands(refused: "Refusal") -> dict[str, str]:
    """What to type, in this order: ``review`` shows what differs, ``accept`` locks it."""
    return {_STEPS[step]: command(step, refused.root, refused.lock) for step in refused.steps}


def command(name: str, root: str, lock: str) -> str:
    """One of ``codegenie plugins``, as it is typed in a shell from whatever folder."""
    elsewhere = "" if lock == f"{root}/{LOCK_NAME}" else f" --lock {quoted(lock)}"
    return f"codegenie plugins {name} {quoted(root)}{elsewhere}"


def text(refused: "Refusal", *, most_files: int = MAX_LISTED_FILES) -> str:
    """The whole story, as lines: what, which files and since when, and what to type."""
    rows = _rows(refused, most_files)
    # The times in one column, where the longest of the paths before them leaves room for it.
    width = min(_PATH_COLUMNS, max((len(value) for _, value, when in rows if when), default=0))
    return "\n".join(
        [
            refused.summary(),
            *(
                f"  {label:<9} {f'{value:<{width}}  {when}' if when else value}"
                for label, value, when in rows
            ),
        ]
    )


def line(refused: "Refusal") -> str:
    """The same in one line, for a log. Paths are quoted, and no other text keeps what tells the
    parts apart, so that none of them can pretend to be another part of the line."""
    parts = [refused.summary().replace("; ", ", ")]
    for label, value, when in _rows(refused):
        shown = quoted(value) if label in _NAMES else value
        if label == "fix":
            shown = shown.replace("; ", ", ")
        parts.append(f"{label}: {shown} ({when})" if when else f"{label}: {shown}")
    return "; ".join(parts)


def fields(refused: "Refusal") -> dict[str, object]:
    """The same as plain data, for JSON. Paths of files are as they are, times ISO 8601 in UTC."""
    known, guess = refused.differences, refused.guess
    listed, total = _files(refused)
    step = commands(refused)
    return {
        "summary": refused.summary(),
        "differences": "known" if known is not None else None if guess is None else "guess",
        "files": [
            {"change": change, "path": path, "since": _time(seconds) or None}
            for change, seconds, path in listed
        ],
        "more_files": total - len(listed),
        "location": printable(refused.location),
        "since": _time(refused.since) or None,
        "lock": printable(refused.lock) or None,
        "lock_written": _time(refused.lock_written) or None,
        "fix": refused.fix,
        "review": step.get("review"),
        "accept": step.get("accept"),
        "help": anchor(refused.kind),
    }


def _rows(refused: "Refusal", most_files: int = MAX_LISTED_FILES) -> "list[Row]":
    rows: list[Row] = []
    listed, total = _files(refused)
    if len(listed) > most_files:
        listed = listed[: most_files - 1]  # one line less, for how many more there are
    guess = refused.guess
    if guess is not None:
        rows.append(_about(guess))
    rows.extend((change, shortened(path), _time(seconds)) for change, seconds, path in listed)
    if total > len(listed) and (guess is None or most_files < MAX_LISTED_FILES):
        rows.append(("and", f"{total - len(listed)} more", ""))
    if refused.lock_written is not None and refused.location != refused.lock:
        beside = refused.lock == f"{refused.root}/{LOCK_NAME}"  # the other rows name that folder
        rows.append(
            (
                "locked",
                LOCK_NAME if beside else shortened(refused.lock),
                _time(refused.lock_written),
            )
        )
    since = "" if listed else _time(refused.since)
    rows.append(("at", shortened(refused.location), since))
    if "expected" in refused.evidence:
        rows.append(("expected", refused.evidence["expected"], ""))
        rows.append(("found", refused.evidence["actual"], ""))
    rows.append(("fix", refused.fix, ""))
    rows.extend((label, command, "") for label, command in commands(refused).items())
    rows.append(("help", anchor(refused.kind), ""))
    return rows


def _about(guess: "Guess") -> "Row":
    if not guess.total:
        return "files", f"not known: {NO_SIDECAR}, nothing is newer", ""
    everything = guess.total == guess.looked_at and not guess.of_folders
    label = "folders" if guess.of_folders else "files"
    count = f"all {guess.total}" if everything else guess.total
    return label, f"{count} newer than the lock, a guess: {NO_SIDECAR}", ""


def _files(refused: "Refusal") -> "tuple[list[tuple[str, int | None, str]], int]":
    """At most ten files as (what happened, since when, path), and how many there are."""
    known, guess = refused.differences, refused.guess
    if known is not None:
        pairs = known.labelled()
        return [(change, known.times.get(path), path) for change, path in pairs], len(known)
    if guess is not None:
        times = guess.times.items()
        return [("newer", seconds, path or "./") for path, seconds in times], guess.total
    return [], 0


def _time(seconds: int | None) -> str:
    return "" if seconds is None else timestamp(seconds)
