"""Tests that the guard and its commands outlast full disks, crowds and kills.

Short runs are tests like the others. ``make endurance`` sets ``ENDURANCE=long``: each test then
repeats until its part of ``ENDURANCE_MINUTES`` is over, and all figures are printed at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.fixtures.trees import PATIENCE_SECONDS

LONG = os.environ.get("ENDURANCE") == "long"
SECONDS = 60 * float(os.environ.get("ENDURANCE_MINUTES", "60")) if LONG else 0.0

_IN_SCRIPT = """
def rounds():
    import time
    end, turn = time.monotonic() + {seconds}, 0
    while turn < {at_least} or time.monotonic() < end:
        yield turn
        turn += 1
"""


def times(short: int, long: int) -> int:
    """Return how often to do something in this run."""
    return long if LONG else short


@dataclass
class Rounds:
    """The rounds of one test: a few, or as many as there is time for.

    Attributes:
        seconds: how long to repeat; 0 in a short run.
        figures: what the test reports.
    """

    seconds: float
    figures: dict[str, object]

    @property
    def patience(self) -> int:
        """The seconds after which a script of this test has hung."""
        return int(self.seconds) + PATIENCE_SECONDS

    def run(self, at_least: int) -> Iterator[int]:
        """Yield the number of each round."""
        end, turn = time.monotonic() + self.seconds, 0
        while turn < at_least or time.monotonic() < end:
            yield turn
            turn += 1

    def in_script(self, at_least: int) -> str:
        """Return the source of ``rounds``, a function that does what ``run`` does."""
        return _IN_SCRIPT.format(seconds=self.seconds, at_least=at_least)
