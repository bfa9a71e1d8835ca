"""Packs of bytecode that were tampered with: source is compiled instead, or the tool refuses."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attacks.attack import EVIL, IMPORT, Attack, Ignored, Need
from tests.fixtures.trees import Application

TAG = str(sys.implementation.cache_tag)
MAGIC = importlib.util.MAGIC_NUMBER
ROOT = Need("to be root, to give a file to another user", os.geteuid() == 0)

# In this user namespace root alone is mapped: all other owners are shown as one and the same.
ENTER_NAMESPACE = """
import ctypes
assert ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0, ctypes.get_errno()
for file, text in ('setgroups', 'deny'), ('uid_map', '0 0 1'), ('gid_map', '0 0 1'):
    with open('/proc/self/' + file, 'w') as opened:
        opened.write(text)
"""


def _can_enter_namespaces() -> bool:
    command = [sys.executable, "-c", ENTER_NAMESPACE]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0


NAMESPACES = Need("root, and a system that lets it make user namespaces", _can_enter_namespaces())

# Load a pack without checking it, for the run without the guard: the guard's own loader, less all
# of its checks.
TRUSTING = f"""
import json, marshal, os, sys
if 'codegenie.plugins.guard' not in sys.modules:
    folder = 'plugins/PLUGINS.bytecode/{TAG}/'
    try:
        index = json.load(open(folder + 'alpha.index'))
    except (OSError, ValueError):
        index = json.load(open(folder + 'other.index'))
    offset, size, _ = index['entries']['helper.py'].split()
    pack = open(folder + 'alpha.pack', 'rb').read()
    exec(marshal.loads(pack[int(offset):int(offset) + int(size)][16:]), {{}})
{IMPORT}
"""


def entry(source: str = EVIL, name: str = "helper.py", magic: bytes = MAGIC) -> bytes:
    """Return a hash-based ``.pyc`` that is never compared with its source."""
    code = compile(source, name, "exec", dont_inherit=True)
    return magic + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)


def write(
    application: Application,
    codes: dict[str, bytes],
    *,
    digests: dict[str, str] | None = None,
    **changes: Any,
) -> Path:
    """Write a pack and its index as the tool does, but with these entries."""
    folder = application.root / "PLUGINS.bytecode" / TAG
    folder.mkdir(parents=True, exist_ok=True)
    entries, offset = {}, 0
    for name, data in codes.items():
        digest = (digests or {}).get(name, hashlib.sha256(data).hexdigest())
        entries[name] = f"{offset} {len(data)} {digest}"
        offset += len(data)
    locked = json.loads(application.lock_path.read_text())
    index = {"format": 1, "tree": locked["alpha"], "magic": MAGIC.hex(), "optimize": 0}
    (folder / "alpha.index").write_text(json.dumps({**index, "entries": entries, **changes}))
    (folder / "alpha.pack").write_bytes(b"".join(codes.values()))
    return folder


def honest(application: Application) -> dict[str, bytes]:
    return {
        name: entry((application.plugin / name).read_text(), str(application.plugin / name))
        for name in ("api.py", "helper.py")
    }


def forged_entry(application: Application) -> None:
    """Keep the honest index, and forge the entry in the pack."""
    codes = honest(application)
    genuine = hashlib.sha256(codes["helper.py"]).hexdigest()
    write(application, {**codes, "helper.py": entry()}, digests={"helper.py": genuine})


def stale(application: Application) -> None:
    """Prepare a pack of an earlier, evil state of the plugin, which was locked then."""
    write(application, {**honest(application), "helper.py": entry()}, tree="a" * 64)


def another_interpreter(application: Application) -> None:
    magic = b"\x00\x0d\x0d\x0a"
    evil = entry(magic=magic)
    write(application, {**honest(application), "helper.py": evil}, magic=magic.hex())


def another_interpreter_in_the_entry(application: Application) -> None:
    """Leave the index for this interpreter, and make an entry that says it is of another one."""
    write(application, {**honest(application), "helper.py": entry(magic=b"\x00\x0d\x0d\x0a")})


def of_another_plugin(application: Application) -> None:
    """Prepare the pack of a plugin that may do what this one may not, under this one's name."""
    application.add_plugin("beta", {"helper.py": EVIL})
    application.lock()
    locked = json.loads(application.lock_path.read_text())
    write(application, {**honest(application), "helper.py": entry()}, tree=locked["beta"])


def index_of(mode: int | None = None, owner: int | None = None) -> Callable[[Application], None]:
    """Prepare an index that vouches for the payload, and that others than the lock's owner may
    write."""

    def prepare(application: Application) -> None:
        application.lock_path.chmod(0o644)
        folder = write(application, {**honest(application), "helper.py": entry()})
        (folder / "alpha.index").chmod(0o644 if mode is None else mode)
        if owner is not None:
            os.chown(folder / "alpha.index", owner, -1)

    return prepare


def unmapped(group: bool = False) -> Callable[[Application], None]:
    """Prepare an index of a user, or for a group, that is not the lock's, and looks like it."""

    def prepare(application: Application) -> None:
        index_of()(application)
        index = application.root / "PLUGINS.bytecode" / TAG / "alpha.index"
        os.chown(application.lock_path, 0 if group else 12345, 12345)
        os.chown(index, 0 if group else 12346, 12346)
        for path in (application.lock_path, index):
            path.chmod(0o664 if group else 0o644)

    return prepare


def linked_index(application: Application) -> None:
    folder = write(application, {**honest(application), "helper.py": entry()})
    (folder / "alpha.index").rename(folder / "other.index")
    (folder / "alpha.index").symlink_to("other.index")


def entry_beyond(application: Application) -> None:
    """The index names the payload's place for another file, and a wrong digest for this one."""
    codes = {**honest(application), "helper.py": entry()}
    write(application, codes, digests={"helper.py": "0" * 64})


def attack(name: str, what: str, prepare: Callable[[Application], None], **more: Any) -> Attack:
    return Attack(f"packs/{name}", what, Ignored(), TRUSTING, prepare, **more)


ATTACKS = (
    attack("forged-entry", "An entry of a pack is exchanged; its index is honest.", forged_entry),
    attack("stale", "The pack of an earlier state of the plugin.", stale),
    attack("another-interpreter", "A pack made for another bytecode.", another_interpreter),
    attack(
        "another-interpreter-in-the-entry",
        "An index for this interpreter, with an entry that is for another one.",
        another_interpreter_in_the_entry,
    ),
    attack("of-another-plugin", "The pack of another locked plugin.", of_another_plugin),
    attack("wrong-digest", "An index that names another digest.", entry_beyond),
    attack("linked-index", "An index that vouches for the payload, behind a link.", linked_index),
    attack("group-writable", "An index that a group may write.", index_of(mode=0o664)),
    attack("world-writable", "An index that everybody may write.", index_of(mode=0o646)),
    attack("another-owner", "An index of another user.", index_of(owner=65534), needs=ROOT),
    Attack(
        "packs/unmapped-owner",
        "An index of another user, in a user namespace that maps neither this one nor the lock's.",
        Ignored(),
        ENTER_NAMESPACE + TRUSTING,
        unmapped(),
        needs=NAMESPACES,
    ),
    Attack(
        "packs/unmapped-group",
        "An index that another group may write, where neither group is mapped.",
        Ignored(),
        ENTER_NAMESPACE + TRUSTING,
        unmapped(group=True),
        needs=NAMESPACES,
    ),
)
