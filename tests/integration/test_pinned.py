"""``guard.pin``, which the activation file calls: nothing talks the guard out of its set-up."""

from __future__ import annotations

import pytest

from tests.fixtures.trees import Application

PIN = "import codegenie.plugins.guard as guard\nguard.pin(root='plugins')\n"


@pytest.mark.parametrize(
    "change",
    [
        "root='elsewhere'",
        "lock='other.lock'",
        "scope='plugin'",
        "mode='audit'",
        "on_refusal='exit'",
        "strict=False",
    ],
)
@pytest.mark.parametrize("when", ["", "import plugins.alpha\n"], ids=["at once", "later"])
def test_another_set_up_is_an_error(application: Application, change: str, when: str) -> None:
    setting = change.partition("=")[0]
    outcome = application.run(
        PIN
        + when
        + "before = guard.status().as_dict()\n"
        + f"try:\n    guard.install({change})\n"
        + "except RuntimeError as error:\n"
        + "    print(type(error).__name__, error.setting, error.pinned, 'pinned' in str(error))\n"
        + "print(guard.status().as_dict() == before)"
    )
    assert outcome.stdout == f"GuardSettled {setting} True True\nTrue\n", outcome


def test_the_same_set_up_is_none(application: Application) -> None:
    outcome = application.run(
        PIN
        + "guard.install()\n"
        + "guard.install(root='plugins', lock='plugins/PLUGINS.lock', mode='enforce', strict=True)\n"
        + "import plugins.alpha.api as api; print(api.answer(), guard.status().pinned)"
    )
    assert outcome.stdout == "42 True\n", outcome


def test_the_environment_does_not_count(application: Application) -> None:
    evil = application.folder / "evil"
    evil.mkdir()
    outcome = application.run(
        PIN + "import plugins.alpha.api as api\n"
        "status = guard.status()\n"
        "print(api.answer(), status.root.endswith('/application/plugins'), status.mode)",
        environment={
            "CODEGENIE_PLUGINS_ROOT": str(evil),
            "CODEGENIE_PLUGINS_LOCK": str(evil / "PLUGINS.lock"),
            "CODEGENIE_GUARD_MODE": "audit",
            "CODEGENIE_GUARD_ON_REFUSAL": "exit",
        },
    )
    assert outcome.stdout == "42 True enforce\n", outcome


def test_guarding_anew_in_the_same_process_does_not_unpin(application: Application) -> None:
    outcome = application.run(
        PIN
        + """
import os, sys
sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != 'GuardFinder']
for name in [n for n in sys.modules if n.startswith('codegenie')]:
    del sys.modules[name]
os.environ['CODEGENIE_PLUGINS_ROOT'] = '/elsewhere'
import codegenie.plugins.guard as again
print(again is not guard, again.status().pinned, again.status().root.endswith('/application/plugins'))
again.require()
"""
    )
    assert outcome.stdout == "True True True\n", outcome
    assert outcome.stderr == ""


@pytest.mark.parametrize(
    ("root", "lock"), [("other", "other/PLUGINS.lock"), ("plugins", "other/PLUGINS.lock")]
)
def test_plugins_are_loaded_from_no_other_folder_and_by_no_other_lock(
    application: Application, root: str, lock: str
) -> None:
    import shutil

    shutil.copytree(application.root, application.folder / "other")
    outcome = application.run(
        PIN
        + f"""
from pathlib import Path
from codegenie.plugins.loader import load_plugins
from codegenie.plugins.registry import PluginRegistry
print(load_plugins(Path({root!r}), Path({lock!r}), registry=PluginRegistry()).unwrap_err())
print(load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).unwrap().loaded)
"""
    )
    refused, loaded = outcome.stdout.splitlines()
    assert "kind='plugin_import_error'" in refused
    assert "the guard is pinned to the folder " in refused
    assert loaded == "('alpha',)"


REQUIRE = """
try:
    guard.require()
    print('guarded')
except RuntimeError as error:
    print(type(error).__name__, error.detail)
"""


def test_require_passes_a_pinned_and_enforcing_guard(application: Application) -> None:
    assert application.run(PIN + REQUIRE).stdout == "guarded\n"


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ("import codegenie.plugins.guard as guard", "no activation file"),
        (
            "import codegenie.plugins.guard as guard; guard.install(root='plugins')",
            "no activation file",
        ),
        (
            "import codegenie.plugins.guard as guard; guard.pin(root='plugins', mode='audit')",
            "refuses nothing",
        ),
    ],
)
def test_require_says_what_is_missing(application: Application, before: str, why: str) -> None:
    outcome = application.run(before + "\nimport codegenie.plugins._enforce.refusal" + REQUIRE)
    assert outcome.stdout.startswith("GuardNotEnforcing "), outcome
    assert why in outcome.stdout


@pytest.mark.parametrize("displace", ["sys.meta_path.reverse()", "sys.meta_path.pop(0)"])
def test_require_puts_a_displaced_guard_back(application: Application, displace: str) -> None:
    outcome = application.run(
        PIN + f"import sys; {displace}\nguard.require(); print(guard.status().active)"
    )
    assert outcome.stdout == "True\n", outcome


def test_the_log_is_pinned_too(application: Application) -> None:
    outcome = application.run(
        "import codegenie.plugins.guard as guard\n"
        "guard.pin(root='plugins', log='one')\nguard.pin(root='plugins', log='one')\n"
        "try:\n    guard.pin(root='plugins', log='other')\n"
        "except RuntimeError as error:\n    print(error.setting, guard.status().log)"
    )
    assert outcome.stdout == "log one\n", outcome


def test_its_exceptions_can_be_sent_to_another_process() -> None:
    import pickle

    from codegenie.plugins.errors import GuardNotEnforcing, GuardSettled

    for error in (GuardNotEnforcing("why"), GuardSettled("mode", "enforce", "audit", True)):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))
