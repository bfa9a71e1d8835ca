"""Read a whole ``PLUGINS.sha256`` by plugin, in linear time.

A refusal reads the lines of one plugin only (``codegenie.integrity.file_list``). Commands that
rewrite the file use this module, because they keep the lines of all other plugins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from codegenie.files import read_regular
from codegenie.integrity.file_list import MAX_SIDECAR_BYTES
from codegenie.result import Err, Ok, Result
from codegenie.types.parsers import parse_plugin_id

_LINE = re.compile(rb"^[0-9a-f]{64}  ([^/\n]+)(?:/[^\n]+)?\n", re.MULTILINE)

MALFORMED = "holds a line that is neither '<sha256>  <plugin>/<path>' nor '<sha256>  <file>'"


def read_sections(path: str, *, strict: bool) -> Result[Mapping[str, bytes], str]:
    """Return the lines of each plugin, in their order in the file.

    Args:
        path: the file.
        strict: refuse a file that has any other line. Otherwise such lines are skipped.
    """
    data = read_regular(path, max_bytes=MAX_SIDECAR_BYTES)
    if isinstance(data, Err):
        return Err(f"cannot be read: {data.error.detail}")
    text = data.value
    if not strict and text and not text.endswith(b"\n"):
        text += b"\n"
    # Keep the positions of runs of lines, because an object for each line would take several times
    # the memory of the file.
    runs: dict[str, list[tuple[int, int]]] = {}
    end = 0
    name = b""
    for line in _LINE.finditer(text):
        if strict and line.start() != end:
            return Err(MALFORMED)
        if line[1] != name:
            name = line[1]
            places = _places_of(runs, name)
        if places is None:
            if strict:
                return Err(MALFORMED)
            continue
        if places and places[-1][1] == line.start():
            places[-1] = (places[-1][0], line.end())
        else:
            places.append(line.span())
        end = line.end()
    if strict and end != len(text):
        return Err(MALFORMED)
    return Ok({plugin: b"".join(text[a:b] for a, b in runs[plugin]) for plugin in runs})


def _places_of(runs: dict[str, list[tuple[int, int]]], name: bytes) -> list[tuple[int, int]] | None:
    # A byte that is not UTF-8 becomes a surrogate, which no id holds.
    plugin = parse_plugin_id(name.decode("utf-8", "surrogateescape"))
    return None if isinstance(plugin, Err) else runs.setdefault(plugin.value, [])
