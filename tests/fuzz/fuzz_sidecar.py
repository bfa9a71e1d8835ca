"""``PLUGINS.sha256``: any bytes explain a plugin only if they reproduce its digest in the lock."""

from __future__ import annotations

import hashlib
import os
import re

from codegenie.integrity import file_list
from codegenie.integrity.walk import Tree
from tests.fuzz import scratch

PLUGIN = "alpha"
TOKENS = [
    *(b"0" * 64, b"af" * 32, b"A" * 64, b"  ", b" ", b"\n", b"\r\n", b"alpha/", b"beta/", b"alpha"),
    *(b"  alpha/", b"/", b"..", b"\\", b"\0", b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8"),
    *(b"0" * 64 + b"  alpha/a\n", b"af" * 32 + b"  alpha/b/c\n", b"af" * 32 + b"  beta/a\n"),
]

# A line of this plugin: the text before the first two blanks, and the path.
LINE = re.compile(rb"((?:(?!  )[^\n])*)  alpha(?:/([^\n]*))?\Z")
DIGEST = re.compile(rb"[0-9a-f]{64}\Z")


def check(data: bytes) -> None:
    root = os.path.dirname(scratch.file_with("PLUGINS.sha256", data))
    section = section_of(data)
    digest = digest_of(section or {})
    got = file_list.read_section(root, PLUGIN, digest)
    assert got == section
    assert file_list.read_section(root, PLUGIN, hashlib.sha256(digest.encode()).hexdigest()) is None
    if section is None:
        return
    files = {path: (raw, 0) for path, raw in section.items()}
    assert not file_list.compare(section, files)
    assert file_list.compare(section, {}).removed == tuple(sorted(section))
    assert file_list.compare({}, files).added == tuple(sorted(section))
    scratch.file_with("PLUGINS.sha256", file_list.render(PLUGIN, Tree(files)))
    assert file_list.read_section(root, PLUGIN, digest) == section


def section_of(data: bytes) -> dict[str, bytes] | None:
    """Return the lines of the plugin, or ``None`` if one of them is not as it should be."""
    section: dict[str, bytes] = {}
    for line in data.split(b"\n"):
        found = LINE.match(line)
        if not found:
            continue
        try:
            # The line of a unit that is a single file has no path.
            path = PLUGIN if found[2] is None else found[2].decode("utf-8")
        except UnicodeDecodeError:
            return None
        if not DIGEST.match(found[1]) or path in section:
            return None
        section[path] = bytes.fromhex(found[1].decode())
    return section


def digest_of(section: dict[str, bytes]) -> str:
    lines = [(path.encode(), raw.hex().encode()) for path, raw in section.items()]
    lines.sort()
    return hashlib.sha256(b"".join(b"%s  %s\n" % (d, p) for p, d in lines)).hexdigest()
