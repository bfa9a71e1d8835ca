"""``guard.pin``, which the activation file calls: nothing talks the guard out of its set-up."""

from __future__ import annotations

import pytest

from tests.fixtures.trees import Application

PIN = "import codegenie.plugins.guard as guard\nguard.pin(folders=[{'root': 'plugins'}])\n"


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
            "import codegenie.plugins.guard as guard; guard.pin(folders=[{'root': 'plugins'}], mode='audit')",
            "refuses nothing",
        ),
    ],
)
def test_require_says_what_is_missing(application: Application, before: str, why: str) -> None:
    outcome = application.run(before + "\nimport codegenie.refusals.kinds" + REQUIRE)
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
        "guard.pin(folders=[{'root': 'plugins'}], log='one')\nguard.pin(folders=[{'root': 'plugins'}], log='one')\n"
        "try:\n    guard.pin(folders=[{'root': 'plugins'}], log='other')\n"
        "except RuntimeError as error:\n    print(error.setting, guard.status().log)"
    )
    assert outcome.stdout == f"log {application.folder}/one\n", outcome


def test_its_exceptions_can_be_sent_to_another_process() -> None:
    import pickle

    from codegenie.plugins.errors import GuardNotEnforcing, GuardSettled

    for error in (GuardNotEnforcing("why"), GuardSettled("mode", "enforce", "audit", True)):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


# --- a root that is reached through a link, as deployment tools make it ---------------------------


@pytest.fixture
def deployed(application: Application) -> Application:
    """``current`` is a link to the release that counts."""
    (application.folder / "release").mkdir()
    application.root.rename(application.folder / "release" / "plugins")
    (application.folder / "current").symlink_to("release")
    return application


BY_EITHER_NAME = """
from pathlib import Path
from codegenie.plugins.errors import GuardSettled
from codegenie.plugins.loader import load_plugins
import codegenie.plugins.guard as guard
current = Path('current/plugins').absolute()
release = Path('release/plugins').absolute()
"""


@pytest.mark.parametrize("pinned", ["current", "release"])
def test_a_pinned_folder_is_known_by_either_name(deployed: Application, pinned: str) -> None:
    outcome = deployed.run(
        BY_EITHER_NAME
        + f"""
guard.pin(folders=[{{'root': {pinned}}}])
import plugins.alpha.api as first
for root in current, release:
    guard.install(root=root)
    guard.install(root=root, lock=root / 'PLUGINS.lock')
    print(load_plugins(root, root / 'PLUGINS.lock').unwrap().loaded)
    import plugins.alpha.api as api
    print(api is first, api.__file__ == str({pinned} / 'alpha' / 'api.py'))
print(guard.status().root == str({pinned}), guard.status().lock == str({pinned} / 'PLUGINS.lock'))
guard.require()
"""
    )
    assert outcome.stdout.splitlines() == [
        "('alpha',)",
        "True True",
        "('alpha',)",
        "True True",
        "True True",
    ], outcome


def test_another_name_of_a_pinned_folder_replaces_nothing(deployed: Application) -> None:
    """The link can lead elsewhere before the first import of a plugin."""
    outcome = deployed.run(
        BY_EITHER_NAME
        + """
guard.pin(folders=[{'root': release}])
guard.install(root=current)
import os
os.unlink('current')
import plugins.alpha.api as api
print(api.__file__ == str(release / 'alpha' / 'api.py'), guard.status().root == str(release))
"""
    )
    assert outcome.stdout == "True True\n", outcome


def test_audited_modules_stay_where_nothing_changes(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 'changed'\n")
    outcome = application.run(
        """
        import codegenie.plugins.guard as guard
        import plugins.alpha.api as first
        guard.install(mode="audit")
        import plugins.alpha.api as second
        print(first is second)
        """,
        environment={"CODEGENIE_GUARD_MODE": "audit"},
    )
    assert outcome.stdout == "True\n", outcome


def test_a_folder_that_has_decided_is_known_by_either_name(deployed: Application) -> None:
    outcome = deployed.run(
        BY_EITHER_NAME
        + """
guard.install(root=current)
import plugins.alpha.api as first
guard.install(root=release, lock=release / 'PLUGINS.lock')
guard.pin(folders=[{'root': release}])
print(load_plugins(release, release / 'PLUGINS.lock').unwrap().loaded)
import plugins.alpha.api as api
print(api is first, guard.status().root == str(current), guard.status().pinned)
"""
    )
    assert outcome.stdout == "('alpha',)\nTrue True True\n", outcome


def test_a_link_that_leads_elsewhere_now_is_another_folder(deployed: Application) -> None:
    import shutil

    shutil.copytree(deployed.folder / "release", deployed.folder / "other")
    outcome = deployed.run(
        BY_EITHER_NAME
        + """
guard.pin(folders=[{'root': release}])
import os, plugins.alpha
os.unlink('current'); os.symlink('other', 'current')
try:
    guard.install(root=current)
except GuardSettled as error:
    print(error.setting)
print(load_plugins(current, current / 'PLUGINS.lock').is_err())
print(load_plugins(release, current / 'PLUGINS.lock').is_err())
print(guard.status().root == str(release))
"""
    )
    assert outcome.stdout == "root\nTrue\nTrue\nTrue\n", outcome


def test_another_lock_beside_the_pinned_one_is_another_lock(deployed: Application) -> None:
    outcome = deployed.run(
        BY_EITHER_NAME
        + """
guard.pin(folders=[{'root': current}])
try:
    guard.install(lock=release / 'OTHER.lock')
except GuardSettled as error:
    print(error.setting)
print(load_plugins(release, release / 'OTHER.lock').is_err())
"""
    )
    assert outcome.stdout == "lock\nTrue\n", outcome


def test_one_folder_can_be_pinned_by_its_root(application: Application) -> None:
    outcome = application.run(
        """
        from codegenie.plugins import guard
        guard.pin(root="plugins", lock="plugins/PLUGINS.lock")
        import plugins.alpha.api as api
        print(api.answer(), guard.status().lock.endswith("/plugins/PLUGINS.lock"))
        try:
            guard.pin()
        except TypeError as error:
            print(error)
        """,
        guarded=False,
    )
    assert outcome.stdout == "42 True\npin() takes either folders or root\n", outcome


def test_pinning_switches_strict_mode_on(application: Application) -> None:
    outcome = application.run(
        """
        import runpy, codegenie.plugins.guard as guard
        guard.install(strict=False)
        guard.pin(root='plugins')
        with open('plugins/alpha/helper.py', 'a') as file:
            file.write('print("ran")')
        runpy.run_path('plugins/alpha/helper.py')
        """,
        report=True,
        guarded=False,
    )
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch", outcome
