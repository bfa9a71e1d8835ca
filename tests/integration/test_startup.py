"""Installing the guard: what it costs, that it happens once, and that it can come too late."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.trees import Application

# The modules that `import codegenie.plugins.guard` adds to those of a bare interpreter.
ADDED = """
import sys
before = set(sys.modules)
import codegenie.plugins.guard
print(sorted(set(sys.modules) - before))
"""

START_UP = [
    "codegenie",
    "codegenie._start",
    "codegenie._start.audit_hook",
    "codegenie._start.finder",
    "codegenie.plugins",
    "codegenie.plugins.guard",
]


def run_bare(application: Application, code: str, *flags: str) -> str:
    """Without ``site``, whose ``.pth`` files may load anything; the package's folder is given."""
    import codegenie

    source = codegenie.__path__[0].rpartition("/")[0]
    code = f"import sys\nsys.path.insert(0, {source!r})\n{code}"
    outcome = application.run(code, guarded=False, flags=["-S", *flags])
    assert (outcome.status, outcome.stderr) == (0, ""), outcome
    return outcome.stdout


def test_only_modules_of_codegenie_are_added_to_a_bare_interpreter(
    application: Application,
) -> None:
    added = eval(run_bare(application, ADDED, "-I"))
    assert added == START_UP


def test_an_unrelated_import_loads_no_more_of_it(application: Application) -> None:
    script = ADDED.replace("print", "import colorsys, plugins_old, pluginsx, plugin\nprint")
    for name in ("plugins_old", "pluginsx", "plugin"):
        (application.folder / f"{name}.py").write_text("")
    added = eval(run_bare(application, "sys.path.insert(0, '.')\n" + script))
    late = {  # for a relative entry of sys.path
        "codegenie._start.folder_paths",
        "codegenie._start.loaders",
        "codegenie._start.own_modules",
    }
    assert {name for name in added if name.startswith("codegenie")} == {*START_UP, *late}


def test_nothing_is_read_before_the_first_guarded_import(application: Application) -> None:
    outcome = application.run(
        """
        import sys
        opened = []
        sys.addaudithook(lambda event, args: event == 'open' and opened.append(str(args[0])))
        import codegenie.plugins.guard as guard
        guard.install(root='plugins')
        print([path for path in opened if 'PLUGINS' in path or '/plugins/alpha' in path])
        import plugins.alpha.api
        print(any(path.endswith('PLUGINS.lock') for path in opened))
        """,
        guarded=False,
    )
    assert outcome.stdout == "[]\nTrue\n", outcome


def test_the_success_path_loads_neither_pydantic_nor_yaml_nor_typing(
    application: Application,
) -> None:
    script = ADDED.replace("print", "import plugins.alpha.api\nprint")
    added = set(eval(run_bare(application, "sys.path.insert(0, '.')\n" + script)))
    assert "plugins.alpha.api" in added
    unwanted = {"pydantic", "yaml", "typing", "dataclasses", "logging", "pathlib", "importlib.abc"}
    assert not added & unwanted


def test_all_that_running_modules_needs_is_loaded_with_the_first_guarded_import(
    application: Application,
) -> None:
    """Otherwise a child of a fork waits for a thread that imports the same module, for ever. Modules
    of the guard are loaded without a lock (``own_modules``)."""
    script = "sys.path.insert(0, '.')\nimport codegenie.plugins.guard, plugins\n" + ADDED.replace(
        "import codegenie.plugins.guard", "import plugins.alpha.api"
    )
    added = eval(run_bare(application, script))
    assert "plugins.alpha.api" in added
    loaded_late = [
        "codegenie._enforce.package_loaders",  # alpha has no __init__
        "codegenie.integrity.reading",  # no pack: the source is read
    ]
    assert [name for name in added if not name.startswith("plugins.")] == loaded_late


def test_hash_is_loaded_without_listing_the_search_path(application: Application) -> None:
    outcome = application.run(
        """
        import sys
        sys.path_importer_cache.clear()
        import plugins
        print([path for path in sys.path_importer_cache if "lib-dynload" in path])
        print("_sha2" in sys.modules or "_sha256" in sys.modules)
        """
    )
    assert (outcome.status, outcome.stdout) == (0, "[]\nTrue\n"), outcome


def test_it_stands_first_once_and_is_a_meta_path_finder(application: Application) -> None:
    outcome = application.run(
        """
        import sys
        first = sys.meta_path[0]
        before_abc = 'importlib.abc' in sys.modules
        import importlib, importlib.abc, codegenie.plugins.guard as guard
        assert isinstance(first, importlib.abc.MetaPathFinder)
        importlib.reload(guard)
        for name in [n for n in sys.modules if n.startswith('codegenie')]:
            del sys.modules[name]
        import codegenie.plugins.guard
        ours = [f for f in sys.meta_path if type(f).__name__ == 'GuardFinder']
        print(before_abc, ours == [first], sys.meta_path[0] is first)
        """,
    )
    assert outcome.stdout.split()[1:] == ["True", "True"], outcome


def test_installing_again_puts_it_first_again(application: Application) -> None:
    outcome = application.run(
        """
        import sys, codegenie.plugins.guard as guard
        finder = sys.meta_path[0]
        sys.meta_path.reverse()
        print(guard.status().active)
        guard.install()
        print(guard.status().active, sys.meta_path[0] is finder, sys.meta_path.count(finder))
        """
    )
    assert outcome.stdout == "False\nTrue True 1\n", outcome


def test_taken_off_and_put_back_it_is_the_same_guard(application: Application) -> None:
    """Library code that restores ``sys.meta_path`` must not reset what is set and verified."""
    outcome = application.run(
        """
        import sys, codegenie.plugins.guard as guard
        guard.install(root='plugins', scope='plugin')
        import plugins.alpha.api
        before = guard.status().as_dict()
        sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != 'GuardFinder']
        print(guard.status().active)
        guard.install()
        print(guard.status().as_dict() == before, guard.status().active)
        """
    )
    assert outcome.stdout == "False\nTrue True\n", outcome


@pytest.mark.parametrize("name", ["plugins", "plugins.alpha", "plugins.alpha.api"])
def test_too_late_is_an_error_and_leaves_nothing(application: Application, name: str) -> None:
    outcome = application.run(
        f"""
        import sys, {name}
        before = list(sys.meta_path)
        for attempt in range(2):
            try:
                import codegenie.plugins.guard
            except ImportError as error:
                print(type(error).__name__, error.name, {name!r} in error.modules)
        print(sys.meta_path == before, 'codegenie.plugins.guard' in sys.modules)
        """,
        guarded=False,
    )
    assert outcome.stdout.splitlines() == ["GuardTooLate plugins True"] * 2 + ["True False"], (
        outcome
    )


def test_near_misses_are_not_too_late(application: Application) -> None:
    (application.folder / "pluginsx.py").write_text("")
    outcome = application.run(
        """
        import sys, pluginsx
        sys.modules['plugins'] = None
        import codegenie.plugins.guard as guard
        del sys.modules['plugins']
        import plugins.alpha.api
        print(guard.status().active)
        """,
        guarded=False,
    )
    assert outcome.stdout == "True\n", outcome


def test_a_broken_installation_refuses_instead_of_falling_through(
    application: Application,
) -> None:
    """Parts of the guard that cannot be loaded: an ImportError, and never "no such module"."""
    outcome = application.run(
        """
        import sys
        sys.modules['codegenie._enforce.enforcer'] = None
        for attempt in ('plugins', 'plugins.alpha.api'):
            try:
                __import__(attempt)
            except ImportError as error:
                print(type(error).__name__, 'install codegenie again' in str(error))
        """
    )
    assert outcome.stdout == "ImportError True\n" * 2, outcome
    assert outcome.executed == ()


def test_without_site_it_works_as_well(application: Application) -> None:
    script = (
        "sys.path.insert(0, '.')\nimport codegenie.plugins.guard\n"
        "import plugins.alpha.api as a\nprint(a.answer())"
    )
    assert run_bare(application, script) == "42\n"


# Code that takes the place of the guard's own, unless the guard finds its modules by itself.
SUBSTITUTES = {
    "another finder": """
class Other:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("codegenie._enforce"):
            print("another finder was asked for", name)
sys.meta_path.insert(1, Other)
""",
    "another folder": """
import os
os.makedirs("other/_enforce")
open("other/_enforce/__init__.py", "w").write("print('other code runs')")
codegenie.__path__.insert(0, os.path.abspath("other"))
""",
}


@pytest.mark.parametrize("substitute", SUBSTITUTES.values(), ids=SUBSTITUTES.keys())
def test_guard_loads_its_own_modules_from_its_own_folder(
    application: Application, substitute: str
) -> None:
    use = "import plugins.alpha.api as api\nprint(api.answer())\n"
    outcome = application.run("import sys, codegenie.plugins.guard\n" + substitute + use)
    assert (outcome.stdout, outcome.stderr) == ("42\n", ""), outcome


def test_guard_in_a_zip_file_loads_its_own_modules(application: Application) -> None:
    import codegenie

    source = Path(codegenie.__path__[0])
    archive = shutil.make_archive(
        str(application.folder / "guard"), "zip", source.parent, source.name
    )
    outcome = application.run(
        f"import sys\nsys.path.insert(0, {archive!r})\nimport codegenie.plugins.guard\n"
        "import plugins.alpha.api as api\nprint(api.answer(), codegenie.__file__)",
        guarded=False,
    )
    assert outcome.stdout == f"42 {archive}/codegenie/__init__.py\n", outcome
