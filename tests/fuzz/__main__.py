"""Run the targets under libFuzzer, each for a bounded time or number of inputs, from a fixed seed.

Ends with 0 if no input broke a contract, with 1 if one did (its bytes are printed), and with 2
where it cannot run.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ARTIFACTS = ("crash-", "timeout-", "oom-", "leak-")
"""The names that libFuzzer gives to the files with the inputs that broke something."""

LIMITS = ("-max_len=4096", "-timeout=10", "-rss_limit_mb=1024")
"""Bytes of an input, and the seconds and megabytes it may cost. Every reader stays far below."""

SHOWN_LINES = 60
"""Of libFuzzer's output for a broken target: the traceback is at its end."""


@dataclass(frozen=True)
class Outcome:
    """The result of libFuzzer for one target."""

    status: int
    runs: int
    coverage: int
    broken: tuple[bytes, ...]
    output: str

    @property
    def ok(self) -> bool:
        return self.status == 0 and not self.broken and self.runs > 0


def targets() -> list[str]:
    """Return the name of every target: of every module ``fuzz_NAME`` beside this one."""
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))


def fuzz(module: str, corpus: Path, bound: Sequence[str], path: Sequence[str] = ()) -> Outcome:
    """Run one module's ``check`` under libFuzzer, starting from the inputs in ``corpus``.

    ``bound`` is libFuzzer's own spelling of when to stop; ``path`` goes before ``PYTHONPATH``.
    """
    with tempfile.TemporaryDirectory(prefix="codegenie-fuzz-") as folder:
        found = Path(folder, "found")
        found.mkdir()
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.engine", module, folder),
                *(*LIMITS, *bound, "-print_final_stats=1", f"-artifact_prefix={folder}/"),
                # New inputs go into the first folder; the corpus is only read.
                *(str(found), str(corpus)),
            ],
            cwd=HERE.parent.parent,
            env={
                **os.environ,
                "TMPDIR": folder,
                "PYTHONHASHSEED": "0",
                "PYTHONPATH": os.pathsep.join(filter(None, [*path, os.environ.get("PYTHONPATH")])),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        broken = sorted(p for p in Path(folder).iterdir() if p.name.startswith(ARTIFACTS))
        return Outcome(
            done.returncode,
            last_number(r"stat::number_of_executed_units:\s+(\d+)", done.stdout),
            last_number(r"\bcov: (\d+)", done.stdout),
            tuple(path.read_bytes() for path in broken),
            done.stdout,
        )


def last_number(pattern: str, output: str) -> int:
    numbers = re.findall(pattern, output)
    return int(numbers[-1]) if numbers else 0


def report(target: str, outcome: Outcome) -> Iterator[str]:
    """Yield one line; and for a broken target what libFuzzer said at the end, and the input."""
    result = "ok" if outcome.ok else "BROKEN"
    yield f"{target:<10} {outcome.runs:>8} runs   coverage {outcome.coverage:>5}   {result}"
    if not outcome.ok:
        yield from outcome.output.splitlines()[-SHOWN_LINES:]
        for data in outcome.broken:
            yield f"input of {len(data)} bytes: {data!r}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    bound = parser.add_mutually_exclusive_group()
    bound.add_argument("--seconds", type=int, default=20, help="time for each target (20)")
    bound.add_argument("--runs", type=int, help="number of inputs for each target, instead")
    parser.add_argument("--seed", type=int, default=1, help="of libFuzzer's choices (1)")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets()))
    chosen = parser.parse_args(arguments)
    unknown = set(chosen.targets) - set(targets())
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed; it is pinned in requirements/fuzz.txt")

    limit = f"-runs={chosen.runs}" if chosen.runs else f"-max_total_time={chosen.seconds}"
    failed = 0
    for target in chosen.targets or targets():
        outcome = fuzz(
            f"tests.fuzz.fuzz_{target}", HERE / "corpus" / target, [limit, f"-seed={chosen.seed}"]
        )
        failed += not outcome.ok
        print(*report(target, outcome), sep="\n", flush=True)
    print(f"{failed} of {len(chosen.targets or targets())} targets broken")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
