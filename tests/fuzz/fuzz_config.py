"""Check ``codegenie.toml``: any bytes are the folders that TOML says, or a usage error."""

from __future__ import annotations

import os
import tomllib
from itertools import combinations
from typing import Any

from codegenie.cli import configuration
from codegenie.guarded_folder import GuardedFolder
from tests.fuzz import scratch

TOKENS = [
    *(
        b"[[folder]]\n",
        b'root = "',
        b'package = "',
        b"package = false\n",
        b'lock = "',
        b"others = ",
    ),
    *(b'"refuse"\n', b'"leave"\n', b"manifest = ", b'"auto"\n', b'"none"\n', b'"codegenie"\n'),
    *(b'application = "', b'"\n', b"'", b"\n", b"..", b"/", b".", b"plugins", b"\\u0000", b"\\"),
    *(
        b"[tool.codegenie]\n",
        b"[[tool.codegenie.folder]]\n",
        b"true",
        b"1979-05-27",
        b"nan",
        b"0x1",
    ),
    *(b'[[folder]]\nroot = "plugins"\n', b'[[folder]]\nroot = "a/b"\n', b"custom_nodes", b"a/b"),
    *(
        b"\xc3\xa9",
        b"e\xcc\x81",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\0",
        b"PLUGINS.lock",
        b"#",
        b"[",
        b"{",
    ),
]

KEYS = {"root", "package", "lock", "others", "manifest"}


ROOTS = ("plugins", "a", "a/b", "custom_nodes", "é")
"""Only a folder that exists can be guarded."""


def check(data: bytes) -> None:
    for root in ROOTS:
        os.makedirs(os.path.join(scratch.folder(), root), exist_ok=True)
    for name in (configuration.FILE_NAME, configuration.PROJECT_FILE):
        check_file(data, name)


def check_file(data: bytes, name: str) -> None:
    path = scratch.file_with(name, data)
    try:
        found = configuration.read(path)
    except configuration.BadConfiguration as error:
        refused = error
    else:
        check_configuration(found, tables_of(data, name))
        return
    assert refused.format_message().startswith(path)
    assert refused.format_message().isprintable()
    assert refused.exit_code == 2


def tables_of(data: bytes, name: str) -> dict[str, Any]:
    tables = tomllib.loads(data.decode("utf-8"))
    if name == configuration.FILE_NAME:
        return tables
    tool: dict[str, Any] = tables["tool"]["codegenie"]
    return tool


def check_configuration(found: configuration.Configuration, tables: dict[str, Any]) -> None:
    assert tables.keys() <= {"application", "folder"}
    assert found.application == tables.get("application")
    written = tables.get("folder", [])
    assert len(found.folders) == len(written)
    for configured, table in zip(found.folders, written, strict=True):
        assert table.keys() <= KEYS
        check_folder(configured.folder, table)
        assert configured.manifest == table.get("manifest", "auto")
    for one, other in combinations([configured.folder for configured in found.folders], 2):
        assert not is_below(one.root, other.root)
        assert not is_below(other.root, one.root)
        assert not is_below(os.path.dirname(one.lock), other.root)
        assert not is_below(os.path.dirname(other.lock), one.root)
        assert one.package is None or one.package != other.package


def check_folder(folder: GuardedFolder, table: dict[str, Any]) -> None:
    root = os.path.join(scratch.folder(), table["root"])
    lock = os.path.join(scratch.folder(), table["lock"]) if "lock" in table else None
    package = table.get("package", "plugins")
    assert os.path.isabs(folder.root)
    assert os.path.normpath(folder.root) == os.path.normpath(root)
    assert os.path.normpath(folder.lock) == os.path.normpath(lock or f"{root}/PLUGINS.lock")
    assert folder.package == (None if package is False else package)
    assert folder.others == table.get("others", "refuse")


def is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == os.path.normpath(folder)
