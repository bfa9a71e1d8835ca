"""A service that runs for long: memory, descriptors and the event log stay flat."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.endurance import times
from tests.fixtures.trees import Application

LOADS = times(300, 10_000)

# Two releases of the folder take turns. Each load sees a folder that has changed: the other
# release, a new content of it, or a content that is not locked, which is refused.
SERVICE = """
import gc, json, os, sys
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
for turn in range(int(sys.argv[1])):
    load(roots[turn % 2], 1_000_000 + turn, turn % 5 != 4)
    if turn % 100 == 99:
        log.rename(log.with_suffix(f".{turn:06}"))
        gc.collect()
        measured.append((memory(), len(os.listdir("/proc/self/fd")), len(sys.modules)))
print(json.dumps(measured))
"""


def test_a_service_that_reloads_stays_as_it_is(application: Application) -> None:
    (application.folder / "other").mkdir()
    for name in ("plugins", "other"):
        folder = application.folder / name / "alpha"
        folder.mkdir(exist_ok=True)
        (folder / "plugin.yaml").write_bytes((application.plugin / "plugin.yaml").read_bytes())
        (folder / "helper.py").write_text("VALUE = 42\n")
    log = application.folder / "log"
    done = application.start(
        [sys.executable, "-c", SERVICE, str(LOADS)],
        environment={"CODEGENIE_GUARD_LOG": str(log)},
        timeout=36_000,
    )
    assert done.status == 0, done
    measured = json.loads(done.stdout)
    print(f"\n{LOADS} loads; memory, descriptors, modules: {measured[0]} to {measured[-1]}")
    first, last = measured[0], measured[-1]
    assert last[1:] == first[1:]
    assert last[0] - first[0] < 2 * 1024 * 1024  # a KiB a load would be ten times that
    sizes = [path.stat().st_size for path in sorted(application.folder.glob("log.*"))]
    assert len(sizes) == LOADS // 100
    assert max(sizes) < 2 * min(sizes)


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


def test_no_line_of_32_processes_is_torn_or_lost(tmp_path: Path) -> None:
    lines = times(100, 5000)
    log = tmp_path / "log"
    writers = subprocess.Popen([sys.executable, "-c", WRITERS, str(log), str(lines)])
    rotated = 0
    while writers.poll() is None:
        try:
            log.rename(tmp_path / f"log.{rotated}")
            rotated += 1
        except FileNotFoundError:
            pass  # none has written since
    assert writers.returncode == 0
    seen = Counter(
        json.loads(line)["plugin"]
        for path in tmp_path.glob("log*")
        for line in path.read_bytes().splitlines()
    )
    assert len(seen) == sum(seen.values()) == 32 * lines
