"""``codegenie.toml`` and ``[tool.codegenie]``: the folders of a command without ROOT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.command_line.test_schemas import assert_valid
from tests.fixtures.command_line import in_process

TWO_FOLDERS = """
application = "shop"
[[folder]]
root = "host/custom_components"
package = "custom_components"
lock = "locks/components.lock"
[[folder]]
root = "extensions"
package = false
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with two plugin folders, a single file in one of them, and no lock."""
    folder = tmp_path / "project"
    (folder / "host/custom_components/light").mkdir(parents=True)
    (folder / "host/custom_components/light/__init__.py").write_text("x = 1\n")
    (folder / "extensions").mkdir()
    (folder / "extensions/tool.py").write_text("x = 1\n")
    (folder / "locks").mkdir()
    (folder / "codegenie.toml").write_text(TWO_FOLDERS)
    return folder


def test_commands_work_on_the_configured_folders(project: Path) -> None:
    assert in_process(project, "plugins", "lock").status == 0
    assert list(json.loads((project / "locks/components.lock").read_text())) == ["light"]
    assert list(json.loads((project / "extensions/PLUGINS.lock").read_text())) == ["tool.py"]
    for command in ("verify", "list", "diff", "compile"):
        below = in_process(project / "host", "plugins", command, "--json")
        assert below.status == 0, below
        folders = assert_valid(f"plugins-{command}", below)["folders"]
        assert [folder["root"] for folder in folders] == [
            str(project / "host/custom_components"),
            str(project / "extensions"),
        ]


def test_the_worst_status_of_the_folders_counts(project: Path) -> None:
    assert in_process(project, "plugins", "lock").status == 0
    (project / "host/custom_components/light/__init__.py").write_text("x = 2\n")
    result = in_process(project, "plugins", "verify")
    assert result.status == 4
    assert "light" in result.stderr
    assert result.stdout.endswith("  tool.py\n")  # the second folder was verified as well


def test_a_given_root_keeps_its_configured_settings(project: Path) -> None:
    assert in_process(project, "plugins", "lock", "host/custom_components").status == 0
    assert (project / "locks/components.lock").exists()
    assert not (project / "extensions/PLUGINS.lock").exists()
    document = in_process(project, "plugins", "verify", "host/custom_components", "--json").document
    assert document["lock"] == str(project / "locks/components.lock")


def test_the_manifest_policy_is_that_of_the_folder(project: Path) -> None:
    configured = (project / "codegenie.toml").read_text() + 'manifest = "codegenie"\n'
    (project / "codegenie.toml").write_text(configured)
    (project / "extensions/tool.py").unlink()
    (project / "extensions/tool").mkdir()
    (project / "extensions/tool/__init__.py").write_text("")
    result = in_process(project, "plugins", "lock")
    assert (result.status, "[missing_manifest]" in result.stderr) == (4, True)


def test_a_project_file_configures_as_well(project: Path) -> None:
    tables = TWO_FOLDERS.replace("[[folder]]", "[[tool.codegenie.folder]]")
    text = f"[project]\nname = 'x'\n[tool.codegenie]\n{tables}"
    (project / "pyproject.toml").write_text(text)
    both = in_process(project, "plugins", "lock")
    assert (both.status, "remove one of the two" in both.stderr) == (2, True)
    (project / "codegenie.toml").unlink()
    assert in_process(project, "plugins", "lock").status == 0
    # A project without the table is not the nearest configuration.
    (project / "host/pyproject.toml").write_text("[project]\nname = 'y'\n")
    assert in_process(project / "host", "plugins", "verify").status == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[folder]]\nrot = 'a'\n", "[[folder]] 1: 'rot' is not a setting; these are: root,"),
        ("[[folder]]\npackage = 'a'\n", "[[folder]] 1: 'root' is missing"),
        ("aplication = 'x'\n", "'aplication' is not a setting; these are: application, folder"),
        ("[[folder]]\nroot = ''\n", "[[folder]] 1: 'root': string should have at least 1"),
        ("[[folder]]\nroot = 'a'\npackage = true\n", "'package' must be a name, or false"),
        ("[[folder]]\nroot = 'a'\npackage = 'a-b'\n", "'a-b' is not a dotted name"),
        ("[[folder]]\nroot = 'a'\npackage = 'codegenie.x'\n", "is part of the guard itself"),
        ("[[folder]]\nroot = 'a'\npackage = 'ﬁle'\n", "is not spelled as Python normalizes it"),
        ("[[folder]]\nroot = 'a'\nothers = 'x'\n", "'others': input should be 'refuse' or"),
        ("[[folder]]\nroot = 'gone'\n", "gone' is not a folder"),
        ("[[folder]]\nroot = 'a'\n[[folder]]\nroot = 'a/b'\npackage = false\n", "must not nest"),
        ("[[folder]]\nroot = 'a'\n[[folder]]\nroot = 'l'\npackage = false\n", "the same folder"),
        ("[[folder]]\nroot = 'a'\n[[folder]]\nroot = 'c'\n", "'plugins' is claimed by"),
        (
            "[[folder]]\nroot = 'a'\n[[folder]]\nroot = 'c'\npackage = 'Plugins'\n",
            "differ only in case",
        ),
        (
            "[[folder]]\nroot = 'a'\nlock = 'c/l'\n[[folder]]\nroot = 'c'\npackage = false\n",
            "is inside another guarded folder",
        ),
        ("[folder]\nroot = 'a'\n", "'folder': input should be a valid list"),
        ("[[", "is not TOML"),
    ],
)
def test_a_bad_configuration_is_one_error_before_anything(
    tmp_path: Path, text: str, said: str
) -> None:
    for name in ("a/b", "c", "plugins"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "l").symlink_to("a")
    (tmp_path / "codegenie.toml").write_text(text)
    result = in_process(tmp_path, "plugins", "lock")
    assert result.status == 2, result
    assert f"Error: {tmp_path}/codegenie.toml: " in result.stderr
    assert said in result.stderr
    assert not list(tmp_path.glob("**/PLUGINS.*"))


def test_commands_on_one_folder_say_which_they_need(project: Path) -> None:
    for arguments, said in (
        (("verify", "--watch"), "--watch works on one folder: give ROOT, one of: "),
        (("lock", "--lock", "x"), "--lock needs ROOT"),
    ):
        result = in_process(project, "plugins", *arguments)
        assert (result.status, said in result.stderr) == (2, True)
    (project / "codegenie.toml").unlink()
    result = in_process(project, "plugins", "verify")
    assert "Directory 'plugins' does not exist: give ROOT" in result.stderr


def test_a_plugin_does_not_bring_the_configuration_along(project: Path) -> None:
    """Plant a file that names a copy that passes: without the rule the command succeeds."""
    assert in_process(project, "plugins", "lock").status == 0
    intact = shutil.copytree(project / "extensions", project / "copy")
    (project / "extensions/tool.py").write_text("x = 2\n")
    planted = project / "extensions/codegenie.toml"
    planted.write_text(f"[[folder]]\nroot = '{intact}'\n")
    by_lock = in_process(planted.parent, "plugins", "verify")
    (project / "extensions/PLUGINS.lock").unlink()
    by_the_outer_file = in_process(planted.parent, "plugins", "verify")
    for result in (by_lock, by_the_outer_file):
        assert result.status == 2
        assert f"Error: {planted}: is in a guarded folder" in result.stderr
    planted.unlink()
    assert in_process(project / "extensions", "plugins", "list").status == 0


def test_a_first_lock_of_a_shared_folder_says_that_it_pins_nothing(project: Path) -> None:
    with (project / "codegenie.toml").open("a") as file:
        file.write('others = "leave"\n')
    result = in_process(project, "plugins", "lock", "extensions")
    assert (result.status, "plugins lock extensions ID" in result.stderr) == (0, True)
    named = in_process(project, "plugins", "lock", "extensions", "tool.py")
    assert (named.status, "1 plugin pinned" in named.stderr, " ID" in named.stderr) == (
        0,
        True,
        False,
    )
