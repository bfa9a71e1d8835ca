"""Make a new plugin: a manifest, a module that registers an object, and a test of both.

The test is outside of the plugin, because pytest rewrites the assertions of a test module, and the
guard refuses rewritten code in a guarded folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from codegenie._start import LOCK_NAME
from codegenie.files import read_regular
from codegenie.integrity import lock, walk
from codegenie.integrity.verification import MANIFEST_NAME
from codegenie.parsers.yaml_scalars import WORDS
from codegenie.result import Ok
from codegenie.types.identifiers import PluginId
from codegenie.writing import FolderNotFlushed, create, final_name

TESTS_FOLDER = "tests"
"""The folder for the test of a new plugin, beside the plugin folder."""

MAX_LINE = 100
"""Columns. Only a line with a very long name is longer, and has a ``noqa`` comment."""

_MANIFEST = """\
name: {plugin}
version: "0.1"
scope:
  task_class: "*"
  languages: "*"
  build_systems: "*"
"""

_API = '''\
"""Register one object with the application when this module is imported."""

from codegenie.plugins.registry import register_plugin


class Plugin:
    """The interface that the application expects of its plugins."""

    {name}

    def greet(self) -> str:
        return f"hello from {{self.name}}"


PLUGIN = register_plugin(Plugin())
'''

_TEST = '''\
"""Lock, verify and import the plugin, as an application does."""

from pathlib import Path

from codegenie.pytest_plugin import PluginRoot

{name}
ROOT = Path(__file__).parent.parent / {folder}


def test_it_registers(plugin_root: PluginRoot) -> None:
    plugin_root.copy(ROOT / NAME)
    plugins = plugin_root.load()
    assert plugins.get(NAME).greet() == f"hello from {{NAME}}"
'''


class BadRoot(Exception):
    """The path cannot be a plugin folder. The text gives the reason."""


class IdTaken(Exception):
    """The id is taken. The text names what has the id, and its path."""


def make(root: str, plugin: PluginId) -> list[str]:
    """Write a new plugin below ``root``, an absolute path, and its test beside ``root``.

    Finishes the plugin if an earlier call was killed. Only one process at a time may call this for
    a root.

    Returns:
        The paths of the files that were written, the test last.

    Raises:
        BadRoot: nothing was written.
        IdTaken: nothing was written.
        OSError: everything that was written has been removed.
    """
    _require_usable(root)
    files = _files(root, plugin)
    begun = _begun(f"{root}/{plugin}", files)
    if not begun:
        _require_new(root, plugin, files)
    made = _Made()
    try:
        # The plugin's own folder must be new: of two commands, the first to make it has the id.
        made.folder(root)
        if not begun:
            os.mkdir(f"{root}/{plugin}")
            made.folders.append(f"{root}/{plugin}")
        for path, text in files.items():
            made.folder(os.path.dirname(path))
            if not (begun and os.path.lexists(path)):
                made.file(path, text)
    except FileExistsError as error:
        made.undo()
        raise IdTaken(f"{plugin!r} is taken: {error.filename} exists") from None
    except BaseException:
        made.undo()
        raise
    return list(files)


def _require_usable(root: str) -> None:
    """Refuse a root if the new plugin or its test would be inside another plugin."""
    parent, folder = os.path.split(root)
    if os.path.lexists(f"{root}/{MANIFEST_NAME}"):
        raise BadRoot(f"{root} is a plugin itself: it holds a {MANIFEST_NAME}")
    if os.path.lexists(f"{parent}/{LOCK_NAME}"):
        raise BadRoot(f"{root} is inside a plugin folder: {parent} holds a {LOCK_NAME}")
    if folder == TESTS_FOLDER:
        raise BadRoot(f"{root} cannot be a plugin folder: the tests of plugins go there")


def _begun(folder: str, files: Mapping[str, str]) -> bool:
    """Return True if an earlier ``make`` was killed before it had written all of ``files``.

    The folder must hold no entry but those files, whole, and their temporary files, which are
    removed. Any other entry is the work of another author.
    """
    if os.path.islink(folder) or not os.path.isdir(folder):
        return False
    names = {os.path.basename(path) for path in files if os.path.dirname(path) == folder}
    left = [name for name in os.listdir(folder) if name not in names]
    present = [path for path in files if os.path.lexists(path)]
    if (
        len(present) == len(files)
        or any(final_name(name) not in names for name in left)
        or not all(_holds(path, files[path]) for path in present)
    ):
        return False
    for name in left:
        os.unlink(f"{folder}/{name}")
    return True


def _holds(path: str, text: str) -> bool:
    data = read_regular(path, max_bytes=len(text.encode()))
    return isinstance(data, Ok) and data.value == text.encode()


def _require_new(root: str, plugin: PluginId, files: Mapping[str, str]) -> None:
    for path in (f"{root}/{plugin}", *files):
        if os.path.lexists(path):
            raise IdTaken(f"{plugin!r} is taken: {path} exists")
    present = walk.root_entries(root)
    for entry in present.value if isinstance(present, Ok) else ():
        if entry.module == plugin:
            raise IdTaken(f"{plugin!r} is taken: {root}/{entry.shown} exists")
    pinned = lock.read(f"{root}/{LOCK_NAME}")
    if isinstance(pinned, Ok) and plugin in pinned.value:
        raise IdTaken(f"{plugin!r} is taken: {root}/{LOCK_NAME} pins it, although it is not there")


def _files(root: str, plugin: PluginId) -> Mapping[str, str]:
    parent, folder = os.path.split(root)
    test = f"{parent}/{TESTS_FOLDER}/test_{plugin.replace('-', '_')}.py"
    literal = _literal(folder)
    return {
        f"{root}/{plugin}/plugin.yaml": _MANIFEST.format(plugin=_yaml(plugin)),
        f"{root}/{plugin}/api.py": _API.format(name=_line(f'name = "{plugin}"', indent=4)),
        test: _TEST.format(name=_line(f'NAME = "{plugin}"'), folder=literal),
    }


def _line(text: str, indent: int = 0) -> str:
    return text if indent + len(text) <= MAX_LINE else f"{text}  # noqa: E501"


def _yaml(plugin: PluginId) -> str:
    """Return an id as YAML text, quoted if some version of YAML reads it as another type."""
    return f'"{plugin}"' if plugin in WORDS else plugin


def _literal(text: str) -> str:
    """Return a string literal in double quotes, unless single quotes need fewer escapes."""
    literal = ascii(text)
    return literal if '"' in text or literal.startswith('"') else f'"{literal[1:-1]}"'


class _Made:
    """The files and folders made so far, so they can be removed again."""

    def __init__(self) -> None:
        self.folders: list[str] = []
        self.files: list[str] = []

    def folder(self, path: str) -> None:
        """Make a folder and all missing folders above it."""
        missing = []
        while not os.path.isdir(path):
            if os.path.lexists(path):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            missing.append(path)
            path = os.path.dirname(path)
        for folder in reversed(missing):
            os.mkdir(folder)
            self.folders.append(folder)

    def file(self, path: str, text: str) -> None:
        """Write a new file. An existing file is never changed."""
        try:
            create(path, text.encode())
        except FolderNotFlushed:
            pass  # the file exists, and can be made again after a power failure
        self.files.append(path)

    def undo(self) -> None:
        """Remove the files, and the folders that are empty then."""
        for path in self.files:
            os.unlink(path)
        for folder in reversed(self.folders):
            try:
                os.rmdir(folder)
            except OSError:
                pass
