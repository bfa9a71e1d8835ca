"""Modules that a host loads by a path: each mechanism, with the folder intact and changed.

A host that loads plugins by path gives them names of its own, so no guarded name occurs here.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.attacks.bytecode import forged
from tests.attacks.native import SUFFIX
from tests.fixtures.machine_code import COMPILER, header_options
from tests.fixtures.trees import WITNESS, Application

NO_NAMES = (
    "import codegenie.plugins.guard\n"
    "codegenie.plugins.guard.install(root='plugins', package=None)\n"
)
"""The folder claims no name, as for a host that loads by path only."""

PREPARE = """
import importlib.abc, importlib.machinery as machinery, importlib.util as util
import os, pkgutil, runpy, sys, types
from pathlib import Path
ROOT = os.path.abspath('plugins')
INIT, LONE = ROOT + '/alpha/__init__.py', ROOT + '/alpha/lone.py'

# The drop-in of the guard, where there is a guard.
guard = sys.modules.get('codegenie.plugins.guard', util)

def put(spec):
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module

def of(namespace):
    module = types.ModuleType(namespace.get('__name__', 'module'))
    module.__dict__.update(namespace)
    return module
"""

MECHANISMS = {
    "spec of a package": "module = put(util.spec_from_file_location('host-x-1', INIT))",
    "spec with search locations": "module = put(util.spec_from_file_location("
    "'made_up', INIT, submodule_search_locations=[ROOT + '/alpha']))",
    "spec of a file": "module = put(util.spec_from_file_location('made_up', LONE))",
    "spec without an entry": "spec = util.spec_from_file_location('made_up', LONE)\n"
    "module = util.module_from_spec(spec)\nspec.loader.exec_module(module)",
    "spec of a file with a loader": "loader = machinery.SourceFileLoader('made_up', LONE)\n"
    "module = put(util.spec_from_file_location('made_up', LONE, loader=loader))",
    "drop-in": "module = put(guard.spec_from_file_location('host-x-1', INIT))",
    "drop-in of a file": "module = put(guard.spec_from_file_location('made_up', Path(LONE)))",
    "drop-in with search locations": "module = put(guard.spec_from_file_location("
    "'made_up', INIT, submodule_search_locations=[ROOT + '/alpha']))",
    "drop-in by a relative path": "module = put(guard.spec_from_file_location("
    "'made_up', 'plugins/alpha/lone.py'))",
    "load_module": "loader = machinery.SourceFileLoader('made_up', INIT)\n"
    "module = loader.load_module() if hasattr(loader, 'load_module') else "
    "put(util.spec_from_loader('made_up', loader))",
    "exec_module of a bare module": "module = types.ModuleType('made_up')\n"
    "module.__file__ = LONE\n"
    "machinery.SourceFileLoader('made_up', LONE).exec_module(module)",
    "FileFinder": "finder = machinery.FileFinder(ROOT, (machinery.SourceFileLoader, ['.py']))\n"
    "module = put(finder.find_spec('alpha'))",
    "PathFinder": "module = put(machinery.PathFinder.find_spec('alpha', [ROOT]))",
    "sys.path": "sys.path.insert(0, ROOT)\nimport alpha as module",
    "a package's path": "host = sys.modules['host'] = types.ModuleType('host')\n"
    "host.__path__ = ['/nowhere']\nhost.__path__ += [ROOT]\nimport host.alpha as module",
    "exec": "module = types.ModuleType('made_up')\nmodule.__file__ = LONE\n"
    "with open(LONE, 'rb') as file:\n"
    "    exec(compile(file.read(), LONE, 'exec'), module.__dict__)",
    "run_path": "module = of(runpy.run_path(LONE, run_name='made_up'))",
    "a loader of the host": "class Loader(importlib.abc.Loader):\n"
    "    def create_module(self, spec): return None\n"
    "    def exec_module(self, module):\n"
    "        with open(LONE) as file:\n"
    "            code = compile(file.read(), LONE, 'exec', dont_inherit=True)\n"
    "        exec(code, module.__dict__)\n"
    "module = put(machinery.ModuleSpec('made_up', Loader(), origin=LONE))\n"
    "module.__file__ = LONE",
    "run_path of a folder": "module = of(runpy.run_path(ROOT + '/alpha', run_name='made_up'))",
    "pkgutil": "(found,) = pkgutil.iter_modules([ROOT])\n"
    "module = put(found.module_finder.find_spec(found.name))",
    "a lazy loader": "spec = util.spec_from_file_location('made_up', LONE)\n"
    "spec.loader = util.LazyLoader(spec.loader)\nmodule = put(spec)\nmodule.VALUE",
    "get_code": "module = types.ModuleType('made_up')\nmodule.__file__ = LONE\n"
    "exec(machinery.SourceFileLoader('made_up', LONE).get_code('made_up'), module.__dict__)",
}

if sys.version_info < (3, 12):
    MECHANISMS["imp"] = (
        "import warnings; warnings.simplefilter('ignore')\nimport imp\n"
        "module = imp.load_source('made_up', LONE)"
    )

DESCRIBE = """
import inspect, importlib.resources, pickle, traceback
print(module.__name__, module.__file__, module.__package__, list(getattr(module, '__path__', [])))
spec = getattr(module, '__spec__', None)
if spec is not None:
    print(spec.name, spec.origin, spec.parent, spec.has_location, spec.submodule_search_locations)
    if hasattr(spec.loader, 'get_filename'):
        print(spec.loader.get_filename(spec.name), spec.loader.is_package(spec.name))
        print(spec.loader.get_source(spec.name) == open(module.__file__).read())
        print(spec.loader.get_data(module.__file__) == open(module.__file__, 'rb').read())
print(module.VALUE, inspect.getsource(module.boom))
if hasattr(module, '__path__'):
    print(module.helper.__name__, module.helper.__file__, module.deep.__name__, module.deep.VALUE)
    print(importlib.resources.files(module).joinpath('data.txt').read_text())
    if sys.modules.get(module.__name__) is module:
        print(pkgutil.get_data(module.__name__, 'data.txt'))
    print(sorted(m.name for m in pkgutil.iter_modules(module.__path__)))
if sys.modules.get(module.__name__) is module:
    print(pickle.loads(pickle.dumps(module.Thing())).__class__ is module.Thing)
try:
    module.boom()
except KeyError:
    traceback.print_exc(limit=-1, file=sys.stdout)
"""

BODY = """
class Thing:
    pass

def boom():
    raise KeyError('on purpose')
"""


@pytest.fixture
def by_path(application: Application) -> Application:
    init = "from . import helper\nfrom .sub import deep\nVALUE = helper.VALUE\n"
    application.write("alpha/__init__.py", WITNESS + init + BODY)
    application.write("alpha/sub/__init__.py", "")
    application.write("alpha/sub/deep.py", WITNESS + "from ..helper import VALUE\n")
    application.write("alpha/lone.py", WITNESS + "VALUE = 42\n" + BODY)
    application.write("alpha/__main__.py", WITNESS + "VALUE = 42\n" + BODY)
    application.write("alpha/data.txt", "some data")
    application.lock()
    return application


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_intact_module_behaves_as_in_plain_python(by_path: Application, mechanism: str) -> None:
    script = PREPARE + MECHANISMS[mechanism] + DESCRIBE
    plain = by_path.run(script, guarded=False, flags=["-B"])
    assert plain.status == 0, plain
    for first in "", NO_NAMES:
        guarded = by_path.run(first + script, flags=["-B"])
        assert (guarded.status, guarded.stdout) == (0, plain.stdout), guarded
        assert guarded.executed == plain.executed


EVERY = """
import builtins
from codegenie.plugins.errors import PluginImportRefused

def attempt(code):
    before = set(sys.modules)
    try:
        exec(code, dict(globals()))
    except PluginImportRefused as error:
        return error.rejection.kind
    except BaseException as error:
        return repr(error)
    finally:
        for name in set(sys.modules) - before:
            if name.startswith(('made_up', 'host', 'alpha')):
                del sys.modules[name]
        sys.path[:] = [path for path in sys.path if path != ROOT]
    return 'ran'

outcomes = {name: attempt(code) for name, code in MECHANISMS.items()}
print(outcomes)
"""


def outcomes(application: Application, before: str = "") -> tuple[dict[str, str], tuple[str, ...]]:
    """Load by every mechanism in one process; return the outcomes, and which modules ran."""
    script = f"{NO_NAMES}MECHANISMS = {MECHANISMS!r}\n" + PREPARE + before + EVERY
    outcome = application.run(script, flags=["-B"])
    assert outcome.status == 0, outcome
    found: dict[str, str] = ast.literal_eval(outcome.stdout.splitlines()[-1])
    return found, outcome.executed


REFUSED = dict.fromkeys(MECHANISMS, "integrity_mismatch")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_changed_module_is_refused_by_first_load(by_path: Application, mechanism: str) -> None:
    by_path.write("alpha/data.txt", "other data")
    outcome = by_path.run(PREPARE + MECHANISMS[mechanism], report=True)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch", outcome
    assert outcome.executed == ()


@pytest.mark.parametrize("passed", [False, True], ids=["before", "after"])
def test_changed_byte_is_refused_by_each_mechanism(by_path: Application, passed: bool) -> None:
    before = (
        MECHANISMS["sys.path"] + "\ndel sys.modules['alpha']\n"
        "for name in 'alpha/__init__.py', 'alpha/__main__.py', 'alpha/lone.py':\n"
        "    with open(f'plugins/{name}', 'a') as file:\n"
        '        file.write(\'open(os.environ["WITNESS"], "a").write("PAYLOAD")\\n\')\n'
    )
    if not passed:
        by_path.write("alpha/lone.py", WITNESS)
    found, executed = outcomes(by_path, before if passed else "")
    assert found == REFUSED
    assert "PAYLOAD" not in executed
    assert passed or executed == ()


def test_added_file_refuses_each_mechanism(by_path: Application) -> None:
    by_path.write("alpha/added.py", "")
    assert outcomes(by_path) == (REFUSED, ())


def test_added_unit_refuses_each_mechanism(by_path: Application) -> None:
    by_path.write("beta/__init__.py", "")
    assert outcomes(by_path) == (dict.fromkeys(MECHANISMS, "unlocked_plugin"), ())


def test_file_added_after_passing_is_refused(by_path: Application) -> None:
    before = (
        MECHANISMS["sys.path"] + "\n"
        "for path in 'added', 'alpha/added':\n"
        "    os.makedirs(f'plugins/{path}')\n"
        "    for name in '__init__', 'lone':\n"
        "        with open(f'plugins/{path}/{name}.py', 'w') as file:\n"
        "            file.write(open('plugins/alpha/lone.py').read())\n"
        "MECHANISMS = {name + where: code.replace('INIT', f'ROOT + \"/{where}/__init__.py\"')"
        ".replace('LONE', f'ROOT + \"/{where}/lone.py\"')\n"
        "    for name, code in MECHANISMS.items() if 'LONE' in code or 'INIT' in code\n"
        "    for where in ('added', 'alpha/added')}\n"
        "open(os.environ['WITNESS'], 'w').close()\n"
    )
    found, executed = outcomes(by_path, before)
    assert set(found.values()) == {"integrity_mismatch", "unverified_code"}, found
    assert executed == ()


BYTECODE = forged(Path("made_up.py"))


def test_planted_bytecode_never_runs(by_path: Application) -> None:
    for name in "__init__", "lone", "helper":
        cache = importlib.util.cache_from_source(f"alpha/{name}.py")
        by_path.write(cache, BYTECODE)
    found, executed = outcomes(by_path)
    assert found == dict.fromkeys(MECHANISMS, "ran")
    assert "PAYLOAD" not in executed
    by_path.write("alpha/alone.pyc", BYTECODE)
    alone = "ROOT + '/alpha/alone.pyc'"
    for load in (
        f"put(util.spec_from_file_location('made_up', {alone}))",
        f"machinery.SourcelessFileLoader('made_up', {alone}).get_code('made_up')",
        f"runpy.run_path({alone})",
    ):
        outcome = by_path.run(PREPARE + load, report=True)
        assert outcome.refusal["rejection"]["kind"] == "unverified_code", outcome
        assert outcome.executed == ()


# As generated code (Cython) does, one has two phases of initialization, and the other one phase.
SOURCE = """
#include <Python.h>

static PyModuleDef_Slot slots[] = {{0, 0}};
static PyModuleDef quick = {PyModuleDef_HEAD_INIT, "quick", 0, 0, 0, slots, 0, 0, 0};
PyMODINIT_FUNC PyInit_quick(void) { return PyModuleDef_Init(&quick); }
static PyModuleDef single = {PyModuleDef_HEAD_INIT, "single", 0, -1, 0, 0, 0, 0, 0};
PyMODINIT_FUNC PyInit_single(void) { return PyModule_Create(&single); }
"""

NATIVE = """
for name in 'quick', 'single':
    file = f'{ROOT}/alpha/{name}SUFFIX'
    by_path = put(util.spec_from_file_location(name, file))
    relative = put(util.spec_from_file_location(f'made_up.{name}', f'plugins/alpha/{name}SUFFIX'))
    loader = machinery.ExtensionFileLoader(name, file)
    loaded = util.module_from_spec(util.spec_from_loader(name, loader))
    loader.exec_module(loaded)
    finder = machinery.FileFinder(ROOT + '/alpha', (machinery.ExtensionFileLoader, ['SUFFIX']))
    found = put(finder.find_spec(name))
    sys.path.insert(0, ROOT + '/alpha')
    del sys.modules[name]
    imported = __import__(name)
    drop_in = put(guard.spec_from_file_location(name, file))
    for module in by_path, relative, loaded, found:
        print(module.__name__, module.__file__, module.__spec__.origin)
    print(imported.__file__, drop_in.__file__)  # of one phase: named after the first that CPython has loaded
if sys.platform == 'linux':
    mapped = [line for line in open('/proc/self/maps') if '/alpha/' in line]
    print(len(mapped) if guarded else 0)
"""


@pytest.fixture
def native(by_path: Application, tmp_path: Path) -> Application:
    if not COMPILER or sys.platform != "linux":
        pytest.skip("needs a C compiler, to build machine code")
    (tmp_path / "quick.c").write_text(SOURCE)
    command = [str(COMPILER), "-shared", "-fPIC", *header_options(), str(tmp_path / "quick.c")]
    subprocess.run([*command, "-o", str(tmp_path / "quick.so")], check=True, capture_output=True)
    for target in ("quick", "single"):
        by_path.write(f"alpha/{target}{SUFFIX}", (tmp_path / "quick.so").read_bytes())
    by_path.lock()
    return by_path


def test_machine_code_loads_from_a_copy(native: Application) -> None:
    """Whichever loader loads it, no file of the folder is mapped into memory."""
    script = PREPARE + NATIVE.replace("SUFFIX", SUFFIX)
    plain = native.run(f"guarded = False\n{script}", guarded=False, flags=["-B"])
    assert plain.status == 0, plain
    guarded = native.run(f"guarded = True\n{script}", flags=["-B"])
    assert guarded.stdout == plain.stdout, guarded


COMPILED = """
compiled = []
sys.addaudithook(lambda event, args: event == 'compile' and compiled.append(args[1]))
{load}
print(compiled.count(LONE), type(module.__spec__.loader).__name__, module.VALUE)
"""


@pytest.mark.parametrize(
    ("function", "with_pack", "without"),
    [
        ("util", "1 SourceFileLoader 42\n", "2 SourceFileLoader 42\n"),
        ("guard", "0 VerifiedBytecodeLoader 42\n", "1 VerifiedSourceLoader 42\n"),
    ],
)
def test_pack_saves_compiling_of_verified_bytes(
    by_path: Application, function: str, with_pack: str, without: str
) -> None:
    load = f"module = put({function}.spec_from_file_location('made_up', LONE))"
    script = PREPARE + COMPILED.format(load=load)
    assert by_path.run(script, flags=["-B"]).stdout == without
    done = by_path.start([sys.executable, "-m", "codegenie", "plugins", "compile", "plugins"])
    assert done.status == 0, done
    assert by_path.run(script, flags=["-B"]).stdout == with_pack
    # Code of another optimization level is not what the pack has.
    other = by_path.run(script.replace(load, OTHER_LEVEL), flags=["-B"])
    assert other.stdout.endswith(" Loader 42\n"), other


OTHER_LEVEL = """
class Loader(machinery.SourceFileLoader):
    def exec_module(self, module):
        with open(LONE, 'rb') as file:
            exec(compile(file.read(), LONE, 'exec', optimize=2), module.__dict__)
module = put(util.spec_from_file_location('made_up', LONE, loader=Loader('made_up', LONE)))
"""


DROP_IN = """
with open('elsewhere.py', 'w') as file:
    file.write('VALUE = 43')
loader = machinery.SourceFileLoader('made_up', LONE)
print(put(guard.spec_from_file_location('made_up', 'elsewhere.py')).VALUE)
print(guard.spec_from_file_location('made_up', LONE, loader=loader).loader is loader)
print(guard.spec_from_file_location('made_up', loader=loader).origin == LONE)
print(guard.spec_from_file_location('made_up', ROOT + '/alpha/data.txt'))
print(guard.spec_from_file_location('made_up', ROOT + '/alpha'))
print(guard.spec_from_file_location('made_up', INIT, submodule_search_locations=None)
      .submodule_search_locations)
missing = guard.spec_from_file_location('made_up', ROOT + '/alpha/none.py')
try:
    put(missing)
except FileNotFoundError as error:
    print(error)
os.symlink(LONE, 'link.py')
module = put(guard.spec_from_file_location('made_up', 'link.py'))
print(module.__file__, module.VALUE)
import copy, pickle
module = put(guard.spec_from_file_location('made_up', INIT))
if guard is not util:
    loader = pickle.loads(pickle.dumps(module.__spec__.loader))
    assert (loader.name, loader.path, loader) == ('made_up', INIT, module.__spec__.loader)
"""


def test_bytecode_prefix_in_the_folder_does_not_keep_the_guard_from_loading(
    by_path: Application,
) -> None:
    """Let the guard's own modules be looked up there as well: their source is compiled instead."""
    outcome = by_path.run(
        PREPARE + "print(put(util.spec_from_file_location('made_up', LONE)).VALUE)",
        environment={"PYTHONPYCACHEPREFIX": str(by_path.root / "__pycache__")},
    )
    assert (outcome.status, outcome.stderr) == (0, ""), outcome


def test_drop_in_gives_what_importlib_gives(by_path: Application) -> None:
    plain = by_path.run(PREPARE + DROP_IN, guarded=False, flags=["-B"])
    assert plain.status == 0, plain
    (by_path.folder / "link.py").unlink()
    guarded = by_path.run(PREPARE + DROP_IN, flags=["-B"])
    assert (guarded.stdout, guarded.status) == (plain.stdout, 0), guarded


def test_drop_in_refuses_before_it_returns_a_spec(by_path: Application) -> None:
    by_path.write("alpha/lone.py", "")
    load = "guard.spec_from_file_location('made_up', LONE)"
    outcome = by_path.run(PREPARE + load, report=True)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert outcome.refusal["name"] == "made_up"


def test_drop_in_reports_once_in_audit_mode(by_path: Application) -> None:
    by_path.write("alpha/lone.py", "VALUE = 'changed'")
    outcome = by_path.run(
        "import codegenie.plugins.guard as guard; guard.install(mode='audit')\n"
        f"import logging; logging.basicConfig()\n{PREPARE}"
        "print(put(guard.spec_from_file_location('made_up', LONE)).VALUE)"
    )
    assert (outcome.stdout, outcome.stderr.count("would refuse")) == ("changed\n", 1), outcome
