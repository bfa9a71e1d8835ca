"""A module looks the same, down to the names in it, whether or not the guard loaded it.

The differences, with their reasons:

- the class of ``__loader__``: that is the guard;
- ``plugins/__init__.py`` never runs. If there is one, the package has the attributes of one that
  was loaded from that file, and nothing that the file would have defined.
"""

from __future__ import annotations

import pytest

from tests.conformance import natives
from tests.conformance.children import both, differing
from tests.fixtures.trees import Application

FLAGS: dict[str, list[str]] = {
    "plain": [],
    "-O": ["-O"],
    "-OO": ["-OO"],
    "-B": ["-B"],
    "-I": ["-I"],
    "-W error": ["-W", "error"],
    "-X dev": ["-X", "dev"],
    "-X frozen_modules=on": ["-X", "frozen_modules=on"],
    "-X frozen_modules=off": ["-X", "frozen_modules=off"],
    "all that make it strict": ["-I", "-B", "-OO", "-X", "dev", "-W", "error"],
}

PLUGIN: dict[str, str] = {
    "__init__.py": '"""The plugin.\n\n    Indented.\n    """\n',
    "documented.py": (
        '"""Documented."""\nx: int = 1\ny: "list[str]"\n\n\ndef f(a: int) -> str:\n    "Does."\n'
    ),
    "bare.py": "",
    "exporting.py": "__all__ = ['a']\n__version__ = '1'\n_private = a = 1\n",
    "lazy.py": "def __getattr__(name):\n    return name\n\ndef __dir__():\n    return ['z']\n",
    "renamed.py": "__file__ = 'elsewhere'\n__doc__ = 'set'\n__path__ = ['x']\n",
    "sub/__init__.py": "from . import inner as shortcut\n",
    "sub/inner.py": "from .. import bare\n",
    "sub/__main__.py": "",
    "namespace/deep/leaf.py": "",
}
MODULES = [
    "plugins",
    "plugins.alpha",
    *(f"plugins.alpha.{name}" for name in ("documented", "bare", "exporting", "lazy", "renamed")),
    *(f"plugins.alpha.{name}" for name in ("sub", "sub.inner", "sub.__main__", "sub.__init__")),
    *(f"plugins.alpha.{name}" for name in ("namespace", "namespace.deep", "namespace.deep.leaf")),
]
NATIVES = [
    f"plugins.alpha.{name}" for name in (natives.MULTI_PHASE, natives.SINGLE_PHASE, natives.PACKAGE)
]

DESCRIBE = """
import importlib, json

def shown(value):
    return [str(item) for item in value] if hasattr(value, "__iter__") and not isinstance(
        value, (str, dict)) else repr(value)

def describe(name):
    module = importlib.import_module(name)
    space = vars(module)
    plain = {key: shown(value) for key, value in space.items() if key in (
        "__name__", "__doc__", "__package__", "__file__", "__cached__", "__path__",
        "__annotations__", "__all__", "__version__", "x", "a")}
    loader = space["__loader__"]
    spec = space["__spec__"]
    fields = {key: shown(value) for key, value in vars(spec).items()
              if key not in ("loader", "loader_state")}
    return {
        "names": sorted(space), "dir": dir(module), "type": type(module).__name__, "plain": plain,
        "annotations": repr(getattr(module, "__annotations__", None)),
        "builtins": space.get("__builtins__") is vars(importlib.import_module("builtins")),
        "fields": fields, "loader_state": type(spec.loader_state).__name__, "type of spec":
        type(spec).__name__, "cached": spec.cached, "parent": spec.parent, "origin": spec.origin,
        "has_location": spec.has_location, "same loader": spec.loader is loader,
        "loader": [method for method in (
            "create_module", "exec_module", "is_package", "get_code", "get_source", "get_data",
            "get_filename", "get_resource_reader", "load_module") if hasattr(loader, method)],
        "package": loader.is_package(name),
        "in sys.modules": importlib.import_module("sys").modules[name] is module,
        "of parent": name == "plugins" or getattr(
            importlib.import_module(spec.name.rpartition(".")[0]), name.rpartition(".")[2]
        ) is module,
    }

print(json.dumps({name: describe(name) for name in NAMES}))
"""


@pytest.fixture
def plugins(application: Application) -> Application:
    application.add_plugin("alpha", {**PLUGIN})
    application.lock()
    return application


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_modules_look_the_same(plugins: Application, flags: list[str]) -> None:
    guarded, plain = both(plugins, f"NAMES = {MODULES}\n" + DESCRIBE, flags)
    assert guarded.keys() == set(MODULES)
    assert differing(guarded, plain) == {}


def test_a_root_with_an_init_looks_the_same(plugins: Application) -> None:
    plugins.write("__init__.py", "")
    guarded, plain = both(plugins, "NAMES = ['plugins']\n" + DESCRIBE)
    assert {"get_source", "set_data"} & set(plain["plugins"]["loader"]) == {"get_source"}
    assert differing(guarded, plain) == {}


@pytest.mark.parametrize("flags", [[], FLAGS["all that make it strict"]], ids=["plain", "strict"])
def test_extension_modules_look_the_same(plugins: Application, flags: list[str]) -> None:
    natives.copy_all(plugins.plugin)
    plugins.lock()
    guarded, plain = both(plugins, f"NAMES = {NATIVES}\n" + DESCRIBE, flags)
    assert guarded.keys() == set(NATIVES)
    assert differing(guarded, plain) == {}


def test_extension_modules_work_the_same(plugins: Application) -> None:
    natives.copy_all(plugins.plugin)
    plugins.lock()
    script = """
        import json, pickle
        from plugins.alpha import _lsprof, _queue, _testbuffer
        queue = _queue.SimpleQueue()
        queue.put(1)
        profiler = _lsprof.Profiler()
        array = _testbuffer.ndarray([1, 2], shape=[2])
        print(json.dumps([queue.get(), repr(type(queue)), profiler.getstats(),
                          repr(type(profiler)), array.tolist(), type(array).__module__,
                          repr(_queue), repr(_lsprof), repr(_testbuffer)]))
        """
    guarded, plain = both(plugins, script)
    assert differing(guarded, plain) == {}


BAD_NATIVES = {
    "wrong": "the file of another module",
    "garbage": "no shared object",
    "short": "a shared object that ends at once",
}


def test_extension_modules_fail_the_same(plugins: Application) -> None:
    """The same exception, which names the file and not a copy of it."""
    natives.copy(natives.MULTI_PHASE, plugins.plugin / f"wrong{natives.SUFFIX}")
    plugins.write(f"alpha/garbage{natives.SUFFIX}", b"garbage" * 100)
    plugins.write(f"alpha/short{natives.SUFFIX}", b"\x7fELF")
    plugins.lock()
    script = f"""
        import importlib, json
        said = {{}}
        for name in {list(BAD_NATIVES)}:
            try:
                importlib.import_module("plugins.alpha." + name)
            except ImportError as error:
                said[name] = [type(error).__name__, str(error), error.name, error.path, error.args]
        print(json.dumps(said))
        """
    guarded, plain = both(plugins, script)
    assert plain.keys() == set(BAD_NATIVES)
    assert differing(guarded, plain) == {}
