"""The picture of the README shows what the commands print today."""

from __future__ import annotations

import subprocess
import sys

from tests.fixtures.environments import clean_environment
from tests.static.sources import REPOSITORY


def test_the_picture_of_a_refusal_is_current() -> None:
    script = str(REPOSITORY / "scripts" / "draw_refusal.py")
    done = subprocess.run(
        [sys.executable, script, "--check"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
