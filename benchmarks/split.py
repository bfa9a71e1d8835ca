"""Where the time of one guarded import goes, from within the process that imports."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping

from benchmarks import paired

SPLIT = "parts of the first import, ms"

START = "the guard's start"
MODULES = "modules of the enforcement path, and their imports"

RUNS = 7

# Each part is measured around the function that is its one home. The parts do not overlap; what
# plain Python does as well is among them (unmarshalling), and what the hook costs each event that
# it does not look at is not. Prints JSON: milliseconds by part.
PROGRAM = """
import sys
from time import perf_counter as now

def measured(part, owner, name):
    function = getattr(owner, name)
    parts.setdefault(part, 0.0)
    inside = []
    def wrapper(*args, **named):
        if inside:
            return function(*args, **named)
        inside.append(True)
        started = now()
        try:
            return function(*args, **named)
        finally:
            parts[part] += (now() - started) * 1000
            inside.clear()
    setattr(owner, name, wrapper)

parts = {}
started = now()
import codegenie.plugins.guard
parts[START] = (now() - started) * 1000

from codegenie._start.finder import GuardFinder, late_module
started = now()
own_modules = late_module("own_modules")
own_modules.load_rules()
extensions = own_modules.load("_enforce.extensions")
parts[MODULES] = (now() - started) * 1000
walk = own_modules.load("integrity.walk")
packs = own_modules.load("integrity.packs")

measured(MODULES, own_modules, "load")
measured("walk and hash the trees", walk, "walk")
measured("read the indexes of the packs", packs, "load_pack")
measured("read and hash the entries that are imported", packs.Pack, "read")
measured("unmarshal them, as plain Python does", packs, "_code_of")
measured("extension modules: read, hash, seal, link", extensions.VerifiedExtensionLoader,
         "create_module")
measured("find modules", GuardFinder, "find_spec")

sys.path.insert(0, FOLDER)
started = now()
exec(STATEMENT)
whole = (now() - started) * 1000
later = {part: time for part, time in parts.items() if part not in (START, MODULES)}
parts["the modules' own code, and importlib"] = whole - sum(later.values())
import json  # not before: it loads what would be part of the figures
print(json.dumps(parts))
"""


def of(folder: str, statement: str) -> Mapping[str, float]:
    """Milliseconds by part, medians of ``RUNS`` processes.

    Args:
        folder: which holds ``plugins``, with packs.
        statement: what imports from it.
    """
    given = (folder, statement, START, MODULES)
    code = f"FOLDER, STATEMENT, START, MODULES = {given!r}\n{PROGRAM}"
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
