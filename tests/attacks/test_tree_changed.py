"""The tree is not the one that was locked."""

from __future__ import annotations

import shutil

import pytest

from tests.attacks.conftest import PAYLOAD, Attack, Range
from tests.fixtures.trees import Application

IMPORT = "import plugins.alpha.api"


def changed(application: Application) -> None:
    application.write("alpha/helper.py", PAYLOAD + "VALUE = 1\n")


def added_and_imported(application: Application) -> None:
    application.write("alpha/__init__.py", PAYLOAD)


def renamed(application: Application) -> None:
    application.write("alpha/spare.py", PAYLOAD)
    application.lock()
    (application.plugin / "helper.py").unlink()
    (application.plugin / "spare.py").rename(application.plugin / "helper.py")


def swapped_between_plugins(application: Application) -> None:
    application.add_plugin("beta", {"helper.py": PAYLOAD + "VALUE = 1\n"})
    application.lock()
    shutil.copy(application.root / "beta" / "helper.py", application.plugin / "helper.py")


def a_module_made_a_package(application: Application) -> None:
    application.write("alpha/helper/__init__.py", PAYLOAD + "VALUE = 1\n")


@pytest.mark.parametrize(
    "attack",
    [changed, added_and_imported, renamed, swapped_between_plugins, a_module_made_a_package],
)
def test_a_changed_tree_is_refused(ground: Range, attack: Attack) -> None:
    ground.works_unguarded(attack, IMPORT)
    ground.refused(attack, IMPORT, "integrity_mismatch")


def unlocked(application: Application) -> None:
    application.add_plugin("beta", {"api.py": PAYLOAD})


def stray_module(application: Application) -> None:
    application.write("beta/api.py", PAYLOAD)


@pytest.mark.parametrize("attack", [unlocked, stray_module])
def test_what_nobody_locked_is_refused(ground: Range, attack: Attack) -> None:
    ground.works_unguarded(attack, "import plugins.beta.api")
    ground.refused(attack, "import plugins.beta.api", "unlocked_plugin")


def linked_elsewhere(application: Application) -> None:
    outside = application.folder / "outside.py"
    outside.write_text(PAYLOAD + "VALUE = 1\n")
    (application.plugin / "helper.py").unlink()
    (application.plugin / "helper.py").symlink_to(outside)


def linked_folder(application: Application) -> None:
    outside = application.folder / "outside"
    application.plugin.rename(outside)
    (outside / "helper.py").write_text(PAYLOAD + "VALUE = 1\n")
    application.plugin.symlink_to(outside)


@pytest.mark.parametrize("attack", [linked_elsewhere, linked_folder])
def test_a_link_is_refused(ground: Range, attack: Attack) -> None:
    ground.works_unguarded(attack, IMPORT)
    ground.refused(attack, IMPORT, "symlink_escape")


def package_code(application: Application) -> None:
    application.write("__init__.py", PAYLOAD)


def test_the_code_of_the_package_itself_never_runs(ground: Range) -> None:
    ground.works_unguarded(package_code, IMPORT)
    ground.harmless(package_code, IMPORT)
