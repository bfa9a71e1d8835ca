"""A failed load takes back its changes, whatever is in sys.modules."""

from __future__ import annotations

import pytest

from tests.fixtures.trees import Application

REPLACED = {
    "an object with slots": """
class Package:
    __slots__ = ('api', 'late')
    __path__, __name__, __spec__ = __path__, __name__, __spec__
sys.modules[__name__] = Package()
""",
    "an object that raises": """
class Package:
    __path__, __name__, __spec__ = __path__, __name__, __spec__
    def __getattr__(self, name):
        raise ValueError(name)
    def __delattr__(self, name):
        raise ValueError(name)
sys.modules[__name__] = Package()
""",
    "a class": """
class Package:
    pass
Package.__path__, Package.__spec__ = __path__, __spec__
sys.modules[__name__] = Package
""",
    "an object that takes no attribute": """
class Package:
    __slots__ = ()
    __path__, __name__, __spec__ = __path__, __name__, __spec__
sys.modules[__name__] = Package()
""",
    "a property that raises": """
class Package:
    __path__, __name__, __spec__ = __path__, __name__, __spec__
    @property
    def api(self):
        raise SystemError('never asked')
sys.modules[__name__] = Package()
""",
    "a module that computes its attributes": """
import types
class Package(types.ModuleType):
    def __getattribute__(self, name):
        if name == 'api':
            raise KeyError(name)
        return super().__getattribute__(name)
package = Package(__name__)
package.__path__, package.__spec__ = __path__, __spec__
sys.modules[__name__] = package
""",
}

LOAD = """
import sys, warnings
warnings.simplefilter('ignore')
from pathlib import Path
import plugins.hello
sys.modules['plugins.hello.absent'] = None
present = sys.modules['plugins.hello']
from codegenie.plugins.loader import load_plugins
loaded = load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock'))
print(type(loaded).__name__, loaded.error.kind)
print(sys.modules['plugins.hello'] is present, sys.modules['plugins.hello.absent'])
print(sorted(name for name in sys.modules if name.startswith('plugins.')))
"""


@pytest.mark.parametrize("replacement", REPLACED.values(), ids=REPLACED.keys())
def test_a_replaced_package_is_as_it_was(application: Application, replacement: str) -> None:
    application.add_plugin("hello", {"__init__.py": f"import sys\n{replacement}", "api.py": ""})
    application.add_plugin("late", {"api.py": "import plugins.hello.api\n1 / 0\n"})
    application.lock()
    outcome = application.run(LOAD)
    assert outcome.stdout.splitlines() == [
        "Err plugin_import_error",
        "True None",
        "['plugins.hello', 'plugins.hello.absent']",
    ], outcome


def test_a_failed_load_removes_names_without_module(
    application: Application,
) -> None:
    application.add_plugin("hello", {"__init__.py": ""})
    application.add_plugin(
        "late", {"api.py": "import sys\nsys.modules['plugins.hello.gone'] = None\n1 / 0\n"}
    )
    application.lock()
    outcome = application.run(LOAD)
    assert outcome.stdout.splitlines()[0] == "Err plugin_import_error", outcome
    assert "gone" not in outcome.stdout


def test_a_lazy_module_is_not_loaded_by_the_way_back(application: Application) -> None:
    application.add_plugin("hello", {"__init__.py": "print('hello runs')\n", "api.py": ""})
    application.add_plugin("late", {"api.py": "1 / 0\n"})
    application.lock()
    outcome = application.run(
        """
        import importlib.util, sys
        from pathlib import Path
        import plugins
        spec = importlib.util.find_spec('plugins.hello')
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = sys.modules['plugins.hello'] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        from codegenie.plugins._transaction import Snapshot
        from codegenie._start.finder import installed
        before = Snapshot(installed().claims[0].enforcer())
        sys.modules['plugins.hello.made'] = type(sys)('made')
        before.restore()
        print(sys.modules['plugins.hello'] is module, 'plugins.hello.made' in sys.modules)
        """
    )
    assert outcome.stdout.splitlines() == ["True False"], outcome
