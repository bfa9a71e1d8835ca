"""Programs that take a missing plugin for granted must not take a refused one for a missing one."""

from __future__ import annotations

from tests.attacks.attack import IMPORT, PAYLOAD, Attack, Refused
from tests.fixtures.trees import Application

MISMATCH = Refused("integrity_mismatch")
CHANGED_SINCE = Refused("integrity_mismatch", says="changed   helper.py")
ONE_BY_ONE = {"scope": "plugin"}


def changed(application: Application) -> None:
    application.write("alpha/api.py", PAYLOAD)


def no_logging(application: Application) -> None:
    changed(application)
    (application.folder / "logging.py").write_text("import vendor\n")


def lazy(application: Application) -> None:
    """Prepare a package that imports its modules on first access (PEP 562)."""
    application.write(
        "alpha/__init__.py",
        "import importlib\n"
        "def __getattr__(name):\n"
        "    try:\n"
        "        return importlib.import_module(f'{__name__}.{name}')\n"
        "    except ModuleNotFoundError:\n"
        "        raise AttributeError(name) from None\n",
    )
    application.lock()


def star(application: Application) -> None:
    application.write("alpha/__init__.py", "__all__ = ['helper']\n")
    application.lock()


def optional(application: Application) -> None:
    """Prepare a plugin that uses another one if it is there."""
    application.add_plugin(
        "beta",
        {
            "api.py": "try:\n    from plugins.alpha import api as other\n"
            "except ModuleNotFoundError:\n    other = None\n"
        },
    )
    application.lock()
    changed(application)


CHANGE_LATER = "import plugins.alpha\nopen('plugins/alpha/helper.py', 'w').write(EVIL)\n"

FAILING_HANDLER = """
import logging
class Handler(logging.Handler):
    def emit(self, record):
        raise ModuleNotFoundError("No module named 'vendor'", name="vendor")
logging.getLogger().addHandler(Handler())
"""

FAILING_HOOK = """
import sys
def hook(event, arguments):
    if event == "codegenie.plugins.refused":
        raise ModuleNotFoundError("No module named 'vendor'", name="vendor")
sys.addaudithook(hook)
"""

ATTACKS = (
    Attack(
        "swallowed/log-handler",
        "A log handler raises what means a missing plugin.",
        MISMATCH,
        FAILING_HANDLER + f"try:\n    {IMPORT}\nexcept ModuleNotFoundError:\n    print('none')",
        changed,
    ),
    Attack(
        "swallowed/audit-hook",
        "An audit hook of the application raises what means a missing plugin.",
        MISMATCH,
        FAILING_HOOK + f"try:\n    {IMPORT}\nexcept ModuleNotFoundError:\n    print('none')",
        changed,
    ),
    Attack(
        "swallowed/no-logging",
        "A module of the application that is called logging cannot be imported.",
        MISMATCH,
        f"try:\n    {IMPORT}\nexcept ModuleNotFoundError:\n    print('none')",
        no_logging,
    ),
    Attack(
        "swallowed/except",
        "try ... except ModuleNotFoundError.",
        MISMATCH,
        f"try:\n    {IMPORT}\nexcept ModuleNotFoundError:\n    print('there is no such plugin')",
        changed,
    ),
    Attack(
        "swallowed/suppress",
        "contextlib.suppress(ModuleNotFoundError).",
        MISMATCH,
        f"import contextlib\nwith contextlib.suppress(ModuleNotFoundError):\n    {IMPORT}",
        changed,
    ),
    Attack(
        "swallowed/optional-plugin",
        "A plugin imports another one if it is there.",
        MISMATCH,
        "import plugins.beta.api",
        optional,
        settings=ONE_BY_ONE,
    ),
    Attack(
        "swallowed/from-package",
        "from plugins import alpha, if it is there.",
        MISMATCH,
        """
        import plugins
        try:
            from plugins import alpha
        except ModuleNotFoundError:
            print('there is no such plugin')
        else:
            import plugins.alpha.api
        """,
        changed,
        settings=ONE_BY_ONE,
    ),
    Attack(
        "swallowed/star",
        "from plugins.alpha import *, which passes over names that are no modules.",
        CHANGED_SINCE,
        CHANGE_LATER + "from plugins.alpha import *",
        star,
    ),
    Attack(
        "swallowed/hasattr",
        "hasattr on a package that imports its modules when asked.",
        CHANGED_SINCE,
        CHANGE_LATER + "print(hasattr(plugins.alpha, 'helper'))",
        lazy,
    ),
    Attack(
        "swallowed/find-spec",
        "importlib.util.find_spec, to see whether it is there.",
        MISMATCH,
        f"""
        import importlib.util
        if importlib.util.find_spec('plugins.alpha.api') is not None:
            {IMPORT}
        """,
        changed,
    ),
    Attack(
        "swallowed/walk-packages",
        "pkgutil.walk_packages, whose onerror hears of it.",
        MISMATCH,
        """
        import importlib, pkgutil, sys, plugins
        heard = []
        def onerror(name):
            heard.append(sys.exc_info()[1])
        for module in pkgutil.walk_packages(plugins.__path__, 'plugins.', onerror):
            if not module.ispkg:
                importlib.import_module(module.name)
        import plugins.alpha.api   # without the guard nothing below a namespace is walked
        """,
        changed,
        settings=ONE_BY_ONE,
    ),
    Attack(
        "swallowed/pickle",
        "An object pickled by its name.",
        MISMATCH,
        "import pickle; pickle.loads(b'cplugins.alpha.api\\nanswer\\n.')",
        changed,
    ),
    Attack(
        "swallowed/entry-point",
        "The entry point of a distribution.",
        MISMATCH,
        """
        from importlib.metadata import EntryPoint
        EntryPoint('alpha', 'plugins.alpha.api', 'plugins').load()
        """,
        changed,
    ),
    Attack(
        "swallowed/logging",
        "A log handler that a configuration names.",
        Refused("integrity_mismatch", within="ValueError"),
        """
        import logging.config
        handler = {'()': 'plugins.alpha.api.answer'}
        logging.config.dictConfig({'version': 1, 'handlers': {'handler': handler}})
        """,
        changed,
    ),
    Attack(
        "swallowed/thread",
        "An import in a thread of a pool.",
        MISMATCH,
        """
        import concurrent.futures, importlib
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(importlib.import_module, 'plugins.alpha.api').result()
        """,
        changed,
    ),
    Attack(
        "swallowed/tried-again",
        "A program that swallows the refusal and tries again, as often as it likes.",
        MISMATCH,
        f"""
        import importlib
        for _ in range(3):
            try:
                importlib.import_module('plugins.alpha.api')
            except ImportError:
                pass
        {IMPORT}
        """,
        changed,
    ),
    Attack(
        "swallowed/module-left-behind",
        "The same for a module that changed later: no half of it stays in sys.modules.",
        CHANGED_SINCE,
        CHANGE_LATER
        + "try:\n    import plugins.alpha.api\nexcept ImportError:\n    pass\n"
        + "from plugins.alpha import helper",
    ),
)
