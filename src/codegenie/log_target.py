"""Check the target of the event log, for the guard and for ``codegenie guard install``."""

import os
import stat

from codegenie.files import kind_of

DESCRIPTOR = "fd:"
"""The beginning of a target that is an open descriptor instead of a file."""


def problem(target: str) -> str:
    """Return why no line can be written to a target, or an empty text. Creates nothing.

    Threat: an attacker who can write to the folder of the log replaces the log with a link or a
    device. Then the process writes lines with names of the attacker's choice to another file. Rule:
    only a regular file or a FIFO receives lines, and no link is followed.
    """
    if target.startswith(DESCRIPTOR):
        return ""
    try:
        mode = os.lstat(target).st_mode
    except (OSError, ValueError):
        return ""  # it may be created later, and so may its folder
    if stat.S_ISLNK(mode):
        return "is a symbolic link, so nothing is written to it; name the file itself, or fd:N"
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode):
        return ""
    return f"is {kind_of(mode)}, so nothing is written to it; name a file, or fd:N"
