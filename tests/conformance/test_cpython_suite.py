"""The guard's finders and loaders pass CPython's abstract tests for finders and loaders."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests.conformance import natives
from tests.fixtures.trees import Application

SUITE = Path(__file__).parent / "cpython_suite.py"
CLASSES = {
    "MetaPathFinder": 6,
    "PathEntryFinder": 6,
    "SourceLoader": 8,
    "MultiPhaseExtensionLoader": 5,
    "SinglePhaseExtensionLoader": 5,
    "NamespaceLoader": 2,
}

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("test") is None
    or importlib.util.find_spec("test.test_importlib") is None,
    reason="this interpreter comes without its own test suite",
)


@pytest.fixture
def plugins(application: Application) -> Application:
    plugin = application.plugin
    natives.copy_all(plugin)
    for name in (natives.MULTI_PHASE, natives.SINGLE_PHASE):
        natives.copy(name, plugin / "package" / f"{name}{natives.SUFFIX}")
    for path, source in {
        "__init__.py": "",
        "module.py": "VALUE = 1\n",
        "replaced.py": "",
        "bad_syntax.py": "+++ bad syntax +++",
        "both.py": "",
        "both/__init__.py": "",
        "package/__init__.py": "",
        "package/module.py": "",
        "package/inner/__init__.py": "",
        "package/inner/module.py": "",
        "namespace/inner/module.py": "",
    }.items():
        application.write(f"alpha/{path}", source)
    application.lock()
    return application


def test_every_class_of_the_suite_is_run() -> None:
    found = re.findall(r"^class (\w+)\(.*unittest\.TestCase\)", SUITE.read_text(), re.MULTILINE)
    assert found == list(CLASSES)


@pytest.mark.parametrize("flags", [[], ["-X", "dev", "-W", "error"]], ids=["plain", "dev"])
@pytest.mark.parametrize(("name", "count"), CLASSES.items())
def test_the_abstract_tests_of_cpython(
    plugins: Application, name: str, count: int, flags: list[str]
) -> None:
    outcome = plugins.start([sys.executable, *flags, str(SUITE), str(plugins.root), name])
    assert outcome.stdout == f"ran {count}, skipped 0, ok True\n", outcome.stderr
