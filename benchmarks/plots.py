"""Draw what ``benchmarks/results`` holds: ``docs/assets/performance/*.svg`` and ``.png``."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HASHING = "plain, warm, and the hashing / plain, warm"
PEAK = "peak memory over the interpreter's, MB"
RESULTS = Path(__file__).parent / "results"
TARGET = Path(__file__).parents[1] / "docs" / "assets" / "performance"

COLOURS = ("#4051b5", "#e8710a", "#12875a", "#8f8f8f", "#b5407e")
WIDTH, HEIGHT = 7.2, 3.6
"""Inches."""

WAYS = ("coreutils", "openssl dgst", "model_signing")


def main() -> None:
    """Draw every figure."""
    # The same results give the same bytes.
    plt.rcParams.update({"svg.hashsalt": "codegenie", "font.size": 9, "axes.axisbelow": True})
    TARGET.mkdir(parents=True, exist_ok=True)
    save("import", draw_import())
    save("startup", draw_startup())
    save("verification", draw_verification())
    save("scale", draw_scale())


def results(benchmark: str) -> dict[str, dict[str, Any]]:
    """The figures of one benchmark by Python version, oldest first."""
    found = [json.loads(path.read_text()) for path in RESULTS.glob(f"{benchmark}-*.json")]
    found.sort(key=lambda document: [int(part) for part in document["python"].split(".")])
    return {document["python"]: document["figures"] for document in found}


def draw_import() -> Figure:
    """Ratios to plain Python, per set of packages and version."""
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, HEIGHT), sharey=True)
    found = results("import")
    workloads = list(next(iter(found.values())))
    for axis, name, title in (
        (axes[0], "guarded with packs / plain, warm", "with packs ÷ plain with its cache"),
        (axes[1], "guarded without packs / plain, no bytecode", "from source ÷ plain without"),
    ):
        heights = {
            version: [figures[workload][name]["median_ratio"] for workload in workloads]
            for version, figures in found.items()
        }
        bars(axis, [name.replace(", ", "\n") for name in workloads], heights)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set_title(title)
    floors = {
        version: [figures[workload][HASHING]["median_ratio"] for workload in workloads]
        for version, figures in found.items()
    }
    marks(axes[0], floors, "hashing alone")
    axes[0].set_ylabel("time of the process, as a ratio")
    axes[0].set_ylim(0, 2)
    axes[0].legend(title="Python", fontsize=7, loc="upper left", ncols=3)
    return figure


def draw_startup() -> Figure:
    """Milliseconds over a start without the guard."""
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT))
    found = results("startup")
    names = list(next(iter(found.values())))
    heights = {
        version: [figures[name]["median_difference_ms"] for name in names]
        for version, figures in found.items()
    }
    labels = [textwrap.fill(name.replace("codegenie.", "codegenie. "), 18) for name in names]
    bars(axis, labels, heights)
    axis.set_ylabel("ms over a start without the guard")
    axis.legend(title="Python")
    return figure


def draw_verification() -> Figure:
    """Whole processes, by the number of small files."""
    figure, axis = plt.subplots(figsize=(WIDTH, HEIGHT))
    figures = list(results("verification").values())[-1]
    trees = {int(name.split()[0]): value for name, value in figures.items() if is_small(name)}
    guard = {
        number: value["whole process / coreutils"]["median_a_ms"] / 1000
        for number, value in trees.items()
    }
    axis.plot(list(guard), list(guard.values()), "o-", color=COLOURS[0], label="the guard")
    for way, colour, mark in zip(WAYS, COLOURS[1:4], "s^D", strict=True):
        points = {
            number: value[f"whole process / {way}"]["median_b_ms"] / 1000
            for number, value in trees.items()
            if f"whole process / {way}" in value
        }
        axis.plot(list(points), list(points.values()), f"{mark}-", color=colour, label=way)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("files of 1 KiB")
    axis.set_ylabel("seconds, whole process")
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def draw_scale() -> Figure:
    """What one more file and one more byte cost, and the memory that it takes."""
    figure, axes = plt.subplots(1, 3, figsize=(WIDTH, HEIGHT))
    figures = list(results("verification").values())[-1]
    small = {int(name.split()[0]): value for name, value in figures.items() if is_small(name)}
    large = {int(name.split()[0]): value for name, value in figures.items() if is_large(name)}
    for axis, trees, unit, label in (
        (axes[0], small, 1e3, "µs per file of 1 KiB"),
        (axes[1], large, 1e6, "ns per byte of one file"),
    ):
        for key, name, colour in (("a", "walk", COLOURS[0]), ("b", "floor", COLOURS[3])):
            points = {
                size: value["in process / floor"][f"median_{key}_ms"] * unit / size
                for size, value in trees.items()
            }
            axis.plot(list(points), list(points.values()), "o-", color=colour, label=name)
        axis.set_title(label, fontsize=9)
        axis.legend(fontsize=8)
    axes[0].set_xlabel("files")
    axes[1].set_xlabel("bytes")
    for trees, name, mark, colour in (
        (small, "by files", "o-", COLOURS[0]),
        (large, "by bytes", "s-", COLOURS[1]),
    ):
        points = {size: value[PEAK] for size, value in trees.items()}
        axes[2].plot(list(points), list(points.values()), mark, color=colour, label=name)
    axes[2].set_title("MB at the peak", fontsize=9)
    axes[2].set_xlabel("files, bytes")
    axes[2].legend(fontsize=8)
    for axis in axes:
        axis.set_xscale("log")
        axis.set_ylim(0, axis.get_ylim()[1] * 1.1)
        axis.grid(alpha=0.3)
    return figure


def is_small(name: str) -> bool:
    """Whether a tree is one of many small files."""
    return name.endswith(" files")


def is_large(name: str) -> bool:
    """Whether a tree is one large file."""
    return name.endswith(" bytes") and " of " not in name


def bars(axis: Axes, groups: list[str], heights: dict[str, list[float]]) -> None:
    """Grouped bars: one colour per Python version."""
    for index, (version, values) in enumerate(heights.items()):
        places, width = across(index, heights)
        axis.bar(places, values, width, color=COLOURS[index], label=version)
    axis.set_xticks(range(len(groups)), groups, fontsize=7)
    axis.grid(axis="y", alpha=0.3)


def marks(axis: Axes, heights: dict[str, list[float]], label: str) -> None:
    """A line across each bar."""
    for index, values in enumerate(heights.values()):
        places, width = across(index, heights)
        left, right = [x - width / 2 for x in places], [x + width / 2 for x in places]
        # The first only gives the legend its entry.
        axis.hlines(values, left, right, color="black", label=label if index == 0 else None)


def across(index: int, heights: dict[str, list[float]]) -> tuple[list[float], float]:
    """Where the bars of one Python version stand, and how wide they are."""
    width = 0.8 / len(heights)
    groups = len(heights[next(iter(heights))])
    return [group + (index - (len(heights) - 1) / 2) * width for group in range(groups)], width


def save(name: str, figure: Figure) -> None:
    """Write a figure in both formats."""
    figure.tight_layout()
    figure.savefig(TARGET / f"{name}.svg", metadata={"Date": None})
    figure.savefig(TARGET / f"{name}.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
