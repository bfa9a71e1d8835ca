"""The cost of a trust policy at the first guarded import, measured within the process.

A and B import the same small plugin under the guard. A pins a policy, B pins none. Both have loaded
the guard before the measurement begins, as an activated start has.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import paired

PAIRS = 41

SCRIPT = """
import sys, time
import codegenie.plugins.guard as guard
guard.install(root={root!r}, trust={trust!r})
begin = time.perf_counter()
import plugins.tiny
print((time.perf_counter() - begin) * 1000)
"""


def main() -> None:
    """Print and save the figures of this Python."""
    results: dict[str, dict[str, float | int]] = {}
    print(f"trust, Python {sys.version.split()[0]}, medians of {PAIRS} pairs, within the process")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary, "plugins")
        for name, trust in _prepare(root).items():
            a = [sys.executable, "-c", SCRIPT.format(root=str(root), trust=trust)]
            b = [sys.executable, "-c", SCRIPT.format(root=str(root), trust=None)]
            _, within = paired.processes_and_within(a, b, pairs=PAIRS)
            results[name] = within.as_dict()
            print(f"  {name:<40} {within.difference:+.2f} ms")
    paired.save("trust", results)


def _prepare(root: Path) -> dict[str, dict[str, object]]:
    """Write a locked and signed plugin; return the settings of each way to trust it."""
    (root / "tiny").mkdir(parents=True)
    (root / "tiny" / "__init__.py").write_text("VALUE = 1\n")
    key = root.with_name("key")
    policy = root.with_name("trust.json")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    for command in (
        ["plugins", "lock", root],
        ["plugins", "sign", root, "--as", "alice", "--key", key, "--application", "benchmark"],
        ["trust", "init", policy, "--application", "benchmark"],
        ["trust", "add", policy, "alice", "--ssh", f"{key}.pub"],
    ):
        words = [sys.executable, "-m", "codegenie", *map(str, command), "--json"]
        done = subprocess.run(words, check=True, capture_output=True)
        json.loads(done.stdout)
    pinned = {"policy": str(policy), "sha256": hashlib.sha256(policy.read_bytes()).hexdigest()}
    statement = hashlib.sha256((root / "PLUGINS.statement.json").read_bytes()).hexdigest()
    return {
        "one Ed25519 signature at each start": {**pinned, "floor": 1, "statement": statement},
        "a statement pinned at the installation": {
            **pinned,
            "at": "install",
            "statement": statement,
        },
    }
