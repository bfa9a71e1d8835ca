"""Run mutants of the enforcing modules, each against the tests that concern it.

Each worker has an environment of its own, because the tests start interpreters: its ``codegenie``
is a copy, in which one module at a time is a mutant. Prints each mutant that survives. Ends with 1
if one does, and with 2 if the tests fail without a mutant, or if an entry of the list of equivalent
mutants matches none.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tests.mutation.concern import CONCERNS, Concern
from tests.mutation.equivalent import EQUIVALENT, unmatched
from tests.mutation.mutants import Mutant, Name, mutants_of

REPOSITORY = Path(__file__).parent.parent.parent
SOURCE = REPOSITORY / "src" / "codegenie"
SECONDS = 1200
"""Of a worker for one mutant, before it is counted as one that hangs, and so killed."""


@dataclass(frozen=True)
class Result:
    mutant: Mutant
    survived: bool
    killer: str


class Worker:
    """An environment with a copy of ``codegenie``, and a process in it that runs tests."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        site = folder / "lib" / version / "site-packages"
        installed = Path(sysconfig.get_path("purelib"))
        shutil.copytree(SOURCE, site / "codegenie")
        for record in installed.glob("codegenie-*.dist-info"):
            shutil.copytree(record, site / record.name)
        (site / "others.pth").write_text(f"{installed}\n")
        self._package = site / "codegenie"
        self._stamp = 1_000_000_000
        self._process: subprocess.Popen[str] | None = None

    def run(self, mutant: Mutant, concern: Concern, first: list[str]) -> Result:
        """Run the tests of ``concern``, and of these ``first`` the ones named there."""
        path = path_of(mutant.name.module, self._package)
        source = path.read_bytes()
        try:
            self._write(path, mutant.apply(source))
            killer = self.killer(concern, first)
        finally:
            self._write(path, source)
        return Result(mutant, not killer, killer)

    def killer(self, concern: Concern, first: list[str]) -> str:
        """Return the first thing that failed, or an empty string."""
        process = self._process or self._start()
        self._process = process
        answer: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=lambda: answer.put(_line(process.stdout)), daemon=True)
        reader.start()
        assert process.stdin is not None
        task = {"tests": concern.tests, "attacks": concern.attacks, "first": first}
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        try:
            answered = answer.get(timeout=SECONDS)
        except queue.Empty:
            self.stop()
            return "it hangs"
        if not answered:
            self.stop()
            return "it ended the process"
        return str(json.loads(answered))

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.python, "-m", "tests.mutation.worker"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _write(self, path: Path, source: bytes) -> None:
        path.write_bytes(source)
        # Python recognizes its bytecode by size and second.
        self._stamp += 10
        os.utime(path, (self._stamp, self._stamp))


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def path_of(module: str, package: Path) -> Path:
    path = package.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def all_mutants(seed: int) -> dict[str, list[Mutant]]:
    """Return every mutant of each enforcing module, in the order of the seed."""
    return {
        module: mutants_of(module, path_of(module, SOURCE).read_bytes(), seed)
        for module in CONCERNS
    }


def chosen(every: dict[str, list[Mutant]], per_module: int | None) -> list[Mutant]:
    """Return the mutants to run, in turn from all modules."""
    found = []
    for module, mutants in every.items():
        number = CONCERNS[module].mutants if per_module is None else per_module
        found += list(enumerate(mutants[:number]))
    return [mutant for _, mutant in sorted(found, key=lambda item: item[0])]


def recorded(log: Path) -> dict[Name, str]:
    """Return the mutants of an earlier run, each with what killed it; empty if it survived."""
    results = [json.loads(line) for line in log.read_text().splitlines()]
    return {Name(**result["mutant"]["name"]): result["killer"] for result in results}


class Run:
    """The mutants that are left, what killed others, and what fails without a mutant."""

    def __init__(self, mutants: list[Mutant], earlier: dict[Name, str]) -> None:
        self._earlier = earlier
        self.todo: queue.Queue[Mutant] = queue.Queue()
        for mutant in mutants:
            self.todo.put(mutant)
        self.done: queue.Queue[Result] = queue.Queue()
        self.failing: set[str] = set()
        self._passing: set[str] = set()
        self._killers: dict[str, list[str]] = defaultdict(list)
        for name, killer in earlier.items():
            if "/" in killer and killer not in self._killers[name.module]:
                self._killers[name.module].append(killer)

    def work(self, worker: Worker) -> None:
        while True:
            try:
                mutant = self.todo.get_nowait()
            except queue.Empty:
                worker.stop()
                return
            module = mutant.name.module
            earlier = [killer for killer in [self._earlier.get(mutant.name)] if killer]
            result = worker.run(mutant, CONCERNS[module], [*earlier, *self._killers[module]])
            if "/" in result.killer:
                self._remember(worker, module, result.killer)
            self.done.put(result)

    def _remember(self, worker: Worker, module: str, killer: str) -> None:
        """Let a test that killed a mutant run first from now on, if it passes without a mutant."""
        if killer not in self._passing | self.failing:
            failed = worker.killer(Concern(()), [killer])
            (self.failing if failed else self._passing).add(killer)
        if killer in self._passing and killer not in self._killers[module]:
            self._killers[module].insert(0, killer)


def run_all(
    mutants: list[Mutant], earlier: dict[Name, str], workers: int, log: IO[str]
) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="codegenie-mutation-") as folder:
        Path(folder).chmod(0o755)  # some tests start a process of another user
        every = [Worker(Path(folder, str(number))) for number in range(workers)]
        run = Run(mutants, earlier)
        threads = [threading.Thread(target=run.work, args=(worker,)) for worker in every]
        for thread in threads:
            thread.start()
        results = []
        for _ in mutants:
            result = run.done.get()
            if result.killer in run.failing:
                print(f"fails without a mutant, too: {result.killer}", flush=True)
                continue
            results.append(result)
            if result.survived:
                print(f"survived  {result.mutant}", flush=True)
            record: dict[str, Any] = asdict(result)
            log.write(json.dumps(record) + "\n")
            log.flush()
        return results


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="names below codegenie; all without one")
    parser.add_argument("--seed", type=int, default=1, help="puts the mutants in another order")
    parser.add_argument("--per-module", type=int, help="mutants of each module")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--log", type=Path, help="add each result to this file, as JSON")
    parser.add_argument(
        "--again", type=Path, metavar="LOG", help="run the mutants of an earlier run"
    )
    parser.add_argument(
        "--survived", action="store_true", help="with --again: only those that survived"
    )
    parser.add_argument(
        "--without",
        type=Path,
        action="append",
        default=[],
        metavar="LOG",
        help="leave out the mutants of an earlier run",
    )
    given = parser.parse_args()
    unknown = sorted(set(given.modules) - CONCERNS.keys())
    if unknown:
        parser.error(f"no such module: {', '.join(unknown)}")
    return given


def selected(
    given: argparse.Namespace, every: dict[str, list[Mutant]], earlier: dict[Name, str]
) -> list[Mutant]:
    """Return the mutants that the arguments select."""
    modules = {module: every[module] for module in given.modules or CONCERNS}
    if given.again:
        names = {n for n, killer in earlier.items() if not (given.survived and killer)}
        return [m for mutants in modules.values() for m in mutants if m.name in names]
    return [m for m in chosen(modules, given.per_module) if m.name not in earlier]


def main() -> int:
    given = arguments()
    every = all_mutants(given.seed)
    outdated = unmatched(mutant.name for mutants in every.values() for mutant in mutants)
    for name in outdated:
        print(f"the list of equivalent mutants names one that does not exist: {name}")
    logs = [given.again] if given.again else given.without
    earlier = {name: killer for log in logs for name, killer in recorded(log).items()}
    mutants = selected(given, every, earlier)
    different = [mutant for mutant in mutants if mutant.name not in EQUIVALENT]
    with open(given.log or os.devnull, "a") as log:
        results = run_all(different, earlier, given.workers, log)
    survived = sum(result.survived for result in results)
    print(
        f"{len(mutants)} mutants: {len(results) - survived} killed, {survived} survived, "
        f"{len(mutants) - len(different)} equivalent, "
        f"{len(different) - len(results)} not run because tests fail without a mutant"
    )
    if outdated or len(results) < len(different):
        return 2
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
