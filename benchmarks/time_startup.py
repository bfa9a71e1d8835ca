"""Starting an interpreter: bare, with the guard imported, and with the guard activated."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.environments import empty_environment, environment, guarded_environment

PAIRS = 100


def main() -> None:
    """Print and save the figures of this Python."""
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(Path(temporary))
    print(f"start-up, Python {sys.version.split()[0]}, medians of {PAIRS} pairs")
    for name, value in figures.items():
        shown = value.as_dict()
        print(
            f"  {name:<34} {shown['median_difference_ms']:>+7.3f} ms over bare "
            f"({shown['median_b_ms']:.1f} ms), ratio {shown['median_ratio']:.3f}"
        )
    paired.save("startup", {name: value.as_dict() for name, value in figures.items()})


def measure(folder: Path) -> dict[str, paired.Figures]:
    """Each way of being guarded, against a start without; the last row is the noise."""
    bare, guarded = environment(folder / "bare"), guarded_environment(folder)
    empty = empty_environment(folder)
    nothing = [bare, "-c", "pass"]
    return {
        "import codegenie.plugins.guard": paired.processes(
            [bare, "-c", "import codegenie.plugins.guard"], nothing, pairs=PAIRS
        ),
        "activated by codegenie guard install": paired.processes(
            [guarded, "-c", "pass"], nothing, pairs=PAIRS
        ),
        "a guard that does nothing (the floor)": paired.processes(
            [empty, "-c", "pass"], nothing, pairs=PAIRS
        ),
        # With what the audit hook and the finder cost each module that is imported after that.
        "activated, both import json": paired.processes(
            [guarded, "-c", "import json"], [bare, "-c", "import json"], pairs=PAIRS
        ),
        "imported, without strict": paired.processes(
            [bare, "-c", "import codegenie.plugins.guard as g; g.install(strict=False)"],
            nothing,
            pairs=PAIRS,
        ),
        "nothing (the noise)": paired.processes(nothing, nothing, pairs=PAIRS),
    }


if __name__ == "__main__":
    main()
