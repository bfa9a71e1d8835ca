"""Each figure of the benchmarks beside its aim, from the results of one Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.paired import RESULTS

PACKS = "guarded with packs / plain, warm"
COLD = "guarded without packs / plain, no bytecode"
FLOOR = "guarded with packs / plain, warm, and the hashing"
RICH = "rich, jinja2, werkzeug"
WAYS = ("folder on sys.path", "spec_from_file_location", "guard.spec_from_file_location")

# Benchmark, the keys that lead to the figure, and its aim: no more than that.
AIMS: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("small", ("(first guarded import - plain) / bare start",), 0.5),
    ("small", ("activated start - bare, ms",), 1.0),
    ("small", ("import codegenie.plugins.guard - bare, ms",), 1.0),
    ("small", ("a further folder at a start, ms",), 0.05),
    ("small", ("a further folder for an unrelated import, ns",), 50),
    ("unrelated", ("500 imports, strict", "median_ratio"), 1.05),
    ("import", ("sqlalchemy", PACKS, "median_ratio"), 1.08),
    ("import", ("sqlalchemy", FLOOR, "median_ratio"), 1.02),
    ("import", (RICH, PACKS, "median_ratio"), 1.06),
    *(
        ("by-path", (workload, f"{way}: {pair}", "median_ratio"), 1.10)
        for workload in ("sqlalchemy", RICH)
        for way in WAYS
        for pair in (PACKS, COLD)
    ),
    ("trust", ("one Ed25519 signature at each start", "median_difference_ms"), 8.0),
    ("trust", ("a statement pinned at the installation", "median_difference_ms"), 0),
    ("many", ("500 plugins of 40 files / floor",), 1.15),
    ("many", ("10000 loads: memory at the end / after 2,000",), 1.02),
    ("many", ("10000 loads: descriptors at the end - after 2,000",), 0),
    ("many", ("10000 loads: time of the last 1,000 / of the second 1,000",), 1.05),
)


def main() -> None:
    """Print the figures of this Python that have an aim."""
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"figures beside their aims, Python {version}")
    for benchmark, keys, aim, value in figures(version):
        name = ": ".join(key for key in keys if not key.startswith("median_"))
        met = "met" if value <= aim else "not met"
        print(f"  {benchmark + ': ' + name:<96} {value:>8.3f}  aim {aim:<5} {met}")


def figures(version: str) -> Iterator[tuple[str, tuple[str, ...], float, float]]:
    """Yield benchmark, keys, aim and value of each figure that was measured on a Python."""
    for benchmark, keys, aim in AIMS:
        path = RESULTS / f"{benchmark}-{version}.json"
        value: Any = json.loads(path.read_text())["figures"] if path.exists() else None
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            yield benchmark, keys, aim, value


if __name__ == "__main__":
    main()
