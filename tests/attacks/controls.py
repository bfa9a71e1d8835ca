"""Honest programs. Guarded and unguarded they must do the same, or the guard refuses too much."""

from __future__ import annotations

import importlib.util
import py_compile
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.attacks.attack import NOTHING, Need, untouched
from tests.attacks.native import SUFFIX
from tests.fixtures.trees import Application


@dataclass(frozen=True)
class Control:
    """A program that only does what is allowed, with a plugin that is as it was locked."""

    name: str
    script: str
    prepare: Callable[[Application], None] = untouched
    arguments: tuple[str, ...] = ()
    """The interpreter's arguments in place of the script; a ``sitecustomize`` has the guard then."""
    flags: tuple[str, ...] = ("-B",)
    settings: Mapping[str, str] = field(default_factory=dict)
    needs: Need = NOTHING


PLUGIN: dict[str, str | bytes] = {
    "__init__.py": "",
    "sub/__init__.py": "LEVEL = 'sub'\n",
    "sub/__main__.py": "print('main of', __package__, 'as', __name__)\n",
    "sub/deep/mod.py": "from ...helper import VALUE\nfrom .. import LEVEL\n",  # deep: a namespace
    "circular_a.py": "from . import circular_b\nNAME = 'a'\ndef other(): return circular_b.NAME\n",
    "circular_b.py": "from . import circular_a\nNAME = 'b'\ndef other(): return circular_a.NAME\n",
    "lazy.py": "def value():\n    from . import helper\n    return helper.VALUE\n",
    "shapes.py": (
        "import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int\n"
        "def doubled(x):\n    '''Twice.'''\n    return 2 * x\n"
        "def fail():\n    raise RuntimeError('on purpose')\n"
    ),
    "page.html": "Hello {{ name }}\n",
    "data/words.txt": "one\r\ntwo\n",
    "templates.py": (
        "import pkgutil\n"
        "def render(**names):\n"
        "    # As template engines do: the code they make bears the name of the template.\n"
        "    text = pkgutil.get_data(__package__, 'page.html').decode().strip()\n"
        "    source = 'result = ' + repr(text).replace('{{ name }}', '\\' + name + \\'')\n"
        "    exec(compile(source, __file__.replace('templates.py', 'page.html'), 'exec'), names)\n"
        "    return names['result']\n"
    ),
    "settings.conf": "LEVEL = 'set'\n",
    "sub/settings.py": (
        "import os\n"
        "path = os.path.join(os.path.dirname(__file__), '..', 'settings.conf')\n"
        "with open(path) as file:\n"
        "    exec(compile(file.read(), path, 'exec'))\n"
    ),
    "notes.py": (
        "import pathlib\n"
        "def write(text):\n"
        "    folder = pathlib.Path('state')\n"
        "    folder.mkdir(exist_ok=True)\n"
        "    (folder / 'notes.txt').write_text(text)\n"
        "    return (folder / 'notes.txt').read_text()\n"
    ),
    "tool.py": "import sys\nif __name__ == '__main__':\n    print('a tool', sys.argv[1:])\n",
}

STANDARD_EXTENSION = importlib.util.find_spec("_queue")
AN_EXTENSION = Need(
    "an extension module of the standard library to copy",
    STANDARD_EXTENSION is not None and STANDARD_EXTENSION.has_location,
)


LAZY_IMPORTS = Need("lazy imports, which CPython has from 3.15 on", sys.version_info >= (3, 15))
ALL_LAZY = ("-B", "-X", "lazy_imports=all")


def honest(application: Application) -> None:
    """Prepare the application of every control."""
    application.add_plugin("alpha", PLUGIN)
    application.add_plugin("beta", {f"module{number}.py": "VALUE = 1\n" for number in range(8)})
    application.lock()


def extension(application: Application) -> None:
    assert STANDARD_EXTENSION is not None
    assert STANDARD_EXTENSION.origin is not None
    code = Path(STANDARD_EXTENSION.origin).read_bytes()
    application.write(f"alpha/_queue{SUFFIX}", code)
    application.lock()


def cached(application: Application) -> None:
    py_compile.compile(str(application.plugin / "helper.py"), doraise=True)


def near_misses(application: Application) -> None:
    for name in ("plugin", "pluginsx", "plugins_old"):
        (application.folder / f"{name}.py").write_text(f"print({name!r}, 'is no plugin')\n")


def with_bytecode(application: Application) -> None:
    """Bytecode of every module, as Python without the guard leaves it."""
    for source in sorted(application.plugin.rglob("*.py")):
        py_compile.compile(str(source))


def zip_elsewhere(application: Application) -> None:
    with zipfile.ZipFile(application.folder / "code.zip", "w") as file:
        file.writestr("zipped.py", "VALUE = 'from a zip'\n")


def broken(application: Application) -> None:
    application.write("alpha/broken.py", "def (:\n")
    application.lock()


def dynamic(application: Application) -> None:
    application.write(
        "alpha/dynamic/__init__.py",
        "def __getattr__(name):\n"
        "    if name in ('made', 'up'):\n        return name + ' by __getattr__'\n"
        "    raise AttributeError(name)\n",
    )
    application.write("alpha/dynamic/real.py", "VALUE = 'a module'\n")
    application.lock()


# Says what is raised, as each program does the same way.
TRY = """
def tried(what):
    try:
        print(what())
    except Exception as error:
        cause = type(error.__cause__).__name__
        print(type(error).__name__, error, getattr(error, "name", None), cause)
"""

LAZY_FORMS = (
    TRY
    + """
lazy import plugins.alpha.api
lazy import plugins.alpha.sub.deep.mod as mod
lazy from plugins.alpha import helper, sub
lazy from plugins.alpha.helper import VALUE as value
lazy from plugins.alpha.dynamic import made, real, neither
lazy import plugins.alpha.nope
lazy from plugins.alpha.helper import nothing
import sys
print(sorted(name for name in sys.modules if name.startswith('plugins.')))
tried(lambda: value)
print(sorted(name for name in sys.modules if name.startswith('plugins.')))
tried(lambda: plugins.alpha.api.answer())
tried(lambda: (mod.VALUE, mod.LEVEL, helper.VALUE, sub.LEVEL))
tried(lambda: (made, real.VALUE))
tried(lambda: neither)
tried(lambda: plugins.alpha.dynamic.up)
tried(lambda: plugins.alpha.nope)
tried(lambda: nothing)
tried(lambda: plugins.alpha.templates)
"""
)

LAZY_EVENTS = """
import plugins.alpha, sys
asked = []
def hook(event, arguments):
    if event == 'import' and str(arguments[0]).startswith('plugins.'):
        asked.append(arguments[0])
sys.addaudithook(hook)
lazy from plugins.alpha.dynamic import made, real, neither
lazy import plugins.alpha.sub.deep.mod
print(asked)
made, real
try:
    neither
except ImportError:
    print(asked)
print(plugins.alpha.sub.deep.mod.VALUE, asked)
"""

QUERIES = (
    TRY
    + """
import importlib, importlib.util, pkgutil, runpy
for name in ('plugins.alpha.nope', 'plugins.alpha.sub.nope', 'plugins.alpha.sub.deep.nope',
             'plugins.nope', 'plugins.nope.nope', 'plugins.alpha.helper.nope',
             'plugins.alpha.nope.nope'):
    print(name)
    tried(lambda: importlib.util.find_spec(name))
    tried(lambda: importlib.import_module(name))
    tried(lambda: runpy.run_module(name))
    tried(lambda: pkgutil.resolve_name(name))
import plugins.alpha
tried(lambda: importlib.util.find_spec('.nope', 'plugins.alpha'))
tried(lambda: hasattr(plugins.alpha, 'nope'))
"""
)

LOCATED = """
import importlib.util
spec = importlib.util.spec_from_file_location('anything', 'plugins/alpha/helper.py')
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.VALUE, spec.name)
"""

# A tracer is first, takes the specs of the other finders, and calls through.
TRACER = """
import collections, importlib, importlib.util, sys

class Tracer:
    busy = set()
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in cls.busy or not name.startswith('plugins.'):
            return None
        cls.busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            cls.busy.discard(name)
        if spec is not None and hasattr(spec.loader, 'get_code'):
            change(spec)
        return spec

class Wrapper:
    def __init__(self, inner):
        self.inner = inner
    def __getattr__(self, name):
        return getattr(self.inner, name)
    def create_module(self, spec):
        collections.namedtuple('Before', 'x')
        return self.inner.create_module(spec)
    def exec_module(self, module):
        self.inner.exec_module(module)
        exec(compile('TRACED = 1', '<traced>', 'exec'), vars(module))
"""

TRACERS = {
    "get-code": (
        "inner = spec.loader.get_code\n    spec.loader.get_code = lambda name: inner(name)"
    ),
    "get-data": (
        "inner = spec.loader.get_data\n    spec.loader.get_data = lambda path: inner(path)"
    ),
    "exec-module": (
        "inner = spec.loader.exec_module\n"
        "    spec.loader.exec_module = lambda module: inner(module)"
    ),
    "own-execution": (
        "inner = spec.loader.get_code\n"
        "    spec.loader.exec_module = lambda module: exec(inner(module.__name__), vars(module))"
    ),
    "compiles-it-again": (
        "loader = spec.loader\n    loader.exec_module = lambda module: exec(compile("
        "loader.get_source(module.__name__), spec.origin, 'exec'), vars(module))"
    ),
    "wrapping-loader": "spec.loader = Wrapper(spec.loader)",
    "class-of-the-loader": (
        "spec.loader.__class__ = type('Traced', (type(spec.loader),), {'traced': True})"
    ),
}

# Puts a finder before the guard, and has an import statement put the guard back.
DISPLACED = """
class First:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None
sys.meta_path.insert(0, First)
import plugins.alpha.helper
"""

# Modules that nothing was loaded for, as packages, tests and lazy imports put them in place.
STANDING = """
import importlib.util, sys, types, unittest.mock
import plugins.alpha

class Computed(types.ModuleType):
    def __getattribute__(self, name):
        print('asked for', name)
        return super().__getattribute__(name)
    @property
    def __dict__(self):
        print('asked for its namespace')
        return {}

NAME = 'plugins.alpha.virtual'
virtual = MAKE
sys.modules[NAME] = plugins.alpha.virtual = virtual
"""

STANDS = {
    "module": "types.ModuleType(NAME)",
    "mock": "unittest.mock.MagicMock()",
    "object": "types.SimpleNamespace(__spec__=None)",
    "class": "type('Holder', (), {})",
    "computes-its-attributes": "Computed(NAME)",
    "spec-without-a-loader": (
        "importlib.util.module_from_spec(importlib.machinery.ModuleSpec(NAME, None))"
    ),
    "loader-of-nothing": (
        "importlib.util.module_from_spec(importlib.machinery.ModuleSpec(NAME, "
        "type('Loader', (), {'create_module': lambda *a: None, 'exec_module': print})()))"
    ),
    "module-of-the-application": "__import__('json')",
}


def replaces_itself(application: Application) -> None:
    application.write(
        "alpha/itself.py",
        "import sys\nclass Itself:\n    VALUE = 1\nsys.modules[__name__] = Itself()\n",
    )
    application.write("alpha/heavy.py", "print('heavy runs')\nVALUE = 1\n")
    application.lock()


CONTROLS = (
    *(
        Control(
            f"tracer-{name}",
            f"{TRACER}\ndef change(spec):\n    {change}\n\nsys.meta_path.insert(0, Tracer)\n"
            "api = importlib.import_module('plugins.alpha.api')\n"
            "import plugins.alpha.sub.deep.mod as mod\n"
            "print(api.answer(), mod.LEVEL, sys.modules['plugins.alpha.api'] is api)\n"
            "print(importlib.reload(api).answer())",
        )
        for name, change in TRACERS.items()
    ),
    *(
        Control(
            f"standing-{name}",
            STANDING.replace("MAKE", make)
            + DISPLACED
            + "print(sys.modules.get(NAME) is virtual, plugins.alpha.virtual is virtual)",
        )
        for name, make in STANDS.items()
    ),
    Control(
        "standing-itself",
        "import sys, plugins.alpha.itself as first\n"
        + DISPLACED
        + "import plugins.alpha.itself as again\nprint(first is again, again.VALUE)",
        replaces_itself,
    ),
    Control(
        "standing-lazy",
        "import importlib.util, sys, plugins.alpha\n"
        "spec = importlib.util.find_spec('plugins.alpha.heavy')\n"
        "spec.loader = importlib.util.LazyLoader(spec.loader)\n"
        "heavy = sys.modules[spec.name] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(heavy)\n"
        + DISPLACED
        + "print('not yet')\nprint(heavy.VALUE, sys.modules[spec.name] is heavy)",
        replaces_itself,
    ),
    Control("file-above-its-folder", "import plugins.alpha.sub.settings as s; print(s.LEVEL)"),
    Control(
        "file-above-a-link",
        "import os; os.symlink('plugins/alpha/sub', 'link'); path = 'link/../settings.conf'\n"
        "exec(compile(open(path).read(), path, 'exec')); print(LEVEL)",
    ),
    Control(
        "code-in-brackets",
        "import collections, os; os.chdir('plugins/alpha')\n"
        "print(collections.namedtuple('Pair', 'one two')(1, 2), eval('1 + 1'))\n"
        "exec(compile('print(3)', '<made up>/by a library', 'exec'))",
        settings={"root": "plugins"},
    ),
    Control(
        "run-path-by-other-types",
        "import pathlib, runpy\n"
        "class Name(str): pass\n"
        "for name in b'plugins/alpha/helper.py', Name('plugins/alpha/helper.py'), "
        "pathlib.Path('plugins/alpha/helper.py'):\n"
        "    print(runpy.run_path(name)['VALUE'])",
    ),
    Control("import", "import plugins.alpha.api; print(plugins.alpha.api.answer())"),
    Control("from-package", "from plugins.alpha import api; print(api.answer())"),
    Control("from-module", "from plugins.alpha.api import answer; print(answer())"),
    Control("star", "from plugins.alpha.sub import *; print(LEVEL)"),
    Control("relative", "import plugins.alpha.sub.deep.mod as m; print(m.VALUE, m.LEVEL)"),
    Control(
        "import-module",
        "import importlib; print(importlib.import_module('plugins.alpha.api').answer(), "
        "importlib.import_module('.helper', 'plugins.alpha').VALUE)",
    ),
    Control("dunder-import", "print(__import__('plugins.alpha.api', fromlist=['x']).answer())"),
    Control(
        "reload",
        "import importlib, plugins.alpha.helper as h; h.VALUE = 0\n"
        "print(importlib.reload(h).VALUE, importlib.reload(h) is h)",
    ),
    Control(
        "import-again",
        "import importlib, sys, plugins.alpha.api as first\n"
        "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith('plugins')]\n"
        "importlib.invalidate_caches()\n"
        "print(importlib.import_module('plugins.alpha.api') is first)",
    ),
    Control("run-as-module", "", arguments=("-m", "plugins.alpha.sub")),
    Control(
        "run-module",
        "import runpy; print(runpy.run_module('plugins.alpha.helper', run_name='__main__')['VALUE'])",
    ),
    Control(
        "walk-packages",
        "import pkgutil, plugins\n"
        "print([m.name for m in pkgutil.walk_packages(plugins.__path__, 'plugins.') "
        "if 'beta' not in m.name])",
    ),
    Control(
        "find-spec",
        "import importlib.util as u; s = u.find_spec('plugins.alpha.sub')\n"
        "print(s.name, s.origin == __import__('os').path.abspath('plugins/alpha/sub/__init__.py'), "
        "s.has_location, s.parent, len(s.submodule_search_locations))",
    ),
    Control(
        "not-there",
        "try:\n    import plugins.alpha.nothing\n"
        "except ModuleNotFoundError as e:\n    print(type(e).__name__, e, e.name)",
    ),
    Control(
        "resources",
        "from importlib.resources import as_file, files\n"
        "words = files('plugins.alpha') / 'data' / 'words.txt'\n"
        "print(words.read_bytes(), words.read_text(encoding='utf-8').split())\n"
        "with as_file(words) as path: print(path.read_bytes())",
    ),
    Control(
        "get-data", "import pkgutil; print(pkgutil.get_data('plugins.alpha', 'data/words.txt'))"
    ),
    Control(
        "get-source",
        "import inspect, plugins.alpha.shapes as s\n"
        "print(inspect.getsource(s.doubled), inspect.getsourcelines(s.Point))",
    ),
    Control(
        "pickle",
        "import pickle, plugins.alpha.shapes as s\n"
        "print(pickle.loads(pickle.dumps((s.Point(1), s.doubled))) == (s.Point(1), s.doubled))",
    ),
    Control(
        "namespace",
        "import plugins.alpha.sub.deep as d; print(d.__file__ if hasattr(d, '__file__') else None, "
        "len(list(d.__path__)), d.__spec__.origin)",
    ),
    Control(
        "circular", "import plugins.alpha.circular_a as a; print(a.other(), a.circular_b.other())"
    ),
    Control("lazy", "from plugins.alpha.lazy import value; print(value())"),
    Control(
        "lazy-loader",
        "import importlib.util as u, sys; s = u.find_spec('plugins.alpha.helper')\n"
        "s.loader = u.LazyLoader(s.loader); m = sys.modules[s.name] = u.module_from_spec(s)\n"
        "s.loader.exec_module(m); print(m.VALUE)",
    ),
    Control(
        "threads",
        "import importlib, threading\n"
        "def work(i):\n    done.append(importlib.import_module(f'plugins.beta.module{i % 8}').VALUE)\n"
        "done = []\n"
        "threads = [threading.Thread(target=work, args=(i,)) for i in range(32)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\nprint(sum(done))",
    ),
    Control(
        "extension",
        "import plugins.alpha._queue as m; q = m.SimpleQueue(); q.put(2); q.put(1)\n"
        "print(q.get(), q.get(), m.__name__, m.__file__ == m.__spec__.origin)",
        extension,
        needs=AN_EXTENSION,
    ),
    Control("spec-from-file-location", LOCATED),
    Control("spec-from-file-location-cached", LOCATED * 2, cached, flags=()),
    Control(
        "source-loader-subclass",
        "import importlib.machinery, importlib.util\n"
        "class Loader(importlib.machinery.SourceFileLoader):\n"
        "    def get_data(self, path):\n"
        "        return super().get_data(path)\n"
        "loader = Loader('anything', 'plugins/alpha/helper.py')\n"
        "module = importlib.util.module_from_spec(importlib.util.spec_from_loader('anything', loader))\n"
        "loader.exec_module(module); print(module.VALUE)",
        flags=(),
    ),
    Control("run-path", "import runpy; print(runpy.run_path('plugins/alpha/helper.py')['VALUE'])"),
    Control(
        "compiled-by-a-tool",
        "import os\n"
        "path = os.path.abspath('plugins/alpha/helper.py')\n"
        "names = {'__name__': 'plugins.alpha.helper'}\n"
        "exec(compile(open(path, 'rb').read(), path, 'exec', dont_inherit=True), names)\n"
        "print(names['VALUE'])",
    ),
    Control(
        "folder-on-the-path",
        "import sys; sys.path.insert(0, 'plugins/alpha')\nimport helper; print(helper.VALUE)",
    ),
    Control(
        "script",
        "",
        arguments=("plugins/alpha/tool.py", "argument"),
        settings={"root": "plugins"},
    ),
    Control("template", "from plugins.alpha.templates import render; print(render(name='reader'))"),
    Control("writes-elsewhere", "from plugins.alpha.notes import write; print(write('note'))"),
    Control(
        "backup",
        """
        import os, shutil, tarfile, plugins.alpha.api
        for kind in ('gztar', 'zip'):
            shutil.make_archive('backup', kind, '.', 'plugins')
        with tarfile.open('backup.tar.gz') as archive:
            print(sorted(archive.getnames()))
        shutil.copytree('plugins', 'copy')
        for file in sorted(os.listdir('copy/alpha/__pycache__')):
            with open('plugins/alpha/__pycache__/' + file, 'rb') as one, \\
                    open('copy/alpha/__pycache__/' + file, 'rb') as other:
                print(file, one.read() == other.read())
        """,
        with_bytecode,
    ),
    Control(
        "made-up-name",
        """
        import os
        from plugins.alpha import shapes
        os.chdir(os.path.dirname(shapes.__file__))
        # As tornado names the code that it makes of a template.
        exec(compile('print(42)', 'index_html.generated.py', 'exec'))
        """,
    ),
    Control(
        "traceback",
        "import traceback\nfrom plugins.alpha.shapes import fail\n"
        "try:\n    fail()\nexcept RuntimeError:\n"
        "    print(traceback.format_exc().partition('in <module>')[2])",
    ),
    Control(
        "syntax-error",
        "try:\n    import plugins.alpha.broken\n"
        "except SyntaxError as e:\n    print(e.msg, e.lineno, e.text)",
        broken,
    ),
    Control(
        "patched",
        "import unittest.mock as mock, plugins.alpha.api as a\n"
        "with mock.patch('plugins.alpha.helper.VALUE', 7): print(a.answer())\nprint(a.answer())",
    ),
    Control(
        "another-finder-first",
        "import sys\n"
        "class Asks:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n        return None\n"
        "sys.meta_path.insert(0, Asks)\n"
        "import plugins.alpha.api; print(plugins.alpha.api.answer())",
    ),
    Control("lazy-imports", LAZY_FORMS, dynamic, needs=LAZY_IMPORTS),
    Control("lazy-imports-all", LAZY_FORMS, dynamic, flags=ALL_LAZY, needs=LAZY_IMPORTS),
    Control(
        "lazy-imports-scope-plugin",
        LAZY_FORMS,
        dynamic,
        settings={"scope": "plugin"},
        needs=LAZY_IMPORTS,
    ),
    Control("lazy-import-events", LAZY_EVENTS, dynamic, needs=LAZY_IMPORTS),
    Control(
        "lazy-imports-of-all",
        "import plugins.alpha.api, plugins.alpha.sub.deep.mod, json, xml.dom.minidom\n"
        "print(plugins.alpha.api.answer(), plugins.alpha.sub.deep.mod.VALUE, json.dumps([1]))",
        flags=ALL_LAZY,
        needs=LAZY_IMPORTS,
    ),
    Control("names-that-are-not-there", QUERIES),
    Control("names-that-are-not-there-scope-plugin", QUERIES, settings={"scope": "plugin"}),
    Control("near-misses", "import plugin, pluginsx, plugins_old", near_misses),
    Control(
        "zip-elsewhere",
        "import sys; sys.path.insert(0, 'code.zip')\nimport zipped; print(zipped.VALUE)",
        zip_elsewhere,
    ),
)
