"""The cost of a trust policy at the first guarded import, measured within the process.

A and B import the same small plugin under the guard. A pins a policy, B pins none. Both have loaded
the guard before the measurement begins, as an activated start has. One pair is pinned as an
activation file pins it, the others by code.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import paired

PAIRS = 101

SCRIPT = """
import sys, time
import codegenie.plugins.guard as guard
{pin}
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
        for name, (pin, plain) in _prepare(root).items():
            a = [sys.executable, "-c", SCRIPT.format(pin=pin)]
            b = [sys.executable, "-c", SCRIPT.format(pin=plain)]
            _, within = paired.processes_and_within(a, b, pairs=PAIRS)
            results[name] = within.as_dict()
            print(f"  {name:<40} {within.difference:+.2f} ms")
    paired.save("trust", results)


def _prepare(root: Path) -> dict[str, tuple[str, str]]:
    """Write a locked and signed plugin; return how each way pins it, with a policy and without."""
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
    in_place = {**pinned, "at": "install"}
    folder = {"root": str(root)}
    plain, activated = f"guard.install(root={str(root)!r}", f"guard.pin(folders=[{folder!r}]"
    release = {**folder, "floor": 1, "statement": statement}
    return {
        "one Ed25519 signature at each start": (
            f"{plain}, trust={ {**pinned, 'floor': 1, 'statement': statement}!r})",
            f"{plain})",
        ),
        "a statement pinned at the installation": (
            f"{plain}, trust={ {**in_place, 'statement': statement}!r})",
            f"{plain})",
        ),
        "the same, by an activation file": (
            f"guard.pin(folders=[{release!r}], trust={in_place!r})",
            f"{activated})",
        ),
    }
