"""A service that runs for long: memory, descriptors and the event log stay flat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.endurance import Rounds, times
from tests.endurance.disks import fill
from tests.fixtures.trees import Application

LOADS = times(300, 10_000)
"""A long run goes on with more, for as long as it may."""

# Two releases of the folder take turns. Each load sees a folder that has changed: the other
# release, a new content of it, or a content that is not locked, which is refused.
SERVICE = """
import array, gc, json, os, sys, time
from pathlib import Path
from codegenie.authoring import locking
from codegenie.plugins.loader import load_plugins
from codegenie.plugins.registry import PluginRegistry

API = '''
from codegenie.plugins.registry import register_plugin
class Plugin:
    name = "alpha"
    value = {value}
PLUGIN = register_plugin(Plugin())
'''
roots = [Path("plugins").resolve(), Path("other").resolve()]
log = Path(os.environ["CODEGENIE_GUARD_LOG"])

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def load(root, value, locked):
    (root / "alpha" / "api.py").write_text(API.format(value=value))
    if locked:
        proposal = locking.propose(str(root))
        assert not proposal.refusals
        assert locking.write_proposal(proposal, str(root / "PLUGINS.lock")) is None
    registry = PluginRegistry()
    loaded = load_plugins(root, root / "PLUGINS.lock", registry=registry)
    if locked:
        assert loaded.unwrap().total_walked == 1, loaded
        assert registry.get("alpha").value == value
    else:
        assert loaded.unwrap_err().kind == "integrity_mismatch"
        assert registry.all() == ()

measured = []
for turn in rounds():
    load(roots[turn % 2], 1_000_000 + turn, turn % 5 != 4)
    if turn % 100 == 99:
        rotated = log.with_suffix(".old")
        log.rename(rotated)
        gc.collect()
        counts = sys.getallocatedblocks(), len(gc.get_objects()), len(sys.modules)
        descriptors = len(os.listdir("/proc/self/fd"))
        numbers = memory(), *counts, descriptors, rotated.stat().st_size, time.process_time()
        measured.append(array.array("d", numbers))
        del counts, numbers
print(json.dumps([turn + 1, *map(list, measured)]))
"""


def test_a_service_that_reloads_stays_as_it_is(application: Application, rounds: Rounds) -> None:
    (application.folder / "other").mkdir()
    for name in ("plugins", "other"):
        folder = application.folder / name / "alpha"
        folder.mkdir(exist_ok=True)
        (folder / "plugin.yaml").write_bytes((application.plugin / "plugin.yaml").read_bytes())
        (folder / "helper.py").write_text("VALUE = 42\n")
    log = application.folder / "log"
    done = application.start(
        [sys.executable, "-c", rounds.in_script(LOADS) + SERVICE],
        environment={"CODEGENIE_GUARD_LOG": str(log)},
        timeout=10 * rounds.patience,
    )
    assert done.status == 0, done
    loads, *measured = json.loads(done.stdout)
    what = ("bytes of memory", "blocks", "objects", "modules", "descriptors", "bytes of log")
    for name, *values in zip(what, *(measured[at] for at in (0, -1)), strict=False):
        rounds.figures[name] = "{:.0f} to {:.0f}".format(*values)
    rounds.figures["loads"] = loads
    rounds.figures["milliseconds a load"] = milliseconds(measured[: len(measured) // 2 + 1])
    rounds.figures["in the second half"] = milliseconds(measured[len(measured) // 2 :])
    # Each list of numbers that is kept takes two blocks.
    first, last = measured[0], measured[-1]
    assert last[3:5] == first[3:5]
    assert last[2] - first[2] < 2 * len(measured) + 100
    assert last[1] - first[1] < 3 * len(measured) + 1000
    # The C library takes memory from the kernel by the megabyte and keeps it. A KiB a load would be
    # ten megabytes.
    assert last[0] - first[0] < 4 * 1024 * 1024
    sizes = [numbers[5] for numbers in measured]
    assert max(sizes) < 2 * min(sizes)


def milliseconds(measured: list[list[float]]) -> str:
    """Return the processor time of one load, between the first measurement and the last."""
    loads = 100 * (len(measured) - 1)
    return f"{1000 * (measured[-1][-1] - measured[0][-1]) / loads:.2f}"


# Many processes write one log, which is renamed under them.
WRITERS = """
import os, sys
from codegenie._enforce.event_log import EventLog
log = EventLog(sys.argv[1])
children = []
for number in range(32):
    child = os.fork()
    if not child:
        for line in range(int(sys.argv[2])):
            log.write("verified", plugin=f"{number}-{line}", padding="x" * (line * 37 % 3000))
        os._exit(0)
    children.append(child)
assert not any(os.waitpid(child, 0)[1] for child in children)
"""


def writers(log: Path, lines: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITERS, str(log), str(lines)])


def rotate(log: Path, number: int) -> int:
    """Rename the log. Returns the number of the next one."""
    try:
        log.rename(log.with_name(f"log.{number}"))
    except FileNotFoundError:
        return number  # none has written since
    return number + 1


def logged(folder: Path) -> Counter[str]:
    """Count the plugins in all logs. Every line must be whole, or blank at the end of a log."""
    return Counter(
        json.loads(line)["plugin"]
        for path in folder.glob("log*")
        for line in path.read_bytes().rstrip(b" ").splitlines()
    )


def test_no_line_of_32_processes_is_torn_or_lost(
    tmp_path: Path, figures: dict[str, object]
) -> None:
    lines = times(100, 5000)
    log = tmp_path / "log"
    started = writers(log, lines)
    rotated = 0
    while started.poll() is None:
        rotated = rotate(log, rotated)
    assert started.returncode == 0
    seen = logged(tmp_path)
    assert len(seen) == sum(seen.values()) == 32 * lines
    figures.update(lines=32 * lines, rotated=rotated)


def test_a_full_disk_loses_whole_lines_of_32_processes(small_disk: Path, rounds: Rounds) -> None:
    """Fill the disk and make room again, all the time. Afterwards no line is lost."""
    log = small_disk / "log"
    lost = kept = rotated = 0
    for _ in rounds.run(2):
        started = writers(log, 50)
        while started.poll() is None:
            ballast = fill(small_disk)
            rotated = rotate(log, rotated)
            ballast.unlink()
        assert started.returncode == 0
        seen = logged(small_disk)
        assert len(seen) == sum(seen.values())
        kept += len(seen)
        lost += 32 * 50 - len(seen)
        for path in small_disk.glob("log*"):
            path.unlink()
        assert writers(log, 5).wait() == 0
        assert len(logged(small_disk)) == 32 * 5
        log.unlink()
    rounds.figures.update(kept=kept, lost=lost, rotated=rotated)
    assert lost
    assert kept
