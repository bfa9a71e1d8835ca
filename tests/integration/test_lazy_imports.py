"""The guard where imports are lazy (PEP 810)."""

from __future__ import annotations

import sys

import pytest

from tests.fixtures.trees import PLUGIN, Application

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 15), reason="lazy imports came with Python 3.15"
)

# Prints the lazy names of the guard's own modules that were not resolved.
UNRESOLVED = """
def unresolved():
    import sys
    from types import LazyImportType
    return sorted(
        f"{module.__name__}.{name}"
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").partition(".")[0] == "codegenie"
        for name, value in list(vars(module).items())
        if type(value) is LazyImportType
    )
"""

INSTALL = "import codegenie.plugins.guard as guard; guard.install()\n"

WAYS = {
    "flag": (("-X", "lazy_imports=all"), {}, ""),
    "variable": ((), {"PYTHON_LAZY_IMPORTS": "all"}, ""),
    "call": ((), {}, "import sys; sys.set_lazy_imports('all')\n"),
    "filter": (
        ("-X", "lazy_imports=all"),
        {},
        "import sys; sys.set_lazy_imports_filter(lambda importing, imported, names: True)\n",
    ),
}


@pytest.mark.parametrize("scope", ["all", "plugin"])
@pytest.mark.parametrize("way", WAYS)
def test_own_imports_are_resolved_before_anything_is_decided(
    application: Application, way: str, scope: str
) -> None:
    flags, variables, first = WAYS[way]
    outcome = application.run(
        f"{first}import codegenie.plugins.guard as guard; guard.install(scope={scope!r})\n"
        f"{UNRESOLVED}import plugins.alpha.api as api\n"
        "print(api.answer(), unresolved(), list(guard.status().verified))",
        guarded=False,
        flags=flags,
        environment=variables,
    )
    assert outcome.stdout == f"42 [] ['{PLUGIN}']\n", outcome


@pytest.mark.parametrize("way", WAYS)
def test_the_start_leaves_no_import_to_the_audit_hook(application: Application, way: str) -> None:
    flags, variables, first = WAYS[way]
    outcome = application.run(
        f"{first}{INSTALL}{UNRESOLVED}"
        "print([name for name in unresolved() if name.startswith('codegenie._start.')])",
        guarded=False,
        flags=flags,
        environment=variables,
    )
    assert outcome.stdout == "[]\n", outcome


@pytest.mark.parametrize(
    "odd",
    [
        "3: None",
        "None: sys",
        "'codegenie.nope': None",
        "'codegenie.nope': 3",
        "'logging.nope': None",
    ],
)
def test_own_imports_are_resolved_beside_odd_modules(application: Application, odd: str) -> None:
    """Keys of ``sys.modules`` that are no names, and values that are no modules."""
    outcome = application.run(
        f"import sys; sys.modules.update({{{odd}}})\n{INSTALL}{UNRESOLVED}"
        "import plugins.alpha.api as api\nprint(api.answer(), unresolved())",
        guarded=False,
        flags=("-X", "lazy_imports=all"),
    )
    assert outcome.stdout == "42 []\n", outcome


def test_logging_is_resolved_where_a_finder_may_use_it(application: Application) -> None:
    """``find_spec`` holds the import lock, and imports nothing."""
    outcome = application.run(
        "import codegenie.plugins.guard as guard; guard.install(scope='plugin')\n"
        "import plugins\nplugins\nimport sys\nfrom types import LazyImportType\n"
        "print([name for name, value in vars(sys.modules['logging']).items()"
        " if type(value) is LazyImportType])",
        guarded=False,
        flags=("-X", "lazy_imports=all"),
    )
    assert outcome.stdout == "[]\n", outcome


def test_other_imports_work_after_a_refusal(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 7\n")
    outcome = application.run(
        f"{INSTALL}import plugins.alpha.api as api  # lazy: it is refused where it is used\n"
        "try:\n    api\nexcept ImportError as error:\n    print(type(error).__name__)\n"
        "import json, xml.dom.minidom, logging.config\n"
        "print(json.dumps([1]), xml.dom.minidom.Document, logging.config.dictConfig)",
        guarded=False,
        flags=("-X", "lazy_imports=all"),
    )
    assert outcome.status == 0, outcome
    assert outcome.stdout.startswith("PluginImportRefused\n[1]"), outcome


@pytest.mark.parametrize("flags", [(), ("-X", "lazy_imports=all")], ids=["lazy", "all"])
def test_lazy_import_of_the_guard_installs_it_when_it_is_used(
    application: Application, flags: tuple[str, ...]
) -> None:
    outcome = application.run(
        "import sys\n"
        "def first():\n    return type(sys.meta_path[0]).__name__\n"
        "lazy import codegenie.plugins.guard as guard\n"
        "print(first())\nguard.install()\nprint(first())",
        guarded=False,
        flags=flags,
    )
    assert outcome.stdout == "type\nGuardFinder\n", outcome


def test_lazy_import_resolved_by_many_threads_at_once(application: Application) -> None:
    outcome = application.run(
        """
        import sys, threading
        lazy import plugins.alpha.api as api
        sys.setswitchinterval(1e-6)
        barrier = threading.Barrier(16)
        answers = []
        def resolve():
            barrier.wait()
            answers.append(api.answer())
        threads = [threading.Thread(target=resolve) for _ in range(16)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(answers == [42] * 16)
        """,
        flags=("-X", "lazy_imports=all"),
    )
    assert outcome.stdout == "True\n", outcome
    assert outcome.executed.count("plugins.alpha.api") == 1
