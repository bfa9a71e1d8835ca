"""Put a refusal into words, for exceptions, log records, events and the command line alike.

The same rows have three forms: a text of lines that fit 80 columns (exceptions, the command line),
a single line (log records, which other programs cut at line ends), and fields (JSON). All three
show names from the disk, and no name may forge a line or a part of one.
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

_PATH_COLUMNS = 46
"""Columns for a path between its label and its time, if the line has 80."""

_NAMES = ("changed", "added", "removed", "newer", "locked", "at")
"""Rows whose value is a path from the disk."""


NO_SIDECAR = "no valid PLUGINS.sha256"

# The purpose of each step, in the order to take them.
_STEPS = {"diff": "review", "lock": "accept"}


def help_command(name: str) -> str:
    """Return the command that explains a kind (``integrity_mismatch``) or an exception.

    A command, because every user of an installed package has it, also without a network.
    """
    return f"codegenie explain {name}"


def last_line(refused: "Refusal") -> str:
    """Return the line that a person sees last when a refusal ends the process.

    A host prints more before it, so this line names the plugin and the command once more.
    """
    step = commands(refused).get("review") or help_command(refused.kind)
    return f"codegenie: {refused.subject} is refused, so this process ends; run: {step}"


def commands(refused: "Refusal") -> dict[str, str]:
    """Return the commands that help: ``review`` shows the change, then ``accept`` locks it.

    If a policy is pinned, an unsigned lock refuses everything, so ``sign`` follows ``accept``.
    """
    found = {_STEPS[step]: command(step, refused.root, refused.lock) for step in refused.steps}
    if refused.under_policy and "accept" in found:
        found["sign"] = f"{command('sign', refused.root, refused.lock)} --as NAME"
    return found


def command(name: str, root: str, lock: str) -> str:
    """Return a command of ``codegenie plugins`` that works from every working folder."""
    elsewhere = "" if lock == f"{root}/{LOCK_NAME}" else f" --lock {quoted(lock)}"
    return f"codegenie plugins {name} {quoted(root)}{elsewhere}"


def text(refused: "Refusal", *, most_files: int = MAX_LISTED_FILES) -> str:
    """Return the explanation as lines: what, which files and since when, and what to type."""
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
    """Return the explanation as one line, for a log.

    Paths are quoted, and the separator of the parts is replaced in all other text, so that no part
    can pretend to be another one.
    """
    parts = [refused.summary().replace("; ", ", ")]
    for label, value, when in _rows(refused):
        shown = quoted(value) if label in _NAMES else value
        if label == "fix":
            shown = shown.replace("; ", ", ")
        parts.append(f"{label}: {shown} ({when})" if when else f"{label}: {shown}")
    return "; ".join(parts)


def fields(refused: "Refusal") -> dict[str, object]:
    """Return the explanation as plain data, for JSON. Times are ISO 8601 in UTC."""
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
        "sign": step.get("sign"),
        "help": help_command(refused.kind),
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
    rows.extend(_signature_rows(refused, most_files))
    if "expected" in refused.evidence:
        rows.append(("expected", refused.evidence["expected"], ""))
        rows.append(("found", refused.evidence["actual"], ""))
    rows.append(("fix", refused.fix, ""))
    rows.extend((label, command, "") for label, command in commands(refused).items())
    rows.append(("help", help_command(refused.kind), ""))
    return rows


def _signature_rows(refused: "Refusal", most: int) -> "list[Row]":
    """Return the rows of an untrusted lock: how many signers count, then its signatures."""
    needed = refused.evidence.get("needed")
    if not needed:
        return []
    counted: tuple[str, ...] = refused.evidence["counted"]
    lines: tuple[str, ...] = refused.evidence["signatures"]
    names = shortened(", ".join(counted)) or "none"
    rows = [("signers", f"{len(counted)} of {needed} needed: {names}", "")]
    shown = lines if len(lines) <= most else lines[: most - 1]
    rows.extend(("signature", shortened(line), "") for line in shown)
    if len(lines) > len(shown):
        rows.append(("and", f"{len(lines) - len(shown)} more", ""))
    return rows


def _about(guess: "Guess") -> "Row":
    if not guess.total:
        return "files", f"not known: {NO_SIDECAR}, nothing is newer", ""
    everything = guess.total == guess.looked_at and not guess.of_folders
    label = "folders" if guess.of_folders else "files"
    count = f"all {guess.total}" if everything else guess.total
    return label, f"{count} newer than the lock, a guess: {NO_SIDECAR}", ""


def _files(refused: "Refusal") -> "tuple[list[tuple[str, int | None, str]], int]":
    """Return at most ten files as (change, time, path), and the number of all of them."""
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
