"""Tests that the guard and its commands outlast full disks, crowds and kills.

Short runs are tests like the others. ``make endurance`` sets ``ENDURANCE=long``.
"""

import os

LONG = os.environ.get("ENDURANCE") == "long"


def times(short: int, long: int) -> int:
    """Return how often to do something in this run."""
    return long if LONG else short
