"""Importing real packages as plugins, in whole processes.

Four programs import the same files: guarded with packs, guarded without, plain Python with its own
bytecode cache warm, and plain Python that may not use one.

A fifth shows the floor of the first: plain Python that, before it imports, reads and hashes what
no verified import can leave out, and does nothing with it.

Each is measured from outside, as a whole process, and from within, around the statement that
imports (and, of the fifth, the hashing).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import paired, split
from benchmarks.packages import WORKLOADS, Workload, codegenie, installed, lay_out

PAIRS = 11

# Every file of the tree; each entry of the packs that is imported; and each extension module once
# more, because the disk may have changed, into memory that it is loaded from.
FLOOR = """
import hashlib, os

def read_and_hash(path, offset=0, size=-1):
    with open(path, "rb", buffering=0) as file:
        if offset:
            file.seek(offset)
        data = file.read(size)
    hashlib.sha256(data).digest()
    return data

for folder, folders, names in os.walk(ROOT):
    folders[:] = [n for n in folders if n not in ("__pycache__", "PLUGINS.bytecode")]
    for name in names:
        read_and_hash(os.path.join(folder, name))
for pack, offset, size in ENTRIES:
    read_and_hash(pack, offset, size)
for path in EXTENSIONS:
    os.write(os.memfd_create("copy"), read_and_hash(path))
"""

# What a program has imported from below ``plugins``.
FILES = """
import json, sys
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.startswith("plugins.")]))
"""


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
                    f"  {workload.name:<24} {name:<58} {shown['median_ratio']:.3f}  "
                    f"({shown['median_a_ms']:.0f} ms / {shown['median_b_ms']:.0f} ms)"
                )
            parts = split.of(str(Path(temporary, f"{workload.name} packs")), workload.statement)
            results[workload.name][split.SPLIT] = parts
            for part, milliseconds in parts.items():
                print(f"  {workload.name:<24} of it: {part:<51} {milliseconds:6.2f} ms")
    paired.save("import", results)


def measure(workload: Workload, packages: Path, folder: Path) -> dict[str, paired.Figures]:
    """Each guarded run against the plain one that does the same, and the floor of the first."""
    source = lay_out(workload, packages, folder / f"{workload.name} source")
    with_packs = folder / f"{workload.name} packs"
    shutil.copytree(source, with_packs)
    codegenie("plugins", "compile", str(with_packs / "plugins"))
    plain = folder / f"{workload.name} plain"
    shutil.copytree(source, plain)

    guard = "import codegenie.plugins.guard\n"
    packs = _program(with_packs, workload, before=guard)
    compiled = _program(source, workload, before=guard)
    warm = _program(plain, workload)
    cold = [warm[0], "-B", "-c", _program(source, workload)[-1]]
    hashing = _program(plain, workload, first=_floor(with_packs, workload))
    figures: dict[str, paired.Figures] = {}
    for name, a, b, pairs in (
        ("guarded with packs / plain, warm", packs, warm, PAIRS),
        ("guarded without packs / plain, no bytecode", compiled, cold, max(5, PAIRS // 3)),
        ("plain, warm, and the hashing / plain, warm", hashing, warm, max(5, PAIRS // 2)),
        ("guarded with packs / plain, warm, and the hashing", packs, hashing, max(5, PAIRS // 2)),
    ):
        whole, within = paired.processes_and_within(a, b, pairs=pairs)
        figures[name] = whole
        figures[f"{name}, first import"] = within
    return figures


def _floor(folder: Path, workload: Workload) -> str:
    """``FLOOR`` for what the guarded program reads of a folder with packs."""
    imported = json.loads(
        subprocess.run(
            [sys.executable, "-B", "-c", _program(folder, workload)[-1] + FILES],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
            env=paired.environment(),
        ).stdout.splitlines()[-1]
    )
    root = folder / "plugins"
    entries: list[tuple[str, int, int]] = []
    extensions: list[str] = []
    for name in filter(None, imported):
        plugin, _, relative = str(Path(name).relative_to(root)).partition("/")
        if not name.endswith(".py"):
            extensions.append(name)
            continue
        (index,) = (root / "PLUGINS.bytecode").glob(f"*/{plugin}.index")
        offset, size, _ = json.loads(index.read_bytes())["entries"][relative].split(" ")
        entries.append((str(index.with_suffix(".pack")), int(offset), int(size)))
    given = f"ROOT, ENTRIES, EXTENSIONS = {str(root)!r}, {entries!r}, {extensions!r}"
    return given + FLOOR


def _program(folder: Path, workload: Workload, before: str = "", first: str = "") -> list[str]:
    """Import the workload from ``folder`` and print how many milliseconds that took, with what is
    done ``first``, and without what is done ``before``."""
    code = (
        f"{before}import sys, time\nsys.path.insert(0, {str(folder)!r})\n"
        f"started = time.perf_counter()\n{first}\n{workload.statement}\n"
        "print((time.perf_counter() - started) * 1000)\n"
    )
    return [sys.executable, "-c", code]


if __name__ == "__main__":
    main()
