"""Many threads that import at once, and workers that are forked after one has verified."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import paired
from benchmarks.packages import WORKLOADS, codegenie, installed, lay_out

THREADS = 32
WORKERS = 8
PAIRS = 6

MODULES = (
    "rich.table",
    "rich.console",
    "rich.progress",
    "rich.markdown",
    "jinja2",
    "jinja2.sandbox",
    "werkzeug.wrappers",
    "werkzeug.routing",
)

# Plain Python fails where several threads import a namespace package first (there is no `plugins`
# for some of them), so it is given that before they begin; the guarded run verifies in its threads.
IN_THREADS = f"""
import importlib, threading
barrier = threading.Barrier({THREADS})
failures = []
def work():
    barrier.wait()
    try:
        for module in MODULES:
            importlib.import_module("plugins." + module)
    except BaseException as error:
        failures.append(error)
threads = [threading.Thread(target=work) for number in range({THREADS})]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not failures, failures
"""

# The parent verifies, as an application does that loads before it forks; each worker imports.
IN_WORKERS = f"""
import importlib, os
import plugins
workers = []
for number in range({WORKERS}):
    worker = os.fork()
    if not worker:
        for module in MODULES:
            importlib.import_module("plugins." + module)
        os._exit(0)
    workers.append(worker)
for worker in workers:
    assert os.waitpid(worker, 0)[1] == 0
"""


def main() -> None:
    """Print and save the figures of this Python."""
    results: dict[str, object] = {}
    workload = next(each for each in WORKLOADS if "rich" in each.packages)
    with tempfile.TemporaryDirectory() as temporary:
        packages = installed()
        guarded = lay_out(workload, packages, Path(temporary, "guarded"))
        codegenie("plugins", "compile", str(guarded / "plugins"))
        plain = lay_out(workload, packages, Path(temporary, "plain"))
        print(f"concurrency, Python {sys.version.split()[0]}, medians of {PAIRS} pairs")
        for name, program in (
            (f"{THREADS} threads import at once", IN_THREADS),
            (f"{WORKERS} workers forked after one verified parent", IN_WORKERS),
        ):
            figures = paired.processes(
                _command("import codegenie.plugins.guard\n", guarded, program),
                _command("", plain, "import plugins\n" + program),
                pairs=PAIRS,
            )
            results[name] = figures.as_dict()
            print(f"  {name:<48} {figures.ratio:.3f} of plain Python, warm")
    paired.save("concurrency", results)


def _command(first: str, folder: Path, program: str) -> list[str]:
    code = f"{first}import sys\nsys.path.insert(0, {str(folder)!r})\nMODULES = {MODULES!r}\n"
    return [sys.executable, "-c", code + program]


if __name__ == "__main__":
    main()
