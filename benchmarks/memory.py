"""Peak memory of a Python program, as the kernel counts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

PEAK = "peak memory over the interpreter's, MB"

# Not getrusage(): what that counts begins with the memory of the process that forked.
_TELL = """
with open("/proc/self/status") as _status:
    print(next(line for line in _status if line.startswith("VmHWM")).split()[1])
"""


def peak_over_bare(python: str, code: str) -> float | None:
    """What a program needs at its peak over one that does nothing, in MB.

    ``None`` where there is no ``/proc``.
    """
    if not Path("/proc/self/status").exists():
        return None
    return round(_peak(python, code) - _peak(python, ""), 1)


def _peak(python: str, code: str) -> float:
    done = subprocess.run([python, "-c", code + _TELL], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1000
