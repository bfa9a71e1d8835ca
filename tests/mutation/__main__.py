"""Run mutants of the enforcing modules, each against the tests that concern it.

Each worker has an environment of its own, because the tests start interpreters: its ``codegenie``
is a copy, in which one module at a time is a mutant. Prints each mutant that survives. Ends with 1
if one does, and with 2 if the tests fail without a mutant.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from tests.mutation.concern import CONCERNS
from tests.mutation.mutants import Mutant, mutants_of

REPOSITORY = Path(__file__).parent.parent.parent
SECONDS = 900
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
        shutil.copytree(REPOSITORY / "src" / "codegenie", site / "codegenie")
        for record in installed.glob("codegenie-*.dist-info"):
            shutil.copytree(record, site / record.name)
        (site / "others.pth").write_text(f"{installed}\n")
        self._package = site / "codegenie"
        self._stamp = 1_000_000_000
        self._process: subprocess.Popen[str] | None = None

    def run(self, mutant: Mutant) -> Result:
        path = path_of(mutant.module, self._package)
        source = path.read_bytes()
        try:
            self._write(path, mutant.apply(source))
            killer = self.killer(mutant.module)
        finally:
            self._write(path, source)
        return Result(mutant, not killer, killer)

    def killer(self, module: str) -> str:
        """Return the first thing that failed, or an empty string."""
        process = self._process or self._start()
        self._process = process
        answer: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=lambda: answer.put(_line(process.stdout)), daemon=True)
        reader.start()
        assert process.stdin is not None
        process.stdin.write(module + "\n")
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


def chosen(modules: list[str], per_module: int | None) -> list[Mutant]:
    """Return the mutants to run, in turn from all modules."""
    found = []
    for module in modules:
        source = path_of(module, REPOSITORY / "src" / "codegenie").read_bytes()
        number = CONCERNS[module].mutants if per_module is None else per_module
        found += list(enumerate(mutants_of(module, source)[:number]))
    return [mutant for _, mutant in sorted(found, key=lambda item: item[0])]


class Run:
    """The mutants that are left, and what the tests of each module say without a mutant."""

    def __init__(self, mutants: list[Mutant]) -> None:
        self.todo: queue.Queue[Mutant] = queue.Queue()
        for mutant in mutants:
            self.todo.put(mutant)
        self.done: queue.Queue[Result] = queue.Queue()
        self._unmutated = {mutant.module: threading.Lock() for mutant in mutants}
        self.broken: dict[str, str] = {}

    def work(self, worker: Worker) -> None:
        while True:
            try:
                mutant = self.todo.get_nowait()
            except queue.Empty:
                worker.stop()
                return
            with self._unmutated[mutant.module]:
                if mutant.module not in self.broken:
                    self.broken[mutant.module] = worker.killer(mutant.module)
            self.done.put(worker.run(mutant))


def run_all(mutants: list[Mutant], workers: int, log: IO[str] | None) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="codegenie-mutation-") as folder:
        Path(folder).chmod(0o755)  # some tests start a process of another user
        every = [Worker(Path(folder, str(number))) for number in range(workers)]
        run = Run(mutants)
        threads = [threading.Thread(target=run.work, args=(worker,)) for worker in every]
        for thread in threads:
            thread.start()
        results = []
        for number in range(len(mutants)):
            result = run.done.get()
            if run.broken[result.mutant.module]:
                print(
                    f"the tests of {result.mutant.module} fail without a mutant: "
                    f"{run.broken[result.mutant.module]}",
                    flush=True,
                )
                continue
            results.append(result)
            if result.survived:
                print(f"survived  {result.mutant}", flush=True)
            if log is not None:
                record: dict[str, Any] = {**asdict(result), "number": number}
                log.write(json.dumps(record) + "\n")
                log.flush()
        return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help="names below codegenie; all without one")
    parser.add_argument("--per-module", type=int, help="mutants of each module")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--log", type=argparse.FileType("w"), help="write each result, as JSON")
    given = parser.parse_args()
    unknown = sorted(set(given.modules) - CONCERNS.keys())
    if unknown:
        parser.error(f"no such module: {', '.join(unknown)}")
    mutants = chosen(given.modules or list(CONCERNS), given.per_module)
    results = run_all(mutants, given.workers, given.log)
    survived = sum(result.survived for result in results)
    print(f"{len(results)} mutants, {len(results) - survived} killed, {survived} survived")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
