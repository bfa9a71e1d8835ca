"""Peak memory of a process, as the kernel counts it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

# The measured program replaces this one's child, so that nothing else is in the figure.
_WATCH = """
import json, os, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
json.dump(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, sys.stdout)
"""

PEAK = "peak memory over the interpreter's, MB"

_UNIT = 1_000_000 if sys.platform == "darwin" else 1_000
"""``ru_maxrss`` is in bytes on macOS and in kilobytes on Linux."""


def peak(command: Sequence[str]) -> float:
    """The peak resident size of a command, in megabytes."""
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, *command], check=True, capture_output=True, text=True
    )
    return float(json.loads(done.stdout)) / _UNIT


def peak_over_bare(command: Sequence[str]) -> float:
    """What a Python program needs at its peak over an interpreter that does nothing, in MB."""
    return peak(command) - peak([command[0], "-c", "pass"])


def shown(result: Mapping[str, object]) -> str:
    """The figure as a text for the table."""
    return f"peak +{result[PEAK]} MB"
