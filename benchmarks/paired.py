"""Whole processes timed in pairs: A B A B …, so that a machine that slows down slows both."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figures:
    """Milliseconds of wall time of A and B, pair by pair."""

    a: tuple[float, ...]
    b: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median of A / B."""
        return statistics.median(x / y for x, y in zip(self.a, self.b, strict=True))

    @property
    def difference(self) -> float:
        """The median of A - B, in milliseconds."""
        return statistics.median(x - y for x, y in zip(self.a, self.b, strict=True))

    def as_dict(self) -> dict[str, float | int]:
        differences = [x - y for x, y in zip(self.a, self.b, strict=True)]
        quartiles = statistics.quantiles(differences, n=4)
        return {
            "pairs": len(self.a),
            "median_a_ms": round(statistics.median(self.a), 3),
            "median_b_ms": round(statistics.median(self.b), 3),
            "median_ratio": round(self.ratio, 4),
            "median_difference_ms": round(self.difference, 3),
            "lower_quartile_of_difference_ms": round(quartiles[0], 3),
            "upper_quartile_of_difference_ms": round(quartiles[2], 3),
        }


def processes(
    a: Sequence[str],
    b: Sequence[str],
    *,
    pairs: int,
    environment_a: Mapping[str, str] | None = None,
    environment_b: Mapping[str, str] | None = None,
    warm_up: int = 3,
) -> Figures:
    """Time two commands as whole processes. A command that fails ends the benchmark."""
    whole, _ = zip(*_alternate(a, b, pairs, warm_up, environment_a, environment_b), strict=True)
    return Figures(*zip(*whole, strict=True))


def processes_and_within(
    a: Sequence[str], b: Sequence[str], *, pairs: int, warm_up: int = 3
) -> tuple[Figures, Figures]:
    """As ``processes``; and the milliseconds that each process has measured itself and printed."""
    whole, printed = zip(*_alternate(a, b, pairs, warm_up), strict=True)
    within = ((float(of_a), float(of_b)) for of_a, of_b in printed)
    return Figures(*zip(*whole, strict=True)), Figures(*zip(*within, strict=True))


def processor_times(
    commands: Mapping[str, Sequence[str]], *, rounds: int, warm_up: int = 3
) -> dict[str, tuple[float, ...]]:
    """Return the milliseconds of processor time of each command, which take turns.

    A busy machine changes processor time less than wall time.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(warm_up + rounds):
        for name, command in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _run(command, None)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if number >= warm_up:
                used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                times[name].append(used * 1000)
    return {name: tuple(found) for name, found in times.items()}


def printed(command: Sequence[str]) -> str:
    """Return what a command prints. A command that fails ends the benchmark."""
    return _run(command, None)[1]


def _alternate(
    a: Sequence[str],
    b: Sequence[str],
    pairs: int,
    warm_up: int,
    environment_a: Mapping[str, str] | None = None,
    environment_b: Mapping[str, str] | None = None,
) -> list[tuple[tuple[float, float], tuple[str, str]]]:
    """Per pair: milliseconds of A and of B, and what A and B printed."""
    found = []
    for number in range(warm_up + pairs):
        (time_a, printed_a), (time_b, printed_b) = _run(a, environment_a), _run(b, environment_b)
        if number >= warm_up:
            found.append(((time_a, time_b), (printed_a, printed_b)))
    return found


def _run(command: Sequence[str], more: Mapping[str, str] | None) -> tuple[float, str]:
    """One process: milliseconds of wall time, and what it printed."""
    env = environment(more)
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env=env,
        check=True,
        cwd="/",  # whatever lies in the working folder is not to be imported
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    return (time.perf_counter() - started) * 1000, done.stdout


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Without what changes how Python starts; bytecode is written and read, as in deployment."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CODEGENIE"))}
    return {**inherited, **(more or {})}


def save(name: str, figures: Mapping[str, object]) -> Path:
    """Write the results of one benchmark on this Python, with what they were measured on."""
    version = ".".join(map(str, sys.version_info[:3]))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{version}.json"
    document = {
        "benchmark": name,
        "python": version,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
        "figures": figures,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
