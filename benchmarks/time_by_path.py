"""Importing real packages by a path, as most hosts load plugins, in whole processes.

The packages keep their own names, and no name is guarded. Three ways to load them: their folder on
``sys.path``; the file of each package by ``importlib.util.spec_from_file_location``; and the same
by ``guard.spec_from_file_location``. Each is compared with plain Python that loads the same files
in the same way: with packs against a warm bytecode cache, and without packs against no bytecode.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.packages import MANIFEST, WORKLOADS, Workload, codegenie, copied, installed

PAIRS = 11

ON_PATH = "sys.path.insert(0, ROOT)"
BY_FILE = """
import importlib.util
for name in PACKAGES:
    spec = SPEC(name, f"{ROOT}/{name}/__init__.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
"""

WAYS = {
    "folder on sys.path": ON_PATH,
    "spec_from_file_location": BY_FILE.replace("SPEC", "importlib.util.spec_from_file_location"),
    "guard.spec_from_file_location": BY_FILE.replace("SPEC", "guard.spec_from_file_location"),
}

GUARD = "import codegenie.plugins.guard as guard\nguard.install(root=ROOT)\n"


def main() -> None:
    """Print and save the figures of this Python."""
    results: dict[str, dict[str, object]] = {}
    print(f"by path, Python {sys.version.split()[0]}, medians of {PAIRS} pairs")
    with tempfile.TemporaryDirectory() as temporary:
        packages = installed()
        for workload in WORKLOADS[:2]:
            results[workload.name] = {}
            for name, figures in measure(workload, packages, Path(temporary)).items():
                shown = figures.as_dict()
                results[workload.name][name] = shown
                print(
                    f"  {workload.name:<24} {name:<66} {shown['median_ratio']:.3f}  "
                    f"({shown['median_a_ms']:.0f} ms / {shown['median_b_ms']:.0f} ms)"
                )
    paired.save("by-path", results)


def measure(workload: Workload, packages: Path, folder: Path) -> dict[str, paired.Figures]:
    """Time each way to load the packages, guarded and plain."""
    source, with_packs, plain = (folder / f"{workload.name} {n}" for n in ("source", "packs", "no"))
    for package in workload.packages:
        copied(packages, package, source / package)
        (source / package / "plugin.yaml").write_text(MANIFEST.format(name=package))
    codegenie("plugins", "lock", str(source))
    shutil.copytree(source, with_packs)
    codegenie("plugins", "compile", str(with_packs))
    shutil.copytree(source, plain)

    figures: dict[str, paired.Figures] = {}
    for way, load in WAYS.items():
        unguarded = load.replace("guard.spec", "importlib.util.spec")
        for name, a, b in (
            (
                "guarded with packs / plain, warm",
                _program(with_packs, workload, GUARD + load),
                _program(plain, workload, unguarded),
            ),
            (
                "guarded without packs / plain, no bytecode",
                _program(source, workload, GUARD + load, "-B"),
                _program(source, workload, unguarded, "-B"),
            ),
        ):
            figures[f"{way}: {name}"] = paired.processes(a, b, pairs=PAIRS)
    return figures


def _program(folder: Path, workload: Workload, load: str, *flags: str) -> list[str]:
    """Load the packages from ``folder``, then import what a program would use."""
    packages = list(reversed(workload.packages))  # markupsafe first, which others need
    statement = workload.statement.replace("plugins.", "")
    code = f"import sys\nROOT, PACKAGES = {str(folder)!r}, {packages!r}\n{load}\n{statement}\n"
    return [sys.executable, *flags, "-c", code]


if __name__ == "__main__":
    main()
