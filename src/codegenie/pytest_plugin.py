"""The pytest fixture ``plugin_root``: a plugin folder for one test, locked and guarded.

pytest loads this module at every start, even if no test uses it. So the fixture imports everything
else that it needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os

    from codegenie.plugins.registry import PluginRegistry
    from codegenie.refusals.record import Refusal

_MANIFEST = """\
name: "{plugin_id}"
version: "1.0"
scope:
  task_class: test
  languages: "*"
  build_systems: "*"
"""


class PluginRoot:
    """A plugin folder, ``path``, that the guard of this test guards.

    Make plugins with ``write`` and ``copy``, then ``load`` them, or ``lock`` them and import
    ``plugins.<id>`` in the test.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lock_path(self) -> Path:
        """``PLUGINS.lock``, which exists after the first ``lock`` or ``load``."""
        return self.path / "PLUGINS.lock"

    def write(self, plugin_id: str, files: Mapping[str, str | bytes]) -> Path:
        """Write files of a plugin, by their paths below its folder, and return that folder.

        A plugin without a ``plugin.yaml`` gets one. Text is written in UTF-8, with newlines
        unchanged.

        Raises:
            ValueError: the plugin id is invalid, or a path leads out of the folder.
        """
        folder = self._folder(plugin_id)
        for relative in files:
            path = PurePosixPath(relative)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{relative!r} is not the path of a file below {plugin_id!r}")
        manifest = folder / "plugin.yaml"
        if not manifest.exists():
            files = {"plugin.yaml": _MANIFEST.format(plugin_id=plugin_id), **files}
        for relative, content in files.items():
            path_on_disk = folder / relative
            path_on_disk.parent.mkdir(parents=True, exist_ok=True)
            path_on_disk.write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder

    def copy(self, folder: str | os.PathLike[str]) -> Path:
        """Copy a plugin's folder, and return the copy. Skips bytecode, which no digest covers.

        Raises:
            ValueError: the folder's name is not a plugin id.
            FileExistsError: a plugin of that id exists.
            PluginImportRefused: the folder cannot be locked, because of a link for example.
        """
        import os
        import shutil

        from codegenie.integrity import walk
        from codegenie.result import Err

        source = Path(os.path.abspath(folder))  # noqa: PTH100  # resolve() would follow a link
        target = self._folder(source.name)
        found = walk.walk(str(source.parent), source.name)
        if isinstance(found, Err):
            raise _refused(found.error)
        target.mkdir()
        for relative in found.value.files:
            (target / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / relative, target / relative, follow_symlinks=False)
        return target

    def lock(self) -> None:
        """Pin every plugin as it is now. Later changes are refused until the next call.

        Raises:
            PluginImportRefused: a plugin cannot be locked.
        """
        from codegenie.authoring import locking

        proposal = locking.propose(str(self.path))
        for refusal in proposal.refusals:
            raise _refused(refusal)
        failed = locking.write_proposal(proposal, str(self.lock_path))
        if failed is not None:
            raise _refused(failed)

    def load(self) -> PluginRegistry:
        """Verify, import and register all plugins, as ``load_plugins`` does, in a new registry.

        Locks the plugins first if there is no lock.

        Raises:
            PluginImportRefused: a plugin was rejected, so nothing was imported.
        """
        from codegenie.plugins import _isolation, loader
        from codegenie.plugins.registry import PluginRegistry
        from codegenie.result import Err

        if not self.lock_path.exists():
            self.lock()
        registry = PluginRegistry()
        with _isolation.guard_module_as_before():
            loaded = loader.run_gates(str(self.path), str(self.lock_path), registry=registry)
        if isinstance(loaded, Err):
            raise loaded.exception or _refused(loaded.error)
        return registry

    def _folder(self, plugin_id: str) -> Path:
        from codegenie.result import Err
        from codegenie.types.parsers import parse_plugin_id

        parsed = parse_plugin_id(plugin_id)
        if isinstance(parsed, Err):
            raise ValueError(str(parsed.error))
        return self.path / plugin_id


def _refused(refusal: Refusal) -> ImportError:
    from codegenie.refusals.exceptions import PluginImportRefused

    return PluginImportRefused(refusal)


@pytest.fixture
def plugin_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginRoot]:
    """Yield a temporary plugin folder that is guarded while the test runs.

    Afterwards the interpreter is restored: no module of a plugin is left, and a guard of the
    application has its own folder and modules again.

    Example:
        def test_greets(plugin_root):
            plugin_root.copy("plugins/greeter")
            assert plugin_root.load().get("greeter").greet("world") == "Hello, world"
    """
    from codegenie.plugins import _isolation

    path = tmp_path_factory.mktemp("plugin_root").resolve() / "plugins"
    path.mkdir()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_isolation.isolated(str(path)))
        except _isolation.GuardIsPinned as error:
            pytest.fail(f"the fixture plugin_root cannot be used: {error}", pytrace=False)
        yield PluginRoot(path)
