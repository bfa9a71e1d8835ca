"""Honest plugins work in every form of import, and look the same as without the guard.

Each script runs twice, guarded and plain, and must print the same.
"""

from __future__ import annotations

import re

import pytest

from tests.fixtures.trees import Application

PLUGIN: dict[str, str | bytes] = {
    "__init__.py": "from . import api as shortcut\n",
    "sub/__init__.py": "LEVEL = 'sub'\n",
    "sub/deep/mod.py": "from ...helper import VALUE\nfrom .. import LEVEL\n",  # deep: a namespace
    "sub/deep/mod2.py": "",
    "sub/__main__.py": "print('main of', __package__, __name__)\n",
    "circular_a.py": "from . import circular_b\nNAME = 'a'\ndef other(): return circular_b.NAME\n",
    "circular_b.py": "from . import circular_a\nNAME = 'b'\ndef other(): return circular_a.NAME\n",
    "latin.py": b"# -*- coding: latin-1 -*-\nTEXT = '\xe9'\n",
    "raises.py": "def fail():\n    raise RuntimeError('on purpose')\n",
    "broken.py": "1 / 0\n",
    "syntax.py": "def (:\n",
    "undecodable.py": b"TEXT = '\xff'\n",
    "data/words.txt": "one\r\ntwo\n",
    "shapes.py": (
        "import dataclasses, enum\n"
        "@dataclasses.dataclass\nclass Point:\n    x: int\n    y: 'list[int]'\n"
        "class Colour(enum.Enum):\n    RED = 1\n"
        "def doubled(x):\n    '''Twice.\n\n    >>> doubled(2)\n    4\n    '''\n    return 2 * x\n"
    ),
}

FORMS = {
    "import statement": "import plugins.alpha.api; print(plugins.alpha.api.answer())",
    "import as": "import plugins.alpha.api as a; print(a.answer())",
    "from package import module": "from plugins.alpha import api; print(api.answer())",
    "from module import name": "from plugins.alpha.api import answer; print(answer())",
    "from package import star": "from plugins.alpha.sub import *; print(LEVEL)",
    "import_module": "import importlib; print(importlib.import_module('plugins.alpha.api').answer())",
    "dunder import": "print(__import__('plugins.alpha.api', fromlist=['x']).answer())",
    "relative import_module": (
        "import importlib; print(importlib.import_module('.api', 'plugins.alpha').answer())"
    ),
    "namespace sub-package": (
        "import plugins.alpha.sub.deep.mod as m; print(m.VALUE, m.LEVEL);"
        "import plugins.alpha.sub.deep as d; print(hasattr(d, '__file__'), list(d.__path__))"
    ),
    "circular": "import plugins.alpha.circular_a as a; print(a.other(), a.circular_b.other())",
    "source encoding": "import plugins.alpha.latin as m; print(ascii(m.TEXT))",
    "find_spec": (
        "import importlib.util as u; s = u.find_spec('plugins.alpha.sub'); "
        "print(s.name, s.origin, s.submodule_search_locations, s.has_location, s.cached, s.parent);"
        "print(u.find_spec('plugins.alpha.nothing'), u.find_spec('plugins.nothing'))"
    ),
    "missing module": (
        "try:\n    import plugins.alpha.nothing\n"
        "except ModuleNotFoundError as e:\n    print(type(e).__name__, e, e.name)"
    ),
    "missing below a module": (
        "try:\n    import plugins.alpha.api.nothing\n"
        "except ModuleNotFoundError as e:\n    print(type(e).__name__, e.name)"
    ),
    "from package import missing": (
        "try:\n    from plugins.alpha import nothing\n"
        "except ImportError as e:\n    print(type(e).__name__, e.name)"
    ),
    "hasattr": "import plugins.alpha as p; print(hasattr(p, 'nothing'), hasattr(p, 'shortcut'))",
    "reload": (
        "import importlib, plugins.alpha.helper as h; h.VALUE = 0; "
        "print(importlib.reload(h).VALUE, importlib.reload(h) is h)"
    ),
    "import again": (
        "import sys, importlib; import plugins.alpha.api as first; "
        "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith('plugins')]; "
        "second = importlib.import_module('plugins.alpha.api'); print(second is first, second.answer())"
    ),
    "invalidate_caches": (
        "import importlib; importlib.invalidate_caches(); import plugins.alpha.api as a; "
        "importlib.invalidate_caches(); print(importlib.reload(a).answer())"
    ),
    "lazy loader": (
        "import importlib.util as u, sys; s = u.find_spec('plugins.alpha.latin'); "
        "s.loader = u.LazyLoader(s.loader); m = sys.modules[s.name] = u.module_from_spec(s); "
        "s.loader.exec_module(m); print(ascii(m.TEXT))"
    ),
    "run_module": (
        "import runpy; print(ascii(runpy.run_module('plugins.alpha.latin', run_name='__main__')['TEXT']))"
    ),
    "run_module of a package": "import runpy; runpy.run_module('plugins.alpha.sub')",
    "pickle by name": (
        "import pickle, plugins.alpha.shapes as s; "
        "p = pickle.dumps((s.Point(1, [2]), s.Colour.RED, s.doubled)); "
        "print(pickle.loads(p)[:2], pickle.loads(p)[2] is s.doubled)"
    ),
    "copies and pickles of specs": (
        "import copy, pickle, sys, importlib.util as u\n"
        "import plugins.alpha.sub.deep.mod, plugins.alpha.shapes\n"
        "for name in 'sub', 'sub.deep', 'sub.deep.mod', 'shapes':\n"
        "    spec = sys.modules['plugins.alpha.' + name].__spec__\n"
        "    for again in (lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy):\n"
        "        s = again(spec)\n"
        "        print(s.name, s.origin, list(s.submodule_search_locations or ()), s.parent)\n"
        "        print(type(s.loader) is type(spec.loader), s.loader.is_package(s.name))\n"
        "        m = u.module_from_spec(s); s.loader.exec_module(m); print(m.__name__)"
    ),
    "copies and pickles of specs of a vendored module": (
        "import copy, pickle, sys\n"
        "sys.path.insert(0, 'plugins/alpha')\n"
        "import shapes, sub, sub.deep.mod2\n"
        "for module in shapes, sub, sub.deep.mod2:\n"
        "    spec = module.__spec__\n"
        "    for again in (lambda s: pickle.loads(pickle.dumps(s)), copy.deepcopy, copy.copy):\n"
        "        print(again(spec).name, again(spec).origin, again(spec).loader == spec.loader)"
    ),
    "dataclass and type hints": (
        "import typing, plugins.alpha.shapes as s; "
        "print(s.Point(1, [2]), typing.get_type_hints(s.Point))"
    ),
    "doctest": "import doctest, plugins.alpha.shapes as s; print(doctest.testmod(s))",
    "inspect": (
        "import inspect, plugins.alpha.shapes as s; print(inspect.getsource(s.doubled)); "
        "print(inspect.getsourcefile(s), inspect.getfile(s), inspect.getmodule(s.Point) is s); "
        "print(inspect.getsourcelines(s.Point))"
    ),
    "loader methods": (
        "import plugins.alpha.sub as s, plugins.alpha.helper as h\n"
        "for m in (s, h):\n"
        "    l = m.__loader__\n"
        "    print(l.is_package(m.__name__), l.get_filename(m.__name__), l.get_source(m.__name__), "
        "l.get_code(m.__name__).co_filename, l.name, l.path, m.__spec__.loader is l)"
    ),
    "pkgutil.get_data": "import pkgutil; print(pkgutil.get_data('plugins.alpha', 'data/words.txt'))",
    "get_data of nothing": (
        "import pkgutil\ntry:\n    pkgutil.get_data('plugins.alpha', 'data/none')\n"
        "except OSError as e:\n    print(type(e).__name__, e.errno, e.filename)"
    ),
    "resources": (
        "from importlib.resources import files, as_file\n"
        "r = files('plugins.alpha') / 'data' / 'words.txt'\n"
        "print(r.read_text(encoding='utf-8').split(), r.read_bytes(), r.is_file(), r.name)\n"
        "print(sorted(e.name for e in files('plugins.alpha').iterdir() if e.name != '__pycache__'))\n"
        "print(files('plugins.alpha').joinpath('data/words.txt').is_file())\n"
        "print((files('plugins.alpha') / 'none').is_file(), (files('plugins.alpha') / 'data').is_dir())\n"
        "with as_file(r) as path: print(path.read_bytes())\n"
        "with r.open('rb') as f: print(f.read())\n"
        "with r.open(encoding='utf-8') as f: print(f.readlines())\n"
        "print(files('plugins.alpha.sub.deep').joinpath('mod.py').is_file())"
    ),
    "walk_packages": (
        "import pkgutil, plugins.alpha as p; "
        "print(sorted((m.name, m.ispkg) for m in pkgutil.iter_modules(p.__path__, 'x.'))); "
        "print(sorted(m.name for m in pkgutil.iter_modules(p.sub.__path__ if hasattr(p, 'sub') "
        "else __import__('plugins.alpha.sub', fromlist=['x']).__path__)))"
    ),
    "module attributes": (
        "import plugins.alpha, plugins.alpha.api, plugins.alpha.sub.deep\n"
        "for m in (plugins.alpha, plugins.alpha.api, plugins.alpha.sub.deep):\n"
        "    print({k: v for k, v in sorted(vars(m).items()) if k in "
        "('__name__', '__package__', '__file__', '__cached__', '__doc__')})\n"
        "    print(list(getattr(m, '__path__', ['-'])), m.__spec__.name, m.__spec__.origin, "
        "m.__spec__.cached, m.__spec__.parent, m.__spec__.has_location, '__builtins__' in vars(m))"
    ),
    "compiler flags": (
        "import plugins.alpha.api as a; print(a.answer.__code__.co_flags, a.answer.__code__.co_filename)"
    ),
    "traceback at the call": (
        "import traceback\nfrom plugins.alpha.raises import fail\n"
        "try:\n    fail()\nexcept RuntimeError:\n    print(traceback.format_exc())"
    ),
    "traceback at the import": (
        "import traceback\ntry:\n    import plugins.alpha.broken\n"
        "except ZeroDivisionError:\n    print(traceback.format_exc())"
    ),
    "syntax error": (
        "import traceback\ntry:\n    import plugins.alpha.syntax\n"
        "except SyntaxError:\n    print(traceback.format_exc())"
    ),
    "source that cannot be decoded": (
        "import linecache\ntry:\n    import plugins.alpha.undecodable\n"
        "except SyntaxError as error:\n    print(linecache.getlines(error.filename))"
    ),
    "patching": (
        "import unittest.mock as m, plugins.alpha.api as a\n"
        "with m.patch('plugins.alpha.helper.VALUE', 7): print(a.answer())\nprint(a.answer())"
    ),
    "warnings name the plugin": (
        "import warnings, plugins.alpha.helper as h\n"
        "with warnings.catch_warnings(record=True) as w:\n"
        "    warnings.simplefilter('always'); exec('warnings.warn(\"x\")', vars(h) | {'warnings': warnings})\n"
        "print(w[0].message)"
    ),
    "threads": (
        "import threading, importlib\n"
        "names = ['api', 'helper', 'one', 'two', 'three', 'four', 'five']\n"
        "done = []\n"
        "def work(i):\n    done.append(importlib.import_module('plugins.beta.' + names[i % 7]).__name__)\n"
        "ts = [threading.Thread(target=work, args=(i,)) for i in range(32)]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]\nprint(len(done))"
    ),
}

FLAGS: dict[str, list[str]] = {
    "plain": [],
    "-O": ["-O"],
    "-OO": ["-OO"],
    "dev, warnings are errors": ["-X", "dev", "-W", "error"],
    "frozen modules off": ["-X", "frozen_modules=off"],
}


@pytest.fixture
def honest(application: Application) -> Application:
    application.add_plugin("alpha", PLUGIN)
    # Without circular imports: CPython's own deadlock detection makes those fail on threads.
    application.add_plugin("beta", {f"{n}.py": "" for n in ("one", "two", "three", "four", "five")})
    application.lock()
    return application


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_plugin_behaves_as_without_the_guard(honest: Application, form: str) -> None:
    plain = honest.run(FORMS[form], guarded=False, flags=["-B"])
    assert plain.status == 0, plain
    guarded = honest.run(FORMS[form], flags=["-B", "-X", "dev", "-W", "error"])
    assert (guarded.status, guarded.stderr) == (0, ""), guarded
    # The guard itself is imported on a line of its own before the script.
    assert _lines_shifted(guarded.stdout) == plain.stdout
    assert sorted(guarded.executed) == sorted(plain.executed)


def _lines_shifted(output: str) -> str:
    """Return the traceback's line numbers in ``-c`` code, as they are without the guard's line."""
    return re.sub(r'(File "<string>", line )(\d+)', lambda m: f"{m[1]}{int(m[2]) - 1}", output)


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS.keys())
def test_flags_of_the_interpreter_reach_the_plugin(honest: Application, flags: list[str]) -> None:
    script = (
        "import plugins.alpha.shapes as s, plugins.alpha.api as a; "
        "print(s.doubled.__doc__, a.answer(), a.answer.__code__.co_flags, __debug__, a.__spec__.cached)"
    )
    plain = honest.run(script, guarded=False, flags=["-B", *flags])
    guarded = honest.run(script, flags=["-B", *flags])
    assert (guarded.status, guarded.stderr) == (0, ""), guarded
    assert guarded.stdout == plain.stdout


def test_non_ascii_names_in_an_ascii_locale(honest: Application) -> None:
    honest.write("alpha/größe.py", "WERT = 'ü'\n")
    honest.write("alpha/data/日本.txt", "x")
    honest.lock()
    script = (
        "import importlib, pkgutil; m = importlib.import_module('plugins.alpha.gr\\xf6\\xdfe'); "
        "print(ascii(m.WERT)); print(pkgutil.get_data('plugins.alpha', 'data/\\u65e5\\u672c.txt'))"
    )
    for variables in ({}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}):
        outcome = honest.run(script, environment=variables)
        assert outcome.stdout == "'\\xfc'\nb'x'\n", outcome


def test_no_bytecode_is_written(honest: Application) -> None:
    assert honest.run("import plugins.alpha.api").status == 0
    assert not list(honest.root.rglob("__pycache__"))


def test_walk_packages_from_the_top_lists_and_imports_everything(honest: Application) -> None:
    outcome = honest.run(
        "import pkgutil, plugins\n"
        "print(sorted(m.name for m in pkgutil.walk_packages(plugins.__path__, 'plugins.')))"
    )
    assert outcome.status == 0, outcome
    listed = eval(outcome.stdout)
    assert {"plugins.alpha", "plugins.alpha.api", "plugins.alpha.sub", "plugins.beta.api"} <= set(
        listed
    )


def test_find_spec_refuses_where_import_does(honest: Application) -> None:
    honest.write("alpha/api.py", "changed = True\n")
    outcome = honest.run(
        "import importlib.util as u; u.find_spec('plugins.alpha.api')", report=True
    )
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
