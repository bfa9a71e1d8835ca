"""``codegenie guard install`` of one folder or several, and ``guard status`` as a health check."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from codegenie.activation import files
from tests.fixtures.command_line import in_process
from tests.fixtures.environments import Environment, clean_environment

CONFIGURATION = """
[[folder]]
root = "custom_components"
package = "custom_components"
[[folder]]
root = "extensions"
package = false
lock = "extensions.lock"
[[folder]]
root = "top"
package = ""
"""

LOAD_ALL = """
import sys
sys.path[:0] = [{project!r}, {project!r} + "/top"]
import importlib.util as util
loaded = []
def by_path():
    spec = util.spec_from_file_location("made_up", {project!r} + "/extensions/tool.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
for name, load in (
    ("light", lambda: __import__("custom_components.light")),
    ("tool", by_path),
    ("best", lambda: __import__("best")),
):
    try:
        load()
    except ImportError as error:
        assert type(error).__name__ == "PluginImportRefused", error
    else:
        loaded.append(name)
print(*loaded)
"""


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with three locked folders: a package, one by path, and one of modules."""
    folder = tmp_path / "projeçt"
    for name in ("custom_components/light/__init__.py", "extensions/tool.py", "top/best.py"):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text("x = 1\n")
    (folder / "codegenie.toml").write_text(CONFIGURATION)
    assert in_process(folder, "plugins", "lock").status == 0
    return folder


def loaded(environment: Environment, project: Path) -> list[str]:
    done = subprocess.run(
        [environment.python, "-B", "-c", LOAD_ALL.format(project=str(project))],
        env=clean_environment(),
        cwd=project.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_configured_folder_is_guarded(environment: Environment, project: Path) -> None:
    config = ("--config", str(project / "codegenie.toml"))
    installed = environment.guard("install", *config, "--json")
    assert installed.status == 0, installed
    assert [folder["package"] for folder in installed.document["folders"]] == [
        "custom_components",
        None,
        "",
    ]
    assert installed.document["folders"][2]["names"] == ["best"]
    pinned = files.pinned_settings(environment.site)
    assert pinned is not None
    assert [folder["root"] for folder in pinned["folders"]] == [
        str(project / name) for name in ("custom_components", "extensions", "top")
    ]
    assert loaded(environment, project) == ["light", "tool", "best"]
    for name, others in (
        ("custom_components/light/__init__.py", ["tool", "best"]),
        ("extensions/tool.py", ["light", "best"]),
        ("top/best.py", ["light", "tool"]),
    ):
        (project / name).write_text("x = 2\n")
        assert loaded(environment, project) == others
        (project / name).write_text("x = 1\n")

    listing = environment.listing()
    again = environment.guard("install", *config)
    assert (again.status, again.stdout) == (0, "")
    assert "nothing to change" in again.stderr
    assert environment.listing() == listing

    # Only commands read the configuration. An attacker who can edit it unguards no folder.
    (project / "codegenie.toml").write_text("[[folder]]\nroot = 'elsewhere'\n")
    (project / "top/best.py").write_text("x = 2\n")
    assert loaded(environment, project) == ["light", "tool"]


def test_an_installation_that_stops_guarding_a_folder_needs_replace(
    environment: Environment, project: Path
) -> None:
    config = ("--config", str(project / "codegenie.toml"))
    assert environment.guard("install", *config).status == 0
    before = environment.listing()
    one = ("install", "--root", str(project / "extensions"), "--no-package")
    refused = environment.guard(*one)
    assert refused.status == 1
    assert "this would stop guarding" in refused.stderr
    for name in ("custom_components", "top"):
        assert f"  guarded   {project / name}\n" in refused.stderr
    assert environment.listing() == before
    assert environment.guard(*one, "--replace").status == 0
    # More folders than before need no option.
    link = project.parent / "link"
    link.symlink_to(project)
    assert environment.guard("install", "--config", str(link / "codegenie.toml")).status == 0


def test_bad_choices_write_nothing(environment: Environment, project: Path) -> None:
    (project / "json.py").write_text("")
    before = environment.listing()
    shutil.copytree(project / "top", project / "shadow")
    (project / "shadow/json.py").write_text("x = 1\n")
    assert in_process(project, "plugins", "lock", "shadow").status == 0
    (project / "unlocked").mkdir()
    (project / "twice.toml").write_text(
        "[[folder]]\nroot = 'top'\npackage = ''\n[[folder]]\nroot = 'extensions'\npackage = 'Best'"
    )
    root = ("--root", str(project / "top"))
    for arguments, status, said in (
        ((), 2, "give --root or --config"),
        ((*root, "--root", "x"), 2, "--root is given twice"),
        ((*root, "--package", "a", "--no-package"), 2, "either --package or --no-package"),
        ((*root, "--package", "a-b"), 2, "not a dotted name"),
        ((*root, "--config", str(project / "codegenie.toml")), 2, "no option for one folder"),
        (("--root", str(project / "gone")), 2, "is not a folder"),
        (("--root", str(project / "unlocked"), "--package", ""), 1, "there is no valid lock"),
        (("--root", str(project / "shadow"), "--package", ""), 1, "of the standard library"),
        (("--config", str(project / "twice.toml")), 1, "that another folder claims"),
    ):
        refused = environment.guard("install", *arguments)
        assert refused.status == status, refused
        assert said in refused.stderr, refused
        assert environment.listing() == before


def test_a_shared_folder_may_hold_codegenie_that_the_lock_does_not_name(
    environment: Environment, tmp_path: Path
) -> None:
    (environment.site / "supersay.py").write_text("x = 1\n")
    lock = tmp_path / "site.lock"
    shared = ("--root", str(environment.site), "--package", "", "--lock", str(lock))
    for text, said in (
        ('{"codegenie": "' + "0" * 64 + '"}\n', "the guard itself needs"),
        ("{}\n", "nothing in this folder would be guarded"),
    ):
        lock.write_text(text)
        refused = environment.guard("install", *shared, "--others", "leave")
        assert (refused.status, said in refused.stderr) == (1, True)
    digest = "4c9a1d3a0b6e6f2d9b6c0a4f1f7d6e5c4b3a29181706f5e4d3c2b1a09f8e7d6c"
    lock.write_text(f'{{"supersay.py": "{digest}"}}\n')
    refused = environment.guard("install", *shared)
    assert (refused.status, "the root holds its site-packages" in refused.stderr) == (1, True)
    installed = environment.guard("install", *shared, "--others", "leave")
    assert installed.status == 0, installed
    done = subprocess.run(
        [environment.python, "-c", "import supersay"], env=clean_environment(), capture_output=True
    )
    assert (done.returncode, b"PluginImportRefused" in done.stderr) == (1, True)


def test_status_is_a_health_check(environment: Environment, project: Path) -> None:
    config = ("--config", str(project / "codegenie.toml"))
    assert environment.guard("install", *config).status == 0

    def status(*options: str) -> tuple[int, list[str | None]]:
        done = environment.guard("status", "--json", *options)
        folders = done.document["folders"]
        assert [folder["root"] for folder in folders] == [
            str(project / name) for name in ("custom_components", "extensions", "top")
        ]
        faults = [f["problem"] or (f["rejections"] or [{}])[0].get("kind") for f in folders]
        return done.status, faults

    assert status() == (0, [None, None, None])
    assert status("--verify") == (0, [None, None, None])
    tool = project / "extensions/tool.py"
    tool.write_text("x = 2\n")
    assert status() == (0, [None, None, None])
    assert status("--verify") == (4, [None, "integrity_mismatch", None])
    lock = project / "extensions.lock"
    lock.rename(project / "away")
    assert status() == (4, [None, "lock_file_malformed", None])
    (project / "away").rename(lock)
    (project / "top/more.py").write_text("")
    assert in_process(project, "plugins", "lock", "top").status == 0
    assert status() == (1, [None, None, "names other units than are pinned: install"])
    (project / "extensions").rename(project / "moved")
    assert status()[1][1] == "the folder does not exist"
    shown = environment.guard("status")
    assert f"root        {project / 'extensions'} (by path only)\n" in shown.stdout
    assert shown.status == 1
