"""A program that never imports a plugin: 500 modules of others, and 100,000 files opened."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.environments import empty_environment, environment, guarded_environment
from benchmarks.packages import installed

MODULES = 500
OPENS = 100_000
PAIRS = 9

# Names of modules that can be imported without a project, or what else they want, in a fixed order.
FIND = """
import importlib, pkgutil
for package in "django", "werkzeug", "jinja2", "rich", "lark":
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".",
                                  onerror=lambda name: None)
    for name in sorted(module.name for module in found):
        if "migrations" in name or ".conf.locale." in name:
            continue  # whose names no statement can have, and which hold next to nothing
        try:
            importlib.import_module(name)
        except BaseException:
            continue
        print(name)
"""

OPEN = f"""
for _ in range({OPENS}):
    open(__file__, "rb").close()
"""


def main() -> None:
    """Print and save the figures of this Python."""
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(Path(temporary))
    print(f"a program without plugins, Python {sys.version.split()[0]}, medians of {PAIRS} pairs")
    for name, value in figures.items():
        shown = value.as_dict()
        print(
            f"  {name:<44} {shown['median_ratio']:.3f}  "
            f"({shown['median_a_ms']:.0f} ms / {shown['median_b_ms']:.0f} ms)"
        )
    paired.save("unrelated", {name: value.as_dict() for name, value in figures.items()})


def measure(folder: Path) -> dict[str, paired.Figures]:
    """Both programs, without the guard, with it, and with one that does nothing (the floor)."""
    bare, guarded = environment(folder / "bare"), guarded_environment(folder)
    empty = empty_environment(folder)
    programs = {
        f"{MODULES} imports": import_program(folder, bare),
        f"{OPENS} opens": folder / "open.py",
    }
    programs[f"{OPENS} opens"].write_text(OPEN)
    figures: dict[str, paired.Figures] = {}
    for name, program in programs.items():
        loose = folder / f"loose_{program.name}"
        loose.write_text(
            "import codegenie.plugins.guard\ncodegenie.plugins.guard.install(strict=False)\n"
            + program.read_text()
        )
        plain = [bare, str(program)]
        for way, command in (
            ("strict", [guarded, str(program)]),
            ("without strict", [bare, str(loose)]),
            ("a guard that does nothing (the floor)", [empty, str(program)]),
        ):
            figures[f"{name}, {way}"] = _processes(command, plain)
    figures["nothing (the noise)"] = _processes(plain, plain)
    return figures


def _processes(a: list[str], b: list[str]) -> paired.Figures:
    return paired.processes(a, b, pairs=PAIRS, warm_up=1)


def import_program(folder: Path, python: str) -> Path:
    """A program that imports ``MODULES`` modules of real packages."""
    packages = installed()
    found = subprocess.run(
        [python, "-W", "ignore", "-c", FIND],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(packages)},
    ).stdout.split()
    # Warm, and found in one order: what one module imports another may have imported before.
    assert len(found) >= MODULES, found
    program = folder / "imports.py"
    lines = [f"import {name}\n" for name in found[:MODULES]]
    program.write_text(f"import sys\nsys.path.insert(0, {str(packages)!r})\n" + "".join(lines))
    return program


if __name__ == "__main__":
    main()
