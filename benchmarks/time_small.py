"""What the guard adds to a small program: its start, its first plugin, and further folders.

Processor time of whole processes that take turns, because the differences are small. The cost of a
further folder for an unrelated import is measured within one process.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.environments import environment, guarded_environment
from benchmarks.packages import MANIFEST, codegenie

ROUNDS = 40
FOLDERS = 10

START = """
from codegenie._start.audit_hook import start
start({{"folders": {folders!r}, "scope": "all", "mode": "enforce", "on_refusal": "raise"}})
"""

# The finder and the hook see each unrelated name once; both are called without an import.
UNRELATED = """
import sys, time
find, rounds = sys.meta_path[0].find_spec, range(200_000)
def once():
    begin = time.thread_time()
    for _ in rounds:
        find("some.unrelated.module", None)
        sys.audit("import", "some.unrelated.module", None, None, None, None)
    return (time.thread_time() - begin) / len(rounds) * 1e9
once()
print(min(once() for _ in range(5)))
"""


def main() -> None:
    """Print and save the figures of this Python."""
    print(f"a small program, Python {sys.version.split()[0]}, medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as temporary:
        results = measure(Path(temporary))
    for name, value in results.items():
        print(f"  {name:<62} {value:.3f}")
    paired.save("small", results)


def measure(folder: Path) -> dict[str, float]:
    """Return each figure by its name."""
    bare, activated = environment(folder / "bare"), guarded_environment(folder)
    plain, guarded = _programs(folder)
    times = paired.processor_times(
        {
            "bare": [bare, "-c", "pass"],
            "imported": [bare, "-c", "import codegenie.plugins.guard"],
            "activated": [activated, "-c", "pass"],
            "plain": [bare, "-c", plain],
            "guarded": [bare, "-c", guarded],
            "one folder": [bare, "-c", _start(1)],
            "ten folders": [bare, "-c", _start(FOLDERS)],
        },
        rounds=ROUNDS,
    )
    further = FOLDERS - 1
    start = statistics.median(times["bare"])
    unrelated = [
        min(float(paired.printed([bare, "-c", _start(number) + UNRELATED])) for _ in range(3))
        for number in (1, FOLDERS)
    ]
    return {
        "a bare start, ms": start,
        "import codegenie.plugins.guard - bare, ms": _over(times, "imported", "bare"),
        "activated start - bare, ms": _over(times, "activated", "bare"),
        "(first guarded import - plain) / bare start": _over(times, "guarded", "plain") / start,
        "a further folder at a start, ms": _over(times, "ten folders", "one folder") / further,
        "a further folder for an unrelated import, ns": (unrelated[1] - unrelated[0]) / further,
    }


def _over(times: dict[str, tuple[float, ...]], a: str, b: str) -> float:
    return statistics.median(x - y for x, y in zip(times[a], times[b], strict=True))


def _start(number: int) -> str:
    """Return a program that starts the guard as an activation file does."""
    folders = [
        {
            "root": f"/srv/{index}/plugins",
            "lock": f"/srv/{index}/plugins/PLUGINS.lock",
            "package": f"plugins{index}",
            "others": "refuse",
        }
        for index in range(number)
    ]
    return START.format(folders=folders)


def _programs(folder: Path) -> tuple[str, str]:
    """Return a program that imports a plugin of two modules, and the same program with the guard
    and with packs."""
    for name in ("plain", "packs"):
        plugin = folder / name / "plugins" / "tiny"
        plugin.mkdir(parents=True)
        (plugin / "__init__.py").write_text("VALUE = 1\n")
        (plugin / "api.py").write_text("VALUE = 2\n")
        (plugin / "plugin.yaml").write_text(MANIFEST.format(name="tiny"))
    packs = folder / "packs" / "plugins"
    shutil.rmtree(packs / "tiny" / "__pycache__", ignore_errors=True)
    codegenie("plugins", "lock", str(packs))
    codegenie("plugins", "compile", str(packs))
    program = "import sys\nsys.path.insert(0, {!r})\nimport plugins.tiny.api\n"
    plain = program.format(str(folder / "plain"))
    return plain, "import codegenie.plugins.guard\n" + program.format(str(folder / "packs"))


if __name__ == "__main__":
    main()
