"""A program that never imports a plugin: 500 modules of others, and 100,000 files opened."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.environments import environment

MODULES = 500
MODULES_PER_PACKAGE = 25
OPENS = 100_000
PAIRS = 15

# Of the size of a real module: some eighty functions, five kilobytes of bytecode.
MODULE = "".join(
    f'def function_{number}(value):\n    "What it does."\n    return [value, {number}]\n\n\n'
    for number in range(40)
)

OPEN = f"""
import os
for _ in range({OPENS}):
    os.close(os.open(__file__, os.O_RDONLY))
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
    """Both programs, in an environment without the guard and in one that it was activated in."""
    bare, guarded = environment(folder / "bare"), environment(folder / "guarded")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / "PLUGINS.lock").write_text("{}\n")
    install = [sys.executable, "-m", "codegenie", "guard", "install"]
    subprocess.run(
        [*install, "--root", plugins, "--python", guarded], check=True, capture_output=True
    )
    programs = {
        f"{MODULES} imports": import_program(folder),
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
        figures[f"{name}, strict"] = paired.processes([guarded, str(program)], plain, pairs=PAIRS)
        figures[f"{name}, without strict"] = paired.processes(
            [bare, str(loose)], plain, pairs=PAIRS
        )
        figures[f"{name}, nothing (the noise)"] = paired.processes(plain, plain, pairs=PAIRS)
    return figures


def import_program(folder: Path) -> Path:
    """A program that imports ``MODULES`` modules, in packages."""
    lines = []
    for number in range(MODULES):
        package = folder / f"package_{number // MODULES_PER_PACKAGE}"
        if number % MODULES_PER_PACKAGE == 0:
            package.mkdir()
            (package / "__init__.py").write_text("")
        (package / f"module_{number}.py").write_text(MODULE)
        lines.append(f"import {package.name}.module_{number}\n")
    program = folder / "imports.py"
    program.write_text("".join(lines))
    return program


if __name__ == "__main__":
    main()
