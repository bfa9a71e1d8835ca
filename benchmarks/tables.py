"""Write the figures of ``benchmarks/results`` into the tables of ``docs/performance.md``.

Each table of the page that holds figures of a benchmark is between two comments that name it, and
``make bench`` replaces it. A static test fails if the page and the results differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.aims import AIMS
from benchmarks.split import SPLIT

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
TABLE = re.compile(r"(<!-- table: ([a-z-]+) -->\n)(.*?)(<!-- end of the table -->)", re.DOTALL)

PACKS = "guarded with packs / plain, warm"
HASHING = "plain, warm, and the hashing / plain, warm"
COLD = "guarded without packs / plain, no bytecode"
WORKLOADS = ("sqlalchemy", "rich, jinja2, werkzeug", "lark", "markupsafe")
WAYS = ("coreutils", "openssl dgst", "model_signing")
TREES = {
    "100 files": "100 files of 1 KiB",
    "1000 files": "1,000 files",
    "10000 files": "10,000 files",
    "100000 files": "100,000 files",
    "1000000 bytes": "1 MB in one file",
    "100000000 bytes": "100 MB in one file",
    "1000000000 bytes": "1 GB in one file",
    "2 files of 500000000 bytes": "1 GB in two files",
    "django": "Django",
}


@dataclass(frozen=True)
class Row:
    """A label, and the keys of a figure in the results of one benchmark."""

    label: str
    keys: tuple[str, ...]


def ratio(label: str, *keys: str) -> Row:
    return Row(label, (*keys, "median_ratio"))


def difference(label: str, *keys: str) -> Row:
    return Row(label, (*keys, "median_difference_ms"))


STARTUP = (
    difference(
        "activated by `codegenie guard install`, strict", "activated by codegenie guard install"
    ),
    difference("*a guard that does nothing*", "a guard that does nothing (the floor)"),
    difference("activated, where both import `json`", "activated, both import json"),
    difference("`import codegenie.plugins.guard`", "import codegenie.plugins.guard"),
    difference("*the same start twice, the noise*", "nothing (the noise)"),
)
UNRELATED = (
    ratio("500 modules of real packages imported, strict", "500 imports, strict"),
    ratio("the same without strict", "500 imports, without strict"),
    ratio(
        "*the same with a guard that does nothing*",
        "500 imports, a guard that does nothing (the floor)",
    ),
    ratio("100,000 files opened, strict", "100000 opens, strict"),
    ratio("the same without strict", "100000 opens, without strict"),
    ratio(
        "*the same with a guard that does nothing*",
        "100000 opens, a guard that does nothing (the floor)",
    ),
    ratio("*the same imports twice, the noise*", "nothing (the noise)"),
)
IMPORT = tuple(
    ratio(f"{workload}: {words}", workload, pair)
    for workload in WORKLOADS
    for words, pair in (
        ("packs ÷ plain, warm", PACKS),
        ("*hashing alone* ÷ plain, warm", HASHING),
        ("source ÷ plain, no cache", COLD),
    )
)
WITHIN = tuple(
    ratio(f"{workload}: packs ÷ plain, warm", workload, f"{PACKS}, first import")
    for workload in WORKLOADS
)
CONCURRENCY = (
    ratio("32 threads import at once", "32 threads import at once"),
    ratio(
        "8 workers forked after one verified parent", "8 workers forked after one verified parent"
    ),
)


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def rewritten(page: str) -> str:
    """Return the page with each of its tables made from the results."""
    return TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[4], page)


def by_version(benchmark: str) -> dict[str, dict[str, Any]]:
    """Return the documents of a benchmark by Python version, oldest version first."""
    found = [json.loads(path.read_text()) for path in RESULTS.glob(f"{benchmark}-*.json")]
    found.sort(key=lambda document: [int(part) for part in document["python"].split(".")])
    return {document["python"]: document for document in found}


def by_python(benchmark: str, rows: tuple[Row, ...], corner: str = "") -> str:
    """Return a table with a column for each Python. ``corner`` heads the labels of the rows."""
    documents = by_version(benchmark)
    lines = [[corner, *map(short, documents)]]
    for row in rows:
        values = [value_at(document["figures"], row.keys) for document in documents.values()]
        lines.append([row.label, *(shown(value, row.keys[-1]) for value in values)])
    return markdown(lines)


def beside_aims() -> str:
    """Return every figure that has an aim, for each Python, and the aim."""
    documents = {name: by_version(name) for name in dict.fromkeys(aim[0] for aim in AIMS)}
    versions = sorted(
        {version for found in documents.values() for version in found},
        key=lambda version: [int(part) for part in version.split(".")],
    )
    lines = [["", *map(short, versions), "aim"]]
    for benchmark, keys, aim in AIMS:
        found = documents[benchmark]
        values = [
            value_at(found[version]["figures"], keys) if version in found else None
            for version in versions
        ]
        name = ": ".join(key for key in keys if not key.startswith("median_"))
        lines.append([name, *map(plain, values), f"{aim:g}"])
    return markdown(lines)


def parts() -> str:
    """Return the parts of a guarded first import, on the newest Python that was measured."""
    version, document = list(by_version("import").items())[-1]
    figures = {workload: document["figures"][workload][SPLIT] for workload in WORKLOADS}
    rows = [
        [part, *(f"{figures[workload][part]:.1f}" for workload in WORKLOADS)]
        for part in figures[WORKLOADS[0]]
    ]
    return markdown([[f"Python {version}, ms", *WORKLOADS], *rows])


def verification() -> str:
    """Return the verification of each tree, on the newest Python that was measured."""
    version, document = list(by_version("verification").items())[-1]
    heading = [f"Python {version}", "walk ÷ floor", "guard ÷ coreutils pipeline"]
    heading += ["÷ with `openssl dgst`", "÷ Sigstore `model_signing`"]
    lines = [[*heading, "peak memory over the interpreter's"]]
    for tree, label in TREES.items():
        figures = document["figures"][tree]
        pairs = ("in process / floor", *(f"whole process / {way}" for way in WAYS))
        values = [value_at(figures, (pair, "median_ratio")) for pair in pairs]
        peak = figures["peak memory over the interpreter's, MB"]
        lines.append([label, *map(plain, values), f"{peak:.0f} MB"])
    return markdown(lines)


def measured() -> str:
    """Return when, where and on which Pythons the figures were measured."""
    documents = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    days = sorted({document["date"] for document in documents})
    machines = sorted({document["machine"] for document in documents})
    bare = by_version("startup").values()
    times = [document["figures"]["nothing (the noise)"]["median_b_ms"] for document in bare]
    versions = ", ".join(by_version("startup"))
    return (
        f"Measured from {days[0]} to {days[-1]} on {' and '.join(machines)}, with Python "
        f"{versions}. A bare start took {min(times):.0f} to {max(times):.0f} ms.\n"
    )


def value_at(figures: Any, keys: tuple[str, ...]) -> float | None:
    """Return the number that the keys lead to, or None if it was not measured."""
    for key in keys:
        figures = figures.get(key) if isinstance(figures, dict) else None
    return None if figures is None else float(figures)


def shown(value: float | None, unit: str) -> str:
    """Return a ratio, or a difference with its sign."""
    if value is not None and unit == "median_difference_ms":
        return f"{value:+.2f} ms"
    return plain(value)


def plain(value: float | None) -> str:
    """Return a number with at most two digits after the point, without needless zeros."""
    return "—" if value is None else f"{value:.0f}" if value >= 10 else f"{value:.2f}"


def short(version: str) -> str:
    """Return the first two parts of a version."""
    return ".".join(version.split(".")[:2])


def markdown(lines: list[list[str]]) -> str:
    """Return a Markdown table, of which the first line is the heading."""
    heading, *rest = lines
    return "".join(
        f"| {' | '.join(line)} |\n" for line in (heading, ["---"] * len(heading), *rest)
    ).replace("|  |", "| |")


TABLES: dict[str, Callable[[], str]] = {
    "measured": measured,
    "startup": lambda: by_python("startup", STARTUP, "over a start without the guard"),
    "unrelated": lambda: by_python("unrelated", UNRELATED, "ratio to no guard"),
    "import": lambda: (
        by_python("import", IMPORT) + after_heading(by_python("concurrency", CONCURRENCY))
    ),
    "first-import": lambda: by_python("import", WITHIN),
    "parts": parts,
    "aims": beside_aims,
    "verification": verification,
}


def after_heading(table: str) -> str:
    """Return the lines of a table after its heading."""
    return "".join(table.splitlines(keepends=True)[2:])


if __name__ == "__main__":
    main()
