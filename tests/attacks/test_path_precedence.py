"""Making Python look somewhere else: another folder, a longer ``__path__``, a poisoned cache."""

from __future__ import annotations

import zipfile

import pytest

from tests.attacks.conftest import PAYLOAD, Attack, Range
from tests.fixtures.trees import Application


def second_folder(application: Application) -> None:
    folder = application.folder / "evil" / "plugins" / "alpha"
    folder.mkdir(parents=True)
    for name in ("__init__.py", "api.py", "extra.py"):
        (folder / name).write_text(PAYLOAD)
    (folder.parent / "__init__.py").write_text("")
    with zipfile.ZipFile(application.folder / "evil.zip", "w") as archive:
        for name in ("plugins/__init__.py", "plugins/alpha/__init__.py", "plugins/alpha/api.py"):
            archive.writestr(name, PAYLOAD)


WINNING = {
    "earlier on the path": "import sys; sys.path.insert(0, 'evil')",
    "in a zip": "import sys; sys.path.insert(0, 'evil.zip')",
    "a poisoned importer cache": (
        "import sys, importlib.machinery as m, os\n"
        "finder = m.FileFinder(os.path.abspath('evil/plugins'), (m.SourceFileLoader, ['.py']))\n"
        "sys.path_importer_cache[os.path.abspath('plugins')] = finder"
    ),
    "a poisoned path hook": (
        "import sys, importlib.machinery as m, os\n"
        "def hook(path):\n"
        "    if path != os.path.abspath('plugins'): raise ImportError\n"
        "    return m.FileFinder(os.path.abspath('evil/plugins'), (m.SourceFileLoader, ['.py']))\n"
        "sys.path_hooks.insert(0, hook); sys.path_importer_cache.clear()"
    ),
}


@pytest.mark.parametrize("setup", WINNING.values(), ids=WINNING.keys())
def test_another_folder_does_not_win(ground: Range, setup: str) -> None:
    script = f"{setup}\nimport plugins.alpha.api"
    ground.works_unguarded(second_folder, script)
    ground.harmless(second_folder, script)


EXTENDED = {
    "package path appended to": "plugins.alpha.__path__.append('evil/plugins/alpha')",
    "package path replaced": "plugins.alpha.__path__ = ['evil/plugins/alpha']",
    "root path replaced": "plugins.__path__ = ['evil/plugins']; del sys.modules['plugins.alpha']",
    "search locations of the spec": (
        "plugins.alpha.__spec__.submodule_search_locations = ['evil/plugins/alpha']\n"
        "plugins.alpha.__path__ = plugins.alpha.__spec__.submodule_search_locations"
    ),
    "pkgutil.extend_path": (
        "import pkgutil; sys.path.append('evil')\n"
        "plugins.alpha.__path__ = pkgutil.extend_path(list(plugins.alpha.__path__), 'alpha')\n"
        "plugins.alpha.__path__ += ['evil/plugins/alpha']"
    ),
}


@pytest.mark.parametrize("extension", EXTENDED.values(), ids=EXTENDED.keys())
def test_a_longer_path_leads_nowhere(ground: Range, extension: str) -> None:
    script = f"import sys, plugins.alpha.api\n{extension}\nimport plugins.alpha.extra"
    ground.works_unguarded(second_folder, script)
    application = ground.application()
    second_folder(application)
    outcome = application.run(script)
    assert "ModuleNotFoundError: No module named 'plugins.alpha.extra'" in outcome.stderr
    assert "PAYLOAD" not in outcome.executed


def in_pycache(application: Application) -> None:
    """A package inside a folder that no digest covers."""
    application.write("alpha/__pycache__/hidden.py", PAYLOAD)


def test_source_in_a_bytecode_folder_does_not_exist(ground: Range) -> None:
    script = "import plugins.alpha.api, importlib\nimportlib.import_module('plugins.alpha.__pycache__.hidden')"
    ground.works_unguarded(in_pycache, script)
    application = ground.application()
    in_pycache(application)
    outcome = application.run(script)
    assert "ModuleNotFoundError" in outcome.stderr
    assert "PAYLOAD" not in outcome.executed


@pytest.mark.parametrize("name", ["pluginsx", "plugins_old", "plugin"])
def test_near_misses_are_not_ours(ground: Range, name: str) -> None:
    """The guard leaves other packages alone: they run, guarded or not."""
    application = ground.application()
    (application.folder / f"{name}.py").write_text(PAYLOAD)
    assert application.run(f"import {name}").executed == ("PAYLOAD",)


def swallowing(statement: str) -> str:
    return f"try:\n    {statement}\nexcept ModuleNotFoundError:\n    print('not there')"


def test_a_refusal_is_not_taken_for_an_optional_plugin(ground: Range) -> None:
    def change(application: Application) -> None:
        application.write("alpha/api.py", PAYLOAD)

    attack: Attack = change
    script = swallowing("import plugins.alpha.api")
    ground.works_unguarded(attack, script)
    outcome = ground.refused(attack, script, "integrity_mismatch")
    assert "not there" not in outcome.stdout
