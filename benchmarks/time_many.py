"""Many plugins: verify 500 of 40 files each; and 10,000 loads by one process.

The verification is compared with the floor, which reads every byte and computes one SHA-256 over
all of them, in the same process and in turns, in processor time. The loads go to a folder that
changes each time, as in a service that reloads: two releases take turns, each with new content.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import memory, paired, shapes
from benchmarks.environments import environment
from benchmarks.packages import MANIFEST, codegenie

PLUGINS, FILES = 500, 40
ROUNDS = 7
LOADS = 10_000

# Prints JSON: milliseconds of the verification of the whole folder and of the floor.
VERIFY = """
import json, os, sys, time
from codegenie.guarded_folder import GuardedFolder
from codegenie.hashing import sha256
from codegenie.integrity import verification

root, rounds = sys.argv[1], int(sys.argv[2])
folder = GuardedFolder.at(root)

def floor():
    total = sha256(b"")
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                while block := file.read(1 << 20):
                    total.update(block)
    return total.digest()

def verify():
    for verdict in verification.verify_root(folder):
        verdict.unwrap()

def one(function):
    started = time.process_time()
    function()
    return (time.process_time() - started) * 1000

verify(), floor()
pairs = [(one(verify), one(floor)) for _ in range(rounds)]
json.dump({"verify": [a for a, _ in pairs], "floor": [b for _, b in pairs]}, sys.stdout)
"""

# Prints JSON: per tenth of the loads the memory, the descriptors and the processor time.
LOAD = '''
import gc, json, os, sys, time
from pathlib import Path
from codegenie.authoring import locking
from codegenie.plugins.loader import load_plugins
from codegenie.plugins.registry import PluginRegistry

API = """
from codegenie.plugins.registry import register_plugin
class Plugin:
    name = "subject"
    value = {value}
register_plugin(Plugin())
"""
roots, loads = [Path(root) for root in sys.argv[2:]], int(sys.argv[1])

def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def load(number):
    root = roots[number % 2]
    (root / "subject" / "api.py").write_text(API.format(value=1_000_000 + number))
    locking.write_proposal(locking.propose(str(root)), str(root / "PLUGINS.lock"))
    begin = time.process_time()
    load_plugins(root, root / "PLUGINS.lock", registry=PluginRegistry()).unwrap()
    return time.process_time() - begin

tenths, times = [], []
for number in range(loads):
    times.append(load(number))
    if len(times) == loads // 10:
        gc.collect()
        tenths.append((memory(), len(os.listdir("/proc/self/fd")), sorted(times)[len(times) // 2]))
        times.clear()
json.dump(tenths, sys.stdout)
'''


def main() -> None:
    """Print and save the figures of this Python."""
    print(f"many plugins, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as temporary:
        results = measure(Path(temporary))
    for name, value in results.items():
        print(f"  {name:<62} {value:.3f}")
    paired.save("many", results)


def measure(folder: Path) -> dict[str, float]:
    """Return each figure by its name."""
    python = environment(folder / "environment")
    all_of_them = _plugins(folder / "all", PLUGINS)
    half = _plugins(folder / "half", PLUGINS // 2)
    times = json.loads(paired.printed([python, "-c", VERIFY, str(all_of_them), str(ROUNDS)]))
    peaks = [
        memory.peak_over_bare(python, shapes.guarded(python, root)[-1]) or 0.0
        for root in (half, all_of_them)
    ]
    return {
        f"{PLUGINS} plugins of {FILES} files / floor": statistics.median(
            a / b for a, b in zip(times["verify"], times["floor"], strict=True)
        ),
        "memory of a plugin among 250, kB": peaks[0] / (PLUGINS // 2) * 1000,
        "memory of each further plugin up to 500, kB": (peaks[1] - peaks[0])
        / (PLUGINS - PLUGINS // 2)
        * 1000,
        **_loads(folder / "loads"),
    }


def _loads(folder: Path) -> dict[str, float]:
    roots = [shapes.locked(folder / release / "plugins") for release in ("old", "new")]
    command = [sys.executable, "-c", LOAD, str(LOADS), *map(str, roots)]
    tenths = json.loads(paired.printed(command))
    first, last = tenths[1], tenths[-1]  # the first tenth fills caches
    return {
        f"{LOADS} loads: memory at the end / after 2,000": last[0] / first[0],
        f"{LOADS} loads: descriptors at the end - after 2,000": last[1] - first[1],
        f"{LOADS} loads: time of the last 1,000 / of the second 1,000": last[2] / first[2],
    }


def _plugins(folder: Path, number: int) -> Path:
    """Return a locked folder with ``number`` plugins of ``FILES`` files."""
    root = folder / "plugins"
    for index in range(number):
        plugin = root / f"p{index:03}"
        plugin.mkdir(parents=True)
        (plugin / "plugin.yaml").write_text(MANIFEST.format(name=plugin.name))
        for file in range(FILES - 1):
            text = f"{index:04}{file:04}".encode() * (shapes.SMALL_FILE // 8)
            (plugin / f"f{file:02}.txt").write_bytes(text)
    codegenie("plugins", "lock", str(root))
    return root


if __name__ == "__main__":
    main()
