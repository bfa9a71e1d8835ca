"""``PLUGINS.sha256``: file digests that explain a mismatch. Never trusted to allow anything.

Lines ``<64 hex>  <plugin id>/<path>``, as ``sha256sum -c`` reads them. A plugin's section counts
only if it reproduces the digest that the lock pins; then it can say which files differ.
"""

import os

from codegenie.files import read_regular
from codegenie.hashing import tree_digest_of_digests
from codegenie.plugins._enforce.differences import Differences
from codegenie.result import Err
from codegenie.types.parsers import parse_blob_digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from codegenie.plugins._enforce.tree import Files

SIDECAR_NAME = "PLUGINS.sha256"
MAX_SIDECAR_BYTES = 64 * 1024 * 1024


def read_section(root: str, plugin: str, expected: str) -> dict[str, bytes] | None:
    """The file digests of one plugin, or ``None`` unless they reproduce ``expected``."""
    data = read_regular(f"{root}/{SIDECAR_NAME}", max_bytes=MAX_SIDECAR_BYTES)
    if isinstance(data, Err):
        return None
    prefix = f"{plugin}/".encode()
    section: dict[str, bytes] = {}
    for line in data.value.split(b"\n"):
        digest, separator, path = line.partition(b"  ")
        if not separator or not path.startswith(prefix):
            continue
        try:
            parsed = parse_blob_digest(digest.decode("ascii"))
            name = path[len(prefix) :].decode("utf-8")
        except UnicodeDecodeError:
            return None
        if isinstance(parsed, Err) or name in section:
            return None
        section[name] = bytes.fromhex(parsed.value)
    return section if tree_digest_of_digests(section.items()) == expected else None


def compare(section: "Mapping[str, bytes]", files: "Files") -> Differences:
    """What differs between a believed section and the files that a walk found."""
    return Differences(
        changed=sorted(p for p in section if p in files and files[p][0] != section[p]),
        added=sorted(p for p in files if p not in section),
        removed=sorted(p for p in section if p not in files),
    )


def explain(root: str, plugin: str, expected: str, files: "Files") -> Differences | None:
    """Which files differ, where the sidecar can prove it; otherwise ``None``."""
    section = read_section(root, plugin, expected)
    return None if section is None else compare(section, files)


def render(trees: "Mapping[str, Files]") -> bytes:
    """The sidecar of all plugins, ordered as ``sort`` orders it."""
    return b"".join(
        f"{trees[plugin][path][0].hex()}  {plugin}/{path}\n".encode()
        for plugin in sorted(trees)
        for path in sorted(trees[plugin])
    )


def write(root: str, data: bytes, *, mode: int | None = None) -> None:
    """Replace the sidecar atomically, keeping its permissions; a new one gets ``mode``.

    Raises:
        FolderNotFlushed: the sidecar was replaced.
        OSError: the old sidecar is untouched.
    """
    from codegenie.writing import replace  # a process that only verifies does without

    path = f"{root}/{SIDECAR_NAME}"
    replace(path, data, mode=None if os.path.isfile(path) else mode)
