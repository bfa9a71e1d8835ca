"""Lazy imports (PEP 810): what is imported when its name is used, at another time than its statement.

And names that a verified package does not have, which CPython looks up before it takes a name from
``__getattr__``.
"""

from __future__ import annotations

import sys

from tests.attacks.attack import EVIL, PAYLOAD, Attack, Closed, Need, NotThere
from tests.attacks.displacement import CHANGED_SINCE, ELSEWHERE, MISMATCH, changed, evil_module
from tests.attacks.precedence import second_folder
from tests.fixtures.trees import Application

LAZY_IMPORTS = Need("lazy imports, which CPython has from 3.15 on", sys.version_info >= (3, 15))
ALL_LAZY = ("-X", "lazy_imports=all")

DYNAMIC = (
    "def __getattr__(name):\n    if name == 'extra':\n        return 1\n    raise AttributeError\n"
)

# A finder behind the guard that has a module of the package which its tree has not.
BEHIND = """
import importlib.util, os, sys

class Behind:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'plugins.alpha.extra':
            return importlib.util.spec_from_file_location(name, os.path.abspath('evil/extra.py'))

sys.meta_path.append(Behind)
"""

# The same without code that an audit hook sees: the loader does what it does itself.
BY_ITSELF = """
import importlib.machinery, sys

class Loader:
    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        with open('evil/extra.py') as file:
            namespace = vars(module)
            exec(file.read(), namespace)

class Behind:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'plugins.alpha.extra':
            return importlib.machinery.ModuleSpec(name, Loader)

sys.meta_path.append(Behind)
"""


def second_folder_and_changed(application: Application) -> None:
    second_folder(application)
    changed(application)


def package(application: Application) -> None:
    application.write("alpha/__init__.py", "")
    application.lock()
    evil_module(application)


def package_that_changed(application: Application) -> None:
    application.write("alpha/__init__.py", DYNAMIC)
    application.lock()
    application.write("alpha/__init__.py", PAYLOAD + DYNAMIC)


def lazily(
    name: str, does: str, script: str, expected: object = MISMATCH, **more: object
) -> Attack:
    more.setdefault("prepare", changed)
    return Attack(
        f"lazy/{name}",
        does,
        expected,  # type: ignore[arg-type]
        script,
        needs=LAZY_IMPORTS,
        **more,  # type: ignore[arg-type]
    )


ATTACKS = (
    lazily(
        "statement",
        "lazy import of a plugin that changed.",
        "lazy import plugins.alpha.api\nplugins.alpha.api.answer()",
    ),
    lazily(
        "from-package",
        "lazy from-import of a module that changed.",
        "lazy from plugins.alpha import helper\nhelper.VALUE",
    ),
    lazily(
        "from-module",
        "lazy from-import of a name of a module that changed.",
        "lazy from plugins.alpha.helper import VALUE\nprint(VALUE)",
    ),
    lazily(
        "from-getattr",
        "lazy from-import of a name that the changed package's __getattr__ has.",
        "lazy from plugins.alpha import extra\nprint(extra)",
        prepare=package_that_changed,
    ),
    lazily(
        "resolved-by-hand",
        "The object of a lazy import is resolved by its method.",
        "lazy import plugins.alpha.api as api\nglobals()['api'].resolve().answer()",
    ),
    lazily(
        "in-a-thread",
        "A lazy import is resolved in another thread, whose exception is raised here.",
        """
        import threading
        lazy import plugins.alpha.api as api
        raised = []
        threading.excepthook = lambda arguments: raised.append(arguments.exc_value)
        thread = threading.Thread(target=lambda: api.answer())
        thread.start()
        thread.join()
        if raised:
            raise raised[0]
        """,
    ),
    lazily(
        "lazy-modules",
        "__lazy_modules__ makes a plain import lazy.",
        "__lazy_modules__ = {'plugins.alpha.api'}\nimport plugins.alpha.api\n"
        "plugins.alpha.api.answer()",
    ),
    lazily(
        "all",
        "Every import of the process is lazy, those of the guard too.",
        "import plugins.alpha.api\nplugins.alpha.api.answer()",
        flags=ALL_LAZY,
    ),
    lazily(
        "all-scope-plugin",
        "The same where each plugin is verified when it is imported, and logging is set up.",
        "import logging; logging.basicConfig()\n"
        "import plugins.alpha.api\nplugins.alpha.api.answer()",
        flags=ALL_LAZY,
        settings={"scope": "plugin"},
    ),
    lazily(
        "set-later",
        "sys.set_lazy_imports, before the first guarded import, with a filter.",
        "import sys\nsys.set_lazy_imports_filter(lambda *_: True)\nsys.set_lazy_imports('all')\n"
        "import plugins.alpha.api\nplugins.alpha.api.answer()",
    ),
    lazily(
        "changed-between",
        "A file changes after its plugin was verified and before its lazy import is resolved.",
        f"""
        import plugins.alpha
        print(plugins.alpha.__name__)  # where that import is lazy, too, it is resolved now
        lazy from plugins.alpha import helper
        with open('plugins/alpha/helper.py', 'w') as file:
            file.write({EVIL!r})
        helper.VALUE
        """,
        CHANGED_SINCE,
        prepare=second_folder,
    ),
    lazily(
        "removed-between",
        "The guard is taken off sys.meta_path before a lazy import is resolved.",
        "lazy import plugins.alpha.api\nimport sys\nsys.meta_path[:] = without_guard()\n"
        "plugins.alpha.api.answer()",
    ),
    lazily(
        "another-first-between",
        "Another finder is put first before a lazy import is resolved.",
        f"lazy import plugins.alpha.api\n{ELSEWHERE}\nplugins.alpha.api.answer()",
        prepare=second_folder_and_changed,
    ),
    lazily(
        "absent-name",
        "lazy from-import of a name that a verified package has not, and a finder behind the guard.",
        BEHIND + "lazy from plugins.alpha import extra\nprint(extra)",
        NotThere("plugins.alpha.extra"),
        prepare=package,
    ),
    lazily(
        "absent-name-own-execution",
        "The same with a loader that executes by itself.",
        BY_ITSELF + "lazy from plugins.alpha import extra\nprint(extra)",
        NotThere("plugins.alpha.extra"),
        prepare=package,
    ),
    lazily(
        "absent-attribute",
        "An attribute of a verified package, which was imported lazily elsewhere.",
        BEHIND + "lazy import plugins.alpha.extra\nimport plugins.alpha\nplugins.alpha.extra",
        NotThere("plugins.alpha.extra"),
        prepare=package,
    ),
    Attack(
        "absent/import",
        "import of a module that a verified package has not, and a finder behind the guard.",
        NotThere("plugins.alpha.extra"),
        BEHIND + "import plugins.alpha.extra",
        package,
    ),
    Attack(
        "absent/second-answer",
        "The same, where the finder behind the guard finds the module when it is called again.",
        NotThere("plugins.alpha.extra"),
        BEHIND
        + """
class Second:
    calls = 0

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.calls += name == 'plugins.alpha.extra'
        return Behind.find_spec(name) if cls.calls > 1 else None

sys.meta_path[-1] = Second
try:
    import plugins.alpha.extra
except ModuleNotFoundError:
    import plugins.alpha.extra
""",
        package,
    ),
    Attack(
        "absent/passed-on",
        "The same, where a finder before the guard passes the question on.",
        NotThere("plugins.alpha.extra"),
        BEHIND
        + """
class Before:
    asks = False

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if cls.asks:
            return None
        cls.asks = True
        try:
            for finder in sys.meta_path:
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        finally:
            cls.asks = False

sys.meta_path.insert(0, Before)
import importlib
importlib.import_module('plugins.alpha.extra')
""",
        package,
    ),
    Attack(
        "absent/find-spec",
        "importlib.util.find_spec of such a name, and what it finds is loaded.",
        NotThere("plugins.alpha.extra"),
        BEHIND + "spec = importlib.util.find_spec('plugins.alpha.extra')\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))",
        package,
    ),
    Attack(
        "absent/find-spec-own-execution",
        "The same with a loader that executes by itself.",
        NotThere("plugins.alpha.extra"),
        BY_ITSELF
        + "import importlib.util\nspec = importlib.util.find_spec('plugins.alpha.extra')\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))",
        package,
    ),
    Attack(
        "absent/run-module",
        "runpy.run_module of such a name.",
        Closed("Error while finding module specification for 'plugins.alpha.extra'"),
        BEHIND + "import runpy; runpy.run_module('plugins.alpha.extra')",
        package,
    ),
)
