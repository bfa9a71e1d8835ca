"""The import system's other protocols work as without the guard.

One program in two fresh interpreters, guarded and plain, in a folder with an ``__init__.py`` in its
root and in one without. Nothing of what it prints may differ.
"""

from __future__ import annotations

import textwrap

import pytest

from tests.conformance.children import GUARDED, PLAIN
from tests.fixtures.trees import Application, Outcome

PLUGIN: dict[str, str] = {
    "__init__.py": "",
    "shapes.py": (
        '"""Shapes."""\n\nclass Shape:\n    """A shape.\n\n    >>> Shape().sides\n    0\n    """\n'
        "    sides = 0\n\n\nclass Square(Shape):\n    sides = 4\n\n\ndef area(side):\n"
        "    return side * side\n"
    ),
    "plain.py": "print('ran as', __name__)\n",
    "sub/__init__.py": "from . import inner\n",
    "sub/inner.py": "class Inner:\n    pass\n",
    "sub/__main__.py": "print('main of', __package__)\n",
    "space/leaf.py": "class Leaf:\n    pass\n",
    "space/words.txt": "leaf\n",
    "data/words.txt": "hi\n",
    "data/deep/more.txt": "more\n",
    "migrations/env.py": "",
    "migrations/versions/one.py": "",
    "tests/__init__.py": "",
    "tests/test_it.py": (
        "import unittest\n\nclass It(unittest.TestCase):\n    def test(self):\n        pass\n"
    ),
    "vendor/pure.py": "VALUE = 1\n",
    "vendor/wheel/__init__.py": "from .part import VALUE\n",
    "vendor/wheel/part.py": "VALUE = 2\n",
    "vendor/wheel/data.txt": "of the wheel\n",
    "vendor/portion/module.py": "VALUE = 3\n",
}

ON_THE_PATH = """
import os, sys
folder = os.path.abspath('plugins/alpha/vendor')
sys.path.insert(0, folder)
"""

TRIED = """
def tried(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__
"""

PROGRAMS: dict[str, str] = {
    # --- the loaders ------------------------------------------------------------------------------
    "abstract classes": """
        import importlib, importlib.abc as abc
        for name in ('alpha', 'alpha.shapes', 'alpha.sub', 'alpha.space'):
            loader = importlib.import_module('plugins.' + name).__spec__.loader
            print(name, [kind for kind in ('Loader', 'InspectLoader', 'ExecutionLoader',
                'ResourceLoader', 'FileLoader', 'SourceLoader')
                if hasattr(abc, kind) and isinstance(loader, getattr(abc, kind))])
        """,
    "optional methods": """
        import importlib
        for name in ('alpha', 'alpha.shapes', 'alpha.sub', 'alpha.sub.__main__'):
            name = 'plugins.' + name
            loader = importlib.import_module(name).__spec__.loader
            print(loader.is_package(name), loader.get_filename(name), loader.get_source(name),
                  loader.get_code(name).co_filename, loader.get_data(loader.path)[:4],
                  loader.name, loader.path)
        for name in ('plugins.alpha.space',):
            loader = importlib.import_module(name).__spec__.loader
            print(loader.is_package(name), loader.get_code(name).co_consts,
                  hasattr(loader, 'get_filename'), hasattr(loader, 'get_data'))
        """,
    "methods for another module": TRIED
    + """
import plugins.alpha.shapes as m
for method in ('get_filename', 'get_source', 'get_code', 'is_package'):
    print(method, tried(lambda: getattr(m.__loader__, method)('other') is None))
""",
    "attributes can be set": """
        import importlib.util
        for name in ('plugins', 'plugins.alpha', 'plugins.alpha.shapes', 'plugins.alpha.space'):
            loader = importlib.import_module(name).__loader__
            loader.traced = True
            print(name, loader.traced)
        """,
    "load_module": """
        import warnings; warnings.simplefilter('ignore')
        import plugins.alpha.shapes as m, plugins.alpha as p, plugins, sys
        for module in (m, p):
            loader = module.__loader__
            if hasattr(loader, 'load_module'):
                print(loader.load_module(module.__name__) is module, module.__spec__.name)
        print(hasattr(plugins.__loader__, 'load_module'))
        """,
    "spec_from_loader": """
        import importlib.util, plugins.alpha.sub as p, plugins.alpha.shapes as m
        for module in (p, m):
            spec = importlib.util.spec_from_loader(module.__name__, module.__loader__)
            print(spec.origin, spec.submodule_search_locations, spec.has_location, spec.cached)
        """,
    "lazy loader": """
        import importlib.util, sys
        spec = importlib.util.find_spec('plugins.alpha.shapes')
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        print(type(module).__name__, module.Square.sides, type(module).__name__)
        """,
    "equal loaders": """
        import importlib.util, plugins.alpha.shapes as m, copy
        spec = importlib.util.find_spec('plugins.alpha.shapes')
        print(spec == m.__spec__, spec.loader == m.__loader__, copy.copy(spec) == spec)
        """,
    # --- the package, and packages without __init__ -----------------------------------------------
    "types of __path__": """
        import plugins, plugins.alpha, plugins.alpha.space as space
        for module in (plugins, plugins.alpha, space):
            print(isinstance(module.__path__, list), list(module.__path__), len(module.__path__),
                  module.__path__[0], module.__path__[0] in module.__path__,
                  repr(module.__path__), hasattr(module.__path__, 'insert'))
            module.__path__.append('/nowhere')
            print(list(module.__path__))
        """,
    "NamespacePath": """
        import importlib.machinery as m, plugins.alpha.space as space
        if hasattr(m, 'NamespacePath'):
            print(isinstance(space.__path__, m.NamespacePath))
        print('NamespacePath' in str(space.__path__))
        """,
    "path is pickled and copied": """
        import copy, pickle, plugins.alpha.space as space, plugins.alpha
        for path in (space.__path__, plugins.alpha.__path__):
            print(list(pickle.loads(pickle.dumps(path))), list(copy.copy(path)),
                  list(copy.deepcopy(path)))
        """,
    "path after invalidate_caches": """
        import importlib, plugins, plugins.alpha.space as space, sys
        importlib.invalidate_caches(); sys.path_importer_cache.clear()
        sys.path.append('/nowhere')
        print(list(space.__path__), list(plugins.__path__))
        import plugins.alpha.space.leaf as leaf
        print(leaf.__spec__.parent)
        """,
    "extend_path": """
        import pkgutil, plugins, plugins.alpha, plugins.alpha.space
        for module in (plugins, plugins.alpha, plugins.alpha.space):
            print(list(pkgutil.extend_path(module.__path__, module.__name__)))
        """,
    "attributes of the packages": """
        import plugins, plugins.alpha, plugins.alpha.space, plugins.alpha.sub.inner as inner
        for module in (plugins, plugins.alpha, plugins.alpha.space, inner):
            print(module.__package__, module.__spec__.parent, module.__spec__.origin,
                  module.__spec__.has_location, module.__spec__.cached, module.__file__,
                  getattr(module, '__cached__', '-'), module.__doc__,
                  list(module.__spec__.submodule_search_locations or ()))
        print(getattr(plugins.__loader__, 'path', '-'))
        """,
    "reload of the package": """
        import importlib, plugins, plugins.alpha
        before = list(plugins.__path__)
        print(importlib.reload(plugins) is plugins, list(plugins.__path__) == before,
              plugins.alpha.__name__, plugins.__file__)
        """,
    # --- resources --------------------------------------------------------------------------------
    "resources of the root": """
        from importlib.resources import files
        root = files('plugins')
        print((root / 'alpha' / 'data' / 'words.txt').read_text(), root.is_dir(), root.is_file(),
              root.name, 'alpha' in [entry.name for entry in root.iterdir()],
              (root / 'alpha').is_dir(), (root / 'none').is_file(), (root / 'none').is_dir())
        """,
    "resources of packages": """
        from importlib.resources import files
        import plugins.alpha, plugins.alpha.space
        print(files(plugins.alpha).joinpath('data').joinpath('deep').joinpath('more.txt').read_text())
        print(files(plugins.alpha.space).joinpath('words.txt').read_text())
        print(sorted(e.name for e in files('plugins.alpha').iterdir() if e.name != '__pycache__'))
        words = files('plugins.alpha') / 'data' / 'words.txt'
        print(words == files('plugins.alpha').joinpath('data/words.txt'),
              words == files('plugins.alpha') / 'data', words == 'data/words.txt')
        """,
    "a folder as_file": """
        from importlib.resources import as_file, files
        with as_file(files('plugins.alpha') / 'migrations') as path:
            print(sorted(str(e.relative_to(path)) for e in path.rglob('*')
                         if '__pycache__' not in e.parts), path.name)
        with as_file(files('plugins.alpha') / 'data' / 'words.txt') as path:
            print(path.read_text())
        """,
    "pkgutil.get_data": """
        import pkgutil
        print(pkgutil.get_data('plugins.alpha', 'data/words.txt'),
              pkgutil.get_data('plugins', 'alpha/data/words.txt'),
              pkgutil.get_data('plugins.alpha.space', 'words.txt'))
        """,
    "legacy resource functions": """
        import importlib.resources as r, warnings; warnings.simplefilter('ignore')
        print(r.read_text('plugins.alpha', 'plugin.yaml')[:5],
              r.is_resource('plugins.alpha', 'data'),
              'plugin.yaml' in r.contents('plugins.alpha'))
        """,
    # --- listings ---------------------------------------------------------------------------------
    "iter_modules": """
        import pkgutil, plugins.alpha, plugins.alpha.sub, sys, importlib
        def listed():
            for path in (plugins.alpha.__path__, plugins.alpha.sub.__path__):
                print(sorted((m.name, m.ispkg) for m in pkgutil.iter_modules(path, 'x.')))
            print(sorted(m.name for m in pkgutil.walk_packages(plugins.alpha.__path__,
                                                               'plugins.alpha.')))
        listed(); sys.path_importer_cache.clear(); listed(); importlib.invalidate_caches(); listed()
        """,
    "finders of what is listed": """
        import importlib.util, pkgutil, plugins.alpha, sys
        for finder, name, _ in sorted(pkgutil.iter_modules(plugins.alpha.__path__),
                                      key=lambda m: m.name):
            spec = finder.find_spec(name)
            print(name, finder.path, spec.name, spec.origin)
        spec = finder.find_spec('shapes')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        print(module.Square.sides, module.__name__, finder.find_spec('none'))
        """,
    "find_module": """
        import pkgutil, plugins.alpha, warnings; warnings.simplefilter('ignore')
        for finder, name, _ in pkgutil.iter_modules(plugins.alpha.__path__):
            if name == 'shapes' and hasattr(finder, 'find_module'):
                print(finder.find_module(name).load_module(name).Square.sides)
                print(finder.find_loader(name)[0].path, finder.find_loader('space'),
                      finder.find_loader('none'))
        """,
    "discover": """
        import importlib.machinery, plugins.alpha
        if hasattr(importlib.machinery.PathFinder, 'discover'):
            print(sorted((spec.name, spec.origin) for spec in
                  importlib.machinery.PathFinder.discover(plugins.alpha.__spec__)
                  if spec.name != 'plugins.alpha.__pycache__'))
        """,
    "the finders are PathEntryFinder": """
        import importlib.abc, pkgutil
        finder = pkgutil.get_importer('plugins/alpha')
        print(isinstance(finder, importlib.abc.PathEntryFinder), finder.path)
        """,
    # --- tools ------------------------------------------------------------------------------------
    "pyclbr": """
        import pyclbr
        for name in ('plugins.alpha.shapes', 'plugins.alpha.sub.inner'):
            print({key: (value.name, value.lineno, value.file)
                   for key, value in pyclbr.readmodule_ex(name).items()})
        print(pyclbr.readmodule_ex('plugins.alpha'))
        """,
    "pyclbr after an import": """
        import plugins.alpha, pyclbr
        print(sorted(pyclbr.readmodule_ex('shapes', plugins.alpha.__path__)))
        """,
    "inspect": """
        import inspect, plugins.alpha.shapes as m, plugins.alpha.space.leaf as leaf
        print(inspect.getsource(m.area), inspect.getfile(m), inspect.getsourcefile(m.Square),
              inspect.getmodule(m.Square) is m, inspect.getmodulename(m.__file__),
              inspect.getsource(leaf.Leaf))
        """,
    "doctest": "import doctest, plugins.alpha.shapes as s; print(doctest.testmod(s))",
    "pydoc": """
        import pydoc, plugins.alpha.shapes
        print(pydoc.render_doc('plugins.alpha.shapes', renderer=pydoc.plaintext))
        print(pydoc.synopsis(plugins.alpha.shapes.__file__))
        """,
    "pydoc of a package": """
        import pydoc
        print(pydoc.render_doc('plugins.alpha', renderer=pydoc.plaintext))
        """,
    "runpy": """
        import runpy, sys
        runpy.run_module('plugins.alpha.plain', run_name='x')
        runpy.run_module('plugins.alpha.sub')
        print(sorted(k for k in runpy.run_path('plugins/alpha/sub/inner.py') if k[0] != '_'))
        runpy.run_path('plugins/alpha/sub')
        """,
    "resolve_name": """
        import pkgutil
        print(pkgutil.resolve_name('plugins.alpha.shapes:Square.sides'),
              pkgutil.resolve_name('plugins.alpha.shapes.Square').__name__)
        """,
    "unittest discover": """
        import unittest
        print(unittest.TestLoader().discover('plugins/alpha/tests',
                                             top_level_dir='.').countTestCases())
        print(unittest.TestLoader().loadTestsFromName('plugins.alpha.tests.test_it').countTestCases())
        """,
    "modulefinder": TRIED
    + """
import modulefinder, pathlib, sys
sys.path.insert(0, 'plugins/alpha/vendor')
def found():
    finder = modulefinder.ModuleFinder()
    pathlib.Path('script.py').write_text('import plugins.alpha.shapes\\nimport wheel')
    finder.run_script('script.py')
    return sorted((name, module.__file__) for name, module in finder.modules.items()
                  if name.startswith(('plugins', 'wheel')))
print(tried(found))
import plugins.alpha
print(tried(found))
""",
    "find_packages": """
        import os
        print(sorted(os.listdir('plugins/alpha/vendor')))
        """,
    # --- folders on a search path -----------------------------------------------------------------
    "modules of a folder on the path": ON_THE_PATH
    + """
import pure, wheel, wheel.part, portion.module as module
print(pure.VALUE, wheel.VALUE, module.VALUE, wheel.__file__, wheel.__package__,
      list(wheel.__path__), pure.__spec__.name,
      repr(sys.modules['portion'].__path__).partition('(')[0])
try:
    import none_such
except ModuleNotFoundError as error:
    print(error, error.name)
""",
    "the same, after the cache was cleared": ON_THE_PATH
    + """
import plugins.alpha, importlib
sys.path_importer_cache.clear(); importlib.invalidate_caches()
import pure, wheel
print(pure.VALUE, wheel.VALUE)
sys.path_hooks.reverse(); sys.path_importer_cache.clear()
import portion.module
print(portion.module.VALUE)
""",
    "a folder that is spelled with dots": """
        import os, sys
        sys.path.insert(0, 'plugins/alpha/sub/../vendor')
        sys.path.insert(0, os.path.abspath('plugins') + '/alpha/./vendor/')
        import pure, wheel
        print(pure.VALUE, wheel.VALUE)
        """,
    "a folder in a package's path": """
        import os, sys, types
        package = types.ModuleType('hosted'); sys.modules['hosted'] = package
        package.__path__ = [os.path.abspath('plugins')]
        import hosted.alpha.shapes as m, hosted.alpha.space.leaf as leaf
        print(m.__name__, m.Square.sides, m.__package__, leaf.__spec__.parent)
        """,
    "resources of a module on the path": ON_THE_PATH
    + """
import pkgutil, wheel, inspect
from importlib.resources import files
print(files('wheel').joinpath('data.txt').read_text(), pkgutil.get_data('wheel', 'data.txt'),
      inspect.getsource(wheel))
""",
    "listing of a folder on the path": ON_THE_PATH
    + """
import pkgutil
print(sorted((m.name, m.ispkg) for m in pkgutil.iter_modules([folder])))
print(sorted(m.name for m in pkgutil.walk_packages([folder])))
import importlib.util
print(importlib.util.find_spec('wheel').origin, importlib.util.find_spec('none'),
      importlib.util.find_spec('wheel.part').origin)
""",
    "lazily, before anything else": ON_THE_PATH
    + """
import importlib.util
spec = importlib.util.find_spec('pure')
spec.loader = importlib.util.LazyLoader(spec.loader)
module = importlib.util.module_from_spec(spec); sys.modules['pure'] = module
spec.loader.exec_module(module)
print(module.VALUE, module.__spec__.origin)
""",
    "loaded by its path": """
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location('nodes', 'plugins/alpha/__init__.py')
        module = importlib.util.module_from_spec(spec); sys.modules['nodes'] = module
        spec.loader.exec_module(module)
        import nodes.shapes, nodes.sub.inner, nodes.space.leaf
        print(nodes.shapes.Square.sides, nodes.sub.inner.Inner.__module__, nodes.space.leaf)
        """,
}

FLAGS = ("-B", "-X", "dev")


@pytest.fixture
def plugins(application: Application) -> Application:
    application.add_plugin("alpha", {**PLUGIN})
    application.lock()
    return application


def answered(application: Application, program: str, *, guarded: bool) -> Outcome:
    start = (GUARDED if guarded else PLAIN).format(
        folder=str(application.folder), root=str(application.root)
    )
    return application.run(start + textwrap.dedent(program), guarded=False, flags=FLAGS)


@pytest.mark.parametrize("root", ["a namespace", "with __init__"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_prints_the_same(plugins: Application, program: str, root: str) -> None:
    if root == "with __init__":
        plugins.write("__init__.py", "")
    plain = answered(plugins, PROGRAMS[program], guarded=False)
    guarded = answered(plugins, PROGRAMS[program], guarded=True)
    assert guarded.stdout == plain.stdout, guarded.stderr
    assert (plain.status, plain.stderr) == (guarded.status, guarded.stderr) == (0, "")
