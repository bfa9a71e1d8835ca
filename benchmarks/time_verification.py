"""Verifying a tree: against the pipeline of coreutils, OpenSSL, ``model_signing`` and the floor.

Many small files and few large ones, over four orders of magnitude, and one real package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import memory, paired, shapes
from benchmarks.environments import environment
from benchmarks.packages import copied, installed

SMALL = (100, 1_000, 10_000, 100_000)
LARGE = (100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
GIGABYTE = 1_000_000_000

FLOOR = "a plain walk in Python, whole process / coreutils"

MAX_FOR_MODEL_SIGNING = 10_000
"""Files. It takes half a minute for ten times as many."""


def main() -> None:
    """Print and save the figures of this Python."""
    results: dict[str, dict[str, object]] = {}
    print(f"verification, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        packages = installed()
        python = environment(folder / "environment")
        for number in SMALL:
            rounds = 11 if number < 10_000 else 5 if number < 100_000 else 2
            root = shapes.small_files(folder, number)
            with_sigstore = number <= MAX_FOR_MODEL_SIGNING
            results[f"{number} files"] = measure(python, root, packages, rounds, with_sigstore)
            shutil.rmtree(root.parent)
        for size in LARGE:
            root = shapes.large_files(folder, size)
            rounds = 11 if size < GIGABYTE // 10 else 3
            results[f"{size} bytes"] = measure(python, root, packages, rounds, with_sigstore=True)
            shutil.rmtree(root.parent)
        root = shapes.large_files(folder, GIGABYTE // 2, 2)
        results["2 files of 500000000 bytes"] = measure(
            python, root, packages, 3, with_sigstore=True
        )
        shutil.rmtree(root.parent)
        root = folder / "django" / "plugins"
        copied(packages, "django", root / shapes.PLUGIN)
        shapes.locked(root)
        results["django"] = measure(python, root, packages, 15, with_sigstore=True)
        plain, pipeline = shapes.plain_walk(python, root), shapes.coreutils(root)
        assert digest(plain) == digest(pipeline)
        floor = paired.processes(plain, pipeline, pairs=15, warm_up=1)
        print(f"  {'django':<16} {FLOOR} {floor.ratio:.2f}")
        results["django"][FLOOR] = floor.as_dict()
    paired.save("verification", results)


def measure(
    python: str, root: Path, packages: Path, rounds: int, with_sigstore: bool
) -> dict[str, object]:
    """One tree: in process against the floor, and whole processes against each other way."""
    figures = {"in process / floor": in_process(python, root, rounds)}
    guarded = shapes.guarded(python, root)
    others = {"coreutils": shapes.coreutils(root), "openssl dgst": shapes.openssl(root)}
    for name, command in others.items():
        figures[f"whole process / {name}"] = paired.processes(
            guarded, command, pairs=rounds, warm_up=1
        )
    if with_sigstore:
        figures["whole process / model_signing"] = paired.processes(
            guarded,
            shapes.model_signing(python, root),
            pairs=min(rounds, 3),
            environment_b=shapes.environment(packages),
            warm_up=1,
        )
    result: dict[str, object] = {name: value.as_dict() for name, value in figures.items()}
    result[memory.PEAK] = memory.peak_over_bare(python, guarded[-1])
    shown = "  ".join(f"{name} {value.ratio:.2f}" for name, value in figures.items())
    print(f"  {root.parent.name:<16} {shown}  peak +{result[memory.PEAK]} MB")
    return result


def digest(command: list[str]) -> str:
    """The tree digest that a command prints."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.split()[0]


def in_process(python: str, root: Path, rounds: int) -> paired.Figures:
    """The walk and the floor, in turn, within one process."""
    done = subprocess.run(
        [python, "-c", shapes.IN_PROCESS, str(root), shapes.PLUGIN, str(rounds)],
        check=True,
        capture_output=True,
        text=True,
    )
    times = json.loads(done.stdout)
    return paired.Figures(tuple(times["walk"]), tuple(times["floor"]))


if __name__ == "__main__":
    main()
