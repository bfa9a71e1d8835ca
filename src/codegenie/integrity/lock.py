"""Read, check and write ``PLUGINS.lock``.

One UTF-8 JSON object, ``{plugin id: tree digest}``, at most 64 KiB. No other module parses it.
"""

import os

from codegenie._start.own_modules import Late
from codegenie.files import Unreadable, read_regular
from codegenie.parsers import safe_json
from codegenie.result import Err, Ok
from codegenie.types.parsers import folded, parse_blob_digest, parse_plugin_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping  # noqa: F401

    from codegenie.refusals import kinds
    from codegenie.refusals.record import Refusal  # noqa: F401
    from codegenie.result import Result  # noqa: F401
else:
    kinds = Late("refusals.kinds")

MAX_LOCK_BYTES = 64 * 1024
MAX_LOCK_DEPTH = 2


def read(path):
    # type: (str) -> Result[dict[str, str], Refusal]
    """Read a lock. Every error is a ``lock_file_malformed``."""
    data = read_regular(path, max_bytes=MAX_LOCK_BYTES)
    if isinstance(data, Err) and not os.path.lexists(path):
        return Err(kinds.lock_missing(path))
    if isinstance(data, Err):
        return Err(kinds.lock_file_malformed(path, str(data.error)))
    return parse(path, data.value)


def parse(path, data):
    # type: (str, bytes) -> Result[dict[str, str], Refusal]
    """Return the entries of a lock from the bytes that were read from ``path``."""
    try:
        value = safe_json.parse(data, max_depth=MAX_LOCK_DEPTH)
    except ValueError as error:
        return Err(kinds.lock_file_malformed(path, str(Unreadable(path, str(error)))))
    if not isinstance(value, dict):
        detail = "must be one JSON object, {plugin id: digest}"
        return Err(kinds.lock_file_malformed(path, str(Unreadable(path, detail))))
    entries: dict[str, str] = {}
    for key, entry in value.items():
        plugin = parse_plugin_id(key)
        if isinstance(plugin, Err):
            return Err(kinds.lock_file_malformed(path, f"{path}: {plugin.error}"))
        digest = parse_blob_digest(entry)
        if isinstance(digest, Err):
            detail = f"{path}: the entry of {plugin.value!r}: {digest.error}"
            return Err(kinds.lock_file_malformed(path, detail))
        entries[plugin.value] = digest.value
    twins = colliding(entries)
    if twins is not None:
        detail = (
            f"{path}: {twins[0]!r} and {twins[1]!r} are one name on file systems that fold case"
        )
        return Err(kinds.lock_file_malformed(path, detail))
    return Ok(entries)


def names_of(units):
    # type: (Iterable[str]) -> list[str]
    """Return what a folder of top-level modules claims: the module name of each unit.

    These names also tell which entries are guarded, in a folder that is shared with others. No
    import can name a folder or a data file with a dot in its name (``json.v2``, ``numpy.libs``), so
    its whole name is kept: it claims no module ``json``.
    """
    return sorted({_name_of(unit) for unit in units})


def _name_of(unit):
    # type: (str) -> str
    first, _, rest = unit.partition(".")
    # An extension module of any interpreter: "_fast.cpython-311-x86_64-linux-gnu.so".
    return first if not rest or rest == "py" or rest.endswith("so") else unit


def colliding(names):
    # type: (Iterable[str]) -> tuple[str, str] | None
    """Return the first two names, in order, that are equal after folding; None if all differ."""
    known: dict[str, str] = {}
    for name in sorted(names):
        other = known.setdefault(folded(name), name)
        if other is not name:
            return other, name
    return None


def render(entries):
    # type: (Mapping[str, str]) -> bytes
    """Return the bytes of a lock: sorted by id, indented by two, with a final newline."""
    # This equals json.dumps(indent=2, sort_keys=True).
    if not entries:
        return b"{}\n"
    lines = ",\n".join(render_entry(plugin, entries[plugin]) for plugin in sorted(entries))
    return f"{{\n{lines}\n}}\n".encode("ascii")


def render_entry(plugin, digest):
    # type: (str, str) -> str
    """Return the line of one entry, without its end. Characters outside ASCII are escaped."""
    return f'  {safe_json.quote(plugin)}: "{digest}"'


def write_lock(path, entries):
    # type: (str, Mapping[str, str]) -> None
    """Replace the lock atomically, keeping its mode.

    Raises:
        FolderNotFlushed: the lock was replaced.
        OSError: the old lock is unchanged.
        ValueError: the old lock is unchanged, because the new one would be too large for a reader,
            or because the old one is a symbolic link.
    """
    data = render(entries)
    if len(data) > MAX_LOCK_BYTES:
        raise ValueError(
            f"the lock of {len(entries)} plugins would be {len(data)} bytes; "
            f"at most {MAX_LOCK_BYTES} are read"
        )
    if os.path.islink(path):
        raise ValueError("it is a symbolic link; a lock must be a file of its own")
    from codegenie.writing import replace  # never loaded by a process that only verifies

    replace(path, data)
