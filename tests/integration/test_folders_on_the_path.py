"""Folders of verified trees on a search path: what serves them, and what they leave alone."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.native import SUFFIX
from tests.fixtures.machine_code import COMPILER, header_options
from tests.fixtures.trees import WITNESS, Application

ON_PATH = "import os, sys; sys.path.insert(0, os.path.abspath('plugins/alpha/vendor'))\n"
UNHOOK = (
    "sys.path_hooks[:] = [h for h in sys.path_hooks if not hasattr(h, '__self__')]\n"
    "sys.path_importer_cache.clear()\n"
)


@pytest.fixture
def vendored(application: Application) -> Application:
    application.write("alpha/vendor/part.py", WITNESS + "VALUE = 42\n")
    application.write("alpha/vendor/package/__init__.py", "from . import inner\nVALUE = 43\n")
    application.write("alpha/vendor/package/inner.py", "VALUE = 43\n")
    application.lock()
    return application


# As generated code (Cython) does, it takes attributes from the spec that it is created by.
SOURCE = """
#include <Python.h>

static PyObject *create(PyObject *spec, PyModuleDef *definition)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    PyObject *module = PyModule_NewObject(name);
    PyObject *parent = PyObject_GetAttrString(spec, "parent");
    PyObject *path = PyObject_GetAttrString(spec, "submodule_search_locations");
    PyModule_AddObject(module, "__package__", parent);
    if (path != Py_None) PyModule_AddObject(module, "__path__", path);
    return module;
}

static PyModuleDef_Slot slots[] = {{Py_mod_create, create}, {0, 0}};
static PyModuleDef quick = {PyModuleDef_HEAD_INIT, "quick", 0, 0, 0, slots, 0, 0, 0};
PyMODINIT_FUNC PyInit_quick(void) { return PyModuleDef_Init(&quick); }
static PyModuleDef single = {PyModuleDef_HEAD_INIT, "single", 0, -1, 0, 0, 0, 0, 0};
PyMODINIT_FUNC PyInit_single(void) { return PyModule_Create(&single); }
"""


@pytest.fixture
def compiled(vendored: Application, tmp_path: Path) -> Application:
    """``quick``, ``single`` and the package ``compiled.quick`` are machine code."""
    if not COMPILER or sys.platform != "linux":
        pytest.skip("needs a C compiler, to build machine code")
    (tmp_path / "quick.c").write_text(SOURCE)
    command = [str(COMPILER), "-shared", "-fPIC", *header_options(), str(tmp_path / "quick.c")]
    subprocess.run([*command, "-o", str(tmp_path / "quick.so")], check=True, capture_output=True)
    for target in ("quick", "single", "compiled/quick/__init__"):
        vendored.write(f"alpha/vendor/{target}{SUFFIX}", (tmp_path / "quick.so").read_bytes())
    vendored.lock()
    return vendored


LOADER = "print(type({0}.__spec__.loader).__module__.partition('.')[0])"


@pytest.mark.parametrize(
    "before",
    ["", "import plugins\n", "import plugins.alpha.api\n"],
    ids=["first", "after the root", "after the plugin"],
)
@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_every_kind_of_module_gets_a_verified_loader(
    compiled: Application, before: str, scope: str
) -> None:
    outcome = compiled.run(
        f"import codegenie.plugins.guard as guard; guard.install(scope={scope!r})\n"
        f"{before}{ON_PATH}import part, package, package.inner, quick, single\n"
        "print(part.VALUE, package.VALUE)\n"
        + "\n".join(LOADER.format(name) for name in ("part", "package.inner", "quick", "single")),
    )
    assert outcome.stdout.split() == ["42", "43", *["codegenie"] * 4], outcome


@pytest.mark.parametrize(
    "script",
    [
        "import plugins.alpha.vendor.compiled.quick as p; print(p.__package__, p.__path__)",
        ON_PATH + "import compiled.quick as p; print(p.__package__, p.__path__)",
    ],
)
def test_a_compiled_package_is_its_own_parent(compiled: Application, script: str) -> None:
    plain = compiled.run(script, guarded=False)
    assert "compiled.quick ['" in plain.stdout, plain
    assert compiled.run(script).stdout == plain.stdout


def test_the_cache_and_the_hooks_may_be_changed(vendored: Application) -> None:
    """Verified code goes on to run, by the hook or past it."""
    outcome = vendored.run(
        f"{ON_PATH}import importlib, part\n"
        "sys.path_importer_cache.clear(); importlib.invalidate_caches()\nimport package\n"
        f"print(package.__spec__.loader.__module__)\ndel sys.modules['part']\n{UNHOOK}"
        "import part\nprint(part.VALUE, part.__spec__.loader.__module__)\n"
        "import plugins.alpha.vendor.part as again\nprint(again.__spec__.loader.__module__)\n"
    )
    ours = "codegenie._enforce.loaders"
    assert outcome.stdout.split("\n")[0::2] == [ours, ours], outcome
    assert outcome.stdout.split("\n")[1].startswith("42 "), outcome


def test_a_finder_from_before_the_guard_is_forgotten(vendored: Application) -> None:
    outcome = vendored.run(
        f"{ON_PATH}"
        "import pkgutil\n"
        "print(type(pkgutil.get_importer(sys.path[0])).__name__)\n"
        "import codegenie.plugins.guard\n"
        "print(type(pkgutil.get_importer(sys.path[0])).__name__)\n",
        guarded=False,
    )
    assert outcome.stdout == "FileFinder\nFolderFinder\n", outcome


def test_other_folders_keep_the_finders_of_cpython(vendored: Application) -> None:
    (vendored.folder / "elsewhere").mkdir()
    outcome = vendored.run(
        "import pkgutil, sys, json\n"
        "for path in ('elsewhere', '.', json.__path__[0], 'plugins/alpha/none'):\n"
        "    print(type(pkgutil.get_importer(path)).__name__)\n"
    )
    assert outcome.stdout == "FileFinder\nFileFinder\nFileFinder\nNoneType\n", outcome


def test_what_is_not_locked_is_not_listed(vendored: Application) -> None:
    outcome = vendored.run(
        """
        import pkgutil, plugins.alpha
        open('plugins/alpha/vendor/added.py', 'w').close()
        print(sorted(m.name for m in pkgutil.iter_modules(['plugins/alpha/vendor'])
                     if m.name[0] != '_'))
        print([m.name for m in pkgutil.iter_modules(['plugins'])])
        """
    )
    listed = outcome.stdout.splitlines()
    assert "'part'" in listed[0], outcome
    assert "added" not in listed[0], outcome
    assert listed[1] == "['alpha']", outcome


def test_a_listing_of_a_refused_folder_is_refused(vendored: Application) -> None:
    vendored.write("alpha/vendor/part.py", "")
    for path in ("plugins", "plugins/alpha", "plugins/alpha/vendor"):
        outcome = vendored.run(
            f"import pkgutil; print(list(pkgutil.iter_modules([{path!r}])))", report=True
        )
        assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch", outcome


@pytest.mark.parametrize("before", ["", "import plugins\n"])
def test_audit_mode_is_plain_python(vendored: Application, before: str) -> None:
    vendored.write("alpha/vendor/part.py", "VALUE = 'changed'\n")
    vendored.write("alpha/vendor/added.py", "VALUE = 'added'\n")
    outcome = vendored.run(
        "import codegenie.plugins.guard as guard; guard.install(mode='audit')\n"
        "import logging; logging.disable()\n"
        f"{before}{ON_PATH}import part, added, pkgutil\nprint(part.VALUE, added.VALUE)\n"
        "print('added' in [m.name for m in pkgutil.iter_modules(sys.path[:1])])\n"
        "print(type(part.__spec__.loader).__name__)\n"
    )
    assert outcome.stdout == "changed added\nTrue\nSourceFileLoader\n", outcome


def test_a_name_that_is_not_there_is_looked_for_further_down(vendored: Application) -> None:
    """Also if only bytecode of it is there, which is found before anything was decided."""
    (vendored.folder / "later").mkdir()
    (vendored.folder / "later" / "both.py").write_text("VALUE = 'later'\n")
    (vendored.root / "alpha" / "vendor" / "both.pyc").write_bytes(importlib.util.MAGIC_NUMBER)
    outcome = vendored.run(
        f"{ON_PATH}sys.path.append('later')\nimport both\nprint(both.VALUE)\n"
        "try:\n    import none\nexcept ModuleNotFoundError as error:\n    print(error.name)\n"
    )
    assert outcome.stdout == "later\nnone\n", outcome


@pytest.mark.parametrize("name", ["a/b", "../api", ".", "", "part/", "package.inner/x"])
def test_names_that_no_file_has_are_not_there(vendored: Application, name: str) -> None:
    outcome = vendored.run(
        f"import plugins.alpha.api, pkgutil\n"
        f"print(pkgutil.get_importer('plugins/alpha/vendor').find_spec({name!r}))"
    )
    assert outcome.stdout == "None\n", outcome


def test_first_imports_on_two_threads_end(vendored: Application) -> None:
    """One imports by a bare name, the other by a guarded one: neither decides under the lock."""
    outcome = vendored.run(
        f"""{ON_PATH}
import threading
barrier = threading.Barrier(3)
def load(name):
    barrier.wait()
    __import__(name)
threads = [threading.Thread(target=load, args=[name], daemon=True)
           for name in ("part", "plugins.alpha.api", "package")]
for thread in threads: thread.start()
for thread in threads: thread.join(50)
print([thread.is_alive() for thread in threads], sys.modules["part"].VALUE)
"""
    )
    assert outcome.stdout == "[False, False, False] 42\n", outcome


def test_a_link_to_the_folder_is_left_to_strict_mode(vendored: Application) -> None:
    (vendored.folder / "alias").symlink_to(vendored.root / "alpha" / "vendor")
    outcome = vendored.run(
        "import sys; sys.path.insert(0, 'alias')\nimport part\nprint(part.VALUE)"
    )
    assert outcome.stdout == "42\n", outcome


def test_a_root_that_is_a_link_is_served_by_both_paths(compiled: Application) -> None:
    compiled.root.rename(compiled.folder / "release")
    compiled.root.symlink_to(compiled.folder / "release")
    for path in ("plugins/alpha/vendor", "release/alpha/vendor"):
        outcome = compiled.run(
            "import codegenie.plugins.guard as guard; guard.install(root='plugins')\n"
            f"import os, sys; sys.path.insert(0, os.path.abspath({path!r}))\n"
            "import part, quick\n" + LOADER.format("part")
        )
        assert outcome.stdout == "codegenie\n", outcome


def test_packs_serve_modules_on_the_path(vendored: Application) -> None:
    done = vendored.start([sys.executable, "-m", "codegenie", "plugins", "compile", "plugins"])
    assert done.status == 0, done
    outcome = vendored.run(f"{ON_PATH}import part\nprint(type(part.__loader__).__name__)")
    assert outcome.stdout == "VerifiedBytecodeLoader\n", outcome


def test_resources_of_the_root_are_verified_and_no_more(vendored: Application) -> None:
    vendored.write("stray.txt", "stray")
    outcome = vendored.run(
        """
        from importlib.resources import files
        root = files('plugins')
        print([entry.name for entry in root.iterdir()], (root / 'stray.txt').is_file(),
              (root / 'none').is_dir(), str(root / 'alpha').endswith('plugins/alpha'))
        open('plugins/alpha/vendor/part.py', 'w').close()
        (root / 'alpha' / 'vendor' / 'part.py').read_text()
        """,
        report=True,
    )
    assert outcome.stdout.startswith("['alpha'] False False True\n"), outcome
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"


def test_an_init_of_the_root_does_not_run_and_is_not_shown(vendored: Application) -> None:
    vendored.write("__init__.py", WITNESS + "ADDED = 1\n")
    outcome = vendored.run(
        """
        import inspect, os, plugins
        print(os.path.relpath(plugins.__file__), hasattr(plugins, 'ADDED'),
              repr(plugins.__loader__.get_source('plugins')))
        try:
            print(inspect.getsource(plugins))
        except OSError as error:
            print(error)
        """
    )
    assert outcome.stdout.startswith("plugins/__init__.py False ''\n"), outcome
    assert "ADDED" not in outcome.stdout.partition("\n")[2], outcome
    assert outcome.executed == ()


def test_unittest_discovers_tests_of_a_plugin(vendored: Application) -> None:
    vendored.write("__init__.py", "")
    vendored.write("alpha/__init__.py", "")
    vendored.write("alpha/tests/__init__.py", "")
    vendored.write(
        "alpha/tests/test_it.py",
        "import unittest\n\nclass It(unittest.TestCase):\n    def test(self):\n        pass\n",
    )
    vendored.lock()
    outcome = vendored.run(
        "import unittest\n"
        "print(unittest.TestLoader().discover('plugins.alpha.tests').countTestCases())"
    )
    assert outcome.stdout == "1\n", outcome
    vendored.write("alpha/tests/test_it.py", "")
    # unittest replaces the exception by one of its own, so the log has to tell.
    changed = vendored.run(
        "import logging, unittest\nlogging.basicConfig()\n"
        "unittest.TestLoader().discover('plugins.alpha.tests')"
    )
    assert changed.status == 1, changed
    assert "does not match the lock [integrity_mismatch]" in changed.stderr, changed


@pytest.mark.parametrize("inside", [False, True], ids=["by name", "in the folder"])
def test_pytest_runs_tests_of_a_plugin(vendored: Application, inside: bool) -> None:
    """From within the folder they are imported by bare names, and are not rewritten."""
    vendored.write("alpha/__init__.py", "")
    vendored.write("alpha/tests/__init__.py", "")
    vendored.write("alpha/tests/test_it.py", "def test():\n    assert 1\n")
    vendored.lock()
    where = ["plugins/alpha/tests"] if inside else ["--pyargs", "plugins.alpha.tests"]
    outcome = vendored.run(
        f"import pytest, sys\nsys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', *{where!r}]))"
    )
    assert (outcome.status, "1 passed" in outcome.stdout) == (0, True), outcome


PKG_RESOURCES = """
import sys, warnings; warnings.simplefilter('ignore')
import pip._vendor.pkg_resources as pkg_resources  # that of setuptools, which pip brings along
sys.modules['pkg_resources'] = pkg_resources
import plugins.alpha.api
for ask in ('resource_exists', 'resource_isdir', 'resource_listdir'):
    print(sorted(getattr(pkg_resources, ask)('plugins.alpha.api', 'vendor/package'))
          if 'list' in ask else getattr(pkg_resources, ask)('plugins.alpha.api', 'vendor/package'))
print(pkg_resources.resource_exists('plugins.alpha.api', 'none'),
      pkg_resources.resource_string('plugins.alpha.api', 'vendor/package/inner.py'),
      pkg_resources.resource_stream('plugins.alpha.api', 'plugin.yaml').read()[:5])
"""


def test_pkg_resources_answers_as_without_the_guard(vendored: Application) -> None:
    plain = vendored.run(PKG_RESOURCES, guarded=False, flags=["-B"])
    guarded = vendored.run(PKG_RESOURCES, flags=["-B"])
    assert guarded.stdout == plain.stdout != "", (guarded, plain)
    changed = vendored.run(
        PKG_RESOURCES + "open('plugins/alpha/vendor/part.py', 'w').close()\n"
        "pkg_resources.resource_string('plugins.alpha.api', 'vendor/part.py')",
        report=True,
    )
    assert changed.refusal["rejection"]["kind"] == "integrity_mismatch"


DISTRIBUTIONS = """
import os, sys, warnings; warnings.simplefilter('ignore')
import pip._vendor.pkg_resources as pkg_resources
sys.modules['pkg_resources'] = pkg_resources
for folder in ('plugins/alpha/vendor', 'plugins/alpha/more'):
    sys.path.insert(0, os.path.abspath(folder))
    pkg_resources.working_set.add_entry(sys.path[0])
print(pkg_resources.get_distribution('part').version)
pkg_resources.declare_namespace('portions')
import portions.one, portions.two
print(portions.one.__name__, portions.two.__name__)
"""


def test_pkg_resources_finds_distributions_and_namespaces(vendored: Application) -> None:
    vendored.write("alpha/vendor/part-1.5.dist-info/METADATA", "Name: part\nVersion: 1.5\n")
    declared = "import pkg_resources; pkg_resources.declare_namespace(__name__)\n"
    for folder, module in (("vendor", "one"), ("more", "two")):
        vendored.write(f"alpha/{folder}/portions/__init__.py", declared)
        vendored.write(f"alpha/{folder}/portions/{module}.py", "")
    vendored.lock()
    plain = vendored.run(DISTRIBUTIONS, guarded=False, flags=["-B"])
    guarded = vendored.run(DISTRIBUTIONS, flags=["-B"])
    assert plain.stdout == "1.5\nportions.one portions.two\n", plain
    assert guarded.stdout == plain.stdout, guarded


UNLOCKED_FOLDERS = """
import codegenie.plugins.guard as guard; guard.install(scope="plugin", root="plugins")
import importlib, os, sys, plugins.alpha.api
sys.path[:0] = map(os.path.abspath, ("plugins", "plugins/alpha/vendor"))
for folder in ("plugins/gamma", "plugins/alpha/vendor/added", "plugins/beta", "elsewhere/beta"):
    os.makedirs(folder)
    with open(folder + "/code.py", "w") as file:
        file.write("VALUE = 1")
open("elsewhere/beta/__init__.py", "w").close()
sys.path.append("elsewhere")
for name in ("gamma.code", "added.code", "beta.code", "nowhere.code"):
    try:
        importlib.import_module(name)
    except ImportError as error:
        print(name, type(error).__name__)
    else:
        print(name)
"""


def test_a_folder_without_init_that_is_not_locked_is_refused_and_not_absent(
    vendored: Application,
) -> None:
    outcome = vendored.run(UNLOCKED_FOLDERS, guarded=False, flags=["-B"])
    assert outcome.stdout.splitlines() == [
        "gamma.code PluginImportRefused",
        "added.code PluginImportRefused",
        "beta.code",  # a package further down the path, as in plain Python
        "nowhere.code ModuleNotFoundError",
    ], outcome


def test_a_finder_of_an_earlier_folder_is_plain_python(application: Application) -> None:
    later = Application(application.folder, "later")
    outcome = application.run(
        f"""
        import os, pkgutil
        from pathlib import Path
        from codegenie.plugins.loader import load_plugins
        load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).unwrap()
        finder = pkgutil.get_importer(os.path.abspath('plugins/alpha'))
        print(type(finder.find_spec('helper').loader).__name__)
        load_plugins(Path({later.root.name!r}), Path({later.root.name!r}, 'PLUGINS.lock')).unwrap()
        print(type(finder.find_spec('helper').loader).__name__)
        """
    )
    assert outcome.stdout == "VerifiedSourceLoader\nSourceFileLoader\n", outcome
