"""Where the time of one guarded import goes, from within the process that imports."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping

from benchmarks import paired

SPLIT = "parts of the first import, ms"

RUNS = 7

# Each part is measured around the function that is its one home. The parts do not overlap; what
# plain Python does as well is among them (unmarshalling), and what the hook costs each event that
# it does not look at is not. Prints JSON: milliseconds by part.
PROGRAM = """
import sys
from time import perf_counter as now

def measured(part, owner, name):
    function = getattr(owner, name)
    parts[part] = 0.0
    def wrapper(*args, **named):
        started = now()
        try:
            return function(*args, **named)
        finally:
            parts[part] += (now() - started) * 1000
    setattr(owner, name, wrapper)

parts = {}
started = now()
import codegenie.plugins.guard
parts["start: import codegenie.plugins.guard"] = (now() - started) * 1000

from codegenie._start.finder import GuardFinder
started = now()
from codegenie._enforce import enforcer, extensions, strict
from codegenie.integrity import packs, walk
parts["modules of the enforcement path, and what they need"] = (now() - started) * 1000

measured("walk and hash the trees", tree, "walk")
measured("read the indexes of the packs", packs, "load")
measured("read and hash entries of the packs", packs.Pack, "read")
measured("unmarshal entries", packs, "_code_of")
measured("extension modules: read, hash, seal, link", extensions.VerifiedExtensionLoader,
         "create_module")
measured("find modules", GuardFinder, "find_spec")

sys.path.insert(0, FOLDER)
started = now()
exec(STATEMENT)
whole = (now() - started) * 1000
parts["the rest: the modules' own code, and importlib"] = whole - sum(list(parts.values())[2:])
import json  # not before: it loads what would be part of the figures
print(json.dumps(parts))
"""


def of(folder: str, statement: str) -> Mapping[str, float]:
    """Milliseconds by part, medians of ``RUNS`` processes.

    Args:
        folder: which holds ``plugins``, with packs.
        statement: what imports from it.
    """
    code = f"FOLDER, STATEMENT = {folder!r}, {statement!r}\n{PROGRAM}"
    runs = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                check=True,
                capture_output=True,
                text=True,
                cwd="/",
                env=paired.environment(),
            ).stdout
        )
        for _ in range(RUNS + 1)
    ][1:]
    return {part: round(statistics.median(run[part] for run in runs), 2) for part in runs[0]}
