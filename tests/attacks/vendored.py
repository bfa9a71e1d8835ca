"""Folders of the plugin folder on a search path: modules under names that the guard does not
cover."""

from __future__ import annotations

import py_compile

from tests.attacks.attack import EVIL, PAYLOAD, Attack, NotThere, Refused
from tests.attacks.native import A_COMPILER, SUFFIX, machine_code
from tests.fixtures.trees import WITNESS, Application

ON_PATH = "import os, sys; sys.path.insert(0, os.path.abspath('plugins/alpha/vendor'))\n"
CHANGE_PART = "open('plugins/alpha/vendor/part.py', 'w').write(EVIL)\n"
# The path hook of the guard is a bound method, and CPython's own are none.
UNHOOK = """
sys.path_hooks[:] = [hook for hook in sys.path_hooks if not hasattr(hook, '__self__')]
sys.path_importer_cache.clear()
"""
MISMATCH = Refused("integrity_mismatch")
CHANGED_SINCE = Refused("integrity_mismatch", says="changed   vendor/part.py")


def vendored(application: Application) -> None:
    application.write("alpha/__init__.py", "")
    application.write("alpha/vendor/part.py", WITNESS + "VALUE = 42\n")
    application.write("alpha/vendor/package/__init__.py", "from . import inner\n")
    application.write("alpha/vendor/package/inner.py", "VALUE = 42\n")
    application.lock()


def changed(application: Application) -> None:
    vendored(application)
    application.write("alpha/vendor/part.py", EVIL)


def with_machine_code(application: Application) -> None:
    vendored(application)
    application.write(f"alpha/vendor/helper{SUFFIX}", b"not machine code yet")
    application.lock()
    application.write(f"alpha/vendor/helper{SUFFIX}", machine_code())


def second_plugin(application: Application) -> None:
    application.add_plugin("beta")
    application.lock()
    application.write("beta/api.py", PAYLOAD)


def bytecode_without_source(application: Application) -> None:
    vendored(application)
    source = application.write("alpha/evil.py", PAYLOAD)
    target = source.with_name("vendor") / "evil.pyc"
    py_compile.compile(str(source), cfile=str(target))
    source.unlink()


ATTACKS = (
    Attack(
        "vendored/changed",
        "A changed module of a vendored folder, as the first of all imports.",
        MISMATCH,
        ON_PATH + "import part",
        changed,
    ),
    Attack(
        "vendored/changed-lazily",
        "The same, by importlib.util.LazyLoader.",
        MISMATCH,
        ON_PATH
        + """
        import importlib.util
        spec = importlib.util.find_spec('part')
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.VALUE
        """.replace("\n        ", "\n"),
        changed,
    ),
    Attack(
        "vendored/changed-later",
        "The module changes after the plugin has passed.",
        CHANGED_SINCE,
        "import plugins.alpha\n" + CHANGE_PART + ON_PATH + "import part",
        vendored,
    ),
    Attack(
        "vendored/listed-and-loaded",
        "It is found by the finder that pkgutil lists, and executed.",
        CHANGED_SINCE,
        "import plugins.alpha, importlib.util, pkgutil\n"
        + CHANGE_PART
        + "for finder, name, _ in pkgutil.iter_modules(['plugins/alpha/vendor']):\n"
        + "    spec = finder.find_spec(name)\n    if name != 'part': continue\n"
        + "    spec.loader.exec_module(importlib.util.module_from_spec(spec))\n",
        vendored,
    ),
    Attack(
        "vendored/unhooked",
        "The path hook of the guard is removed, and the importer cache cleared.",
        CHANGED_SINCE,
        "import plugins.alpha\n" + CHANGE_PART + ON_PATH + UNHOOK + "import part",
        vendored,
    ),
    Attack(
        "vendored/added",
        "A module is added to the folder after the plugin has passed.",
        MISMATCH,
        "import plugins.alpha\n"
        + "open('plugins/alpha/vendor/evil.py', 'w').write(PAYLOAD)\n"
        + ON_PATH
        + "import evil",
        vendored,
    ),
    Attack(
        "vendored/in-a-package-path",
        "The plugin folder is in the __path__ of a package of the application.",
        CHANGED_SINCE,
        "import plugins.alpha, os, sys, types\n"
        + CHANGE_PART
        + "package = sys.modules['hosted'] = types.ModuleType('hosted')\n"
        + "package.__path__ = [os.path.abspath('plugins')]\n"
        + "import hosted.alpha.vendor.part",
        vendored,
    ),
    Attack(
        "vendored/extension",
        "An extension module of a vendored folder is exchanged.",
        MISMATCH,
        ON_PATH + "import helper",
        with_machine_code,
        needs=A_COMPILER,
    ),
    Attack(
        "vendored/bytecode",
        "Bytecode without source in a vendored folder.",
        NotThere("evil"),
        "import plugins.alpha\n" + ON_PATH + "import evil",
        bytecode_without_source,
    ),
    Attack(
        "vendored/bare-name",
        "scope='plugin', the root on sys.path: a changed plugin is not one that is not there.",
        Refused("integrity_mismatch", plugin="beta"),
        "import plugins, os, sys; sys.path.insert(0, os.path.abspath('plugins'))\nimport beta.api",
        second_plugin,
        settings={"scope": "plugin", "root": "plugins"},
    ),
)
