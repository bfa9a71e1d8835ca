"""Importing real packages as plugins, in whole processes.

Four programs import the same files: guarded with packs, guarded without, plain Python with its own
bytecode cache warm, and plain Python that may not use one.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.packages import WORKLOADS, Workload, codegenie, installed, lay_out

PAIRS = 13


def main() -> None:
    """Print and save the figures of this Python."""
    results: dict[str, dict[str, object]] = {}
    print(f"import, Python {sys.version.split()[0]}, medians of {PAIRS} pairs")
    with tempfile.TemporaryDirectory() as temporary:
        packages = installed()
        for workload in WORKLOADS:
            results[workload.name] = {}
            for name, figures in measure(workload, packages, Path(temporary)).items():
                shown = figures.as_dict()
                results[workload.name][name] = shown
                print(
                    f"  {workload.name:<24} {name:<44} {shown['median_ratio']:.3f}  "
                    f"({shown['median_a_ms']:.0f} ms / {shown['median_b_ms']:.0f} ms)"
                )
    paired.save("import", results)


def measure(workload: Workload, packages: Path, folder: Path) -> dict[str, paired.Figures]:
    """The two ratios that matter: each guarded run against the plain one that does the same."""
    source = lay_out(workload, packages, folder / f"{workload.name} source")
    with_packs = folder / f"{workload.name} packs"
    shutil.copytree(source, with_packs)
    codegenie("plugins", "compile", str(with_packs / "plugins"))
    plain = folder / f"{workload.name} plain"
    shutil.copytree(source, plain)

    guard = "import codegenie.plugins.guard\n"
    guarded = [sys.executable, "-c", guard + _inside(with_packs, workload)]
    compiled = [sys.executable, "-c", guard + _inside(source, workload)]
    warm = [sys.executable, "-c", _inside(plain, workload)]
    cold = [sys.executable, "-B", "-c", _inside(source, workload)]
    return {
        "guarded with packs / plain, warm": paired.processes(guarded, warm, pairs=PAIRS),
        "guarded without packs / plain, no bytecode": paired.processes(
            compiled, cold, pairs=max(5, PAIRS // 3)
        ),
    }


def _inside(folder: Path, workload: Workload) -> str:
    return f"import sys\nsys.path.insert(0, {str(folder)!r})\n{workload.statement}\n"


if __name__ == "__main__":
    main()
