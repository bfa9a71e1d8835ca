"""Units as they are: single files, names as on the disk, git clones, no manifest; by the commands
and by imports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fixtures.command_line import in_process
from tests.fixtures.trees import WITNESS, Application

FILES = {
    "SuperSay/__init__.py": "VALUE = 1\n",
    "ha-hacs.v2/a.py": "",
    "tool.py": "VALUE = 2\n",
    "__init__.py": "ROOT = 3\n",
    "_fast.cpython-27-x86_64-linux-gnu.so": "machine code",
    "größe 猫/a.py": "",
    'it\'s "a" $(unit).py': "",
    "cloned/api.py": "",
    "cloned/.git/HEAD": "ref: refs/heads/main\n",
    "submodule/.git": "gitdir: ../.git/modules/submodule\n",
    "submodule/api.py": "",
    "host/plugin.yaml": "id: not-ours\nversion: 7\n",
}
UNITS = sorted({path.partition("/")[0] for path in FILES})
NO_UNITS = {"README.md": "", "data.json": "", ".hidden/a.py": "", ".git/HEAD": "", "a.pyo": ""}


@pytest.fixture
def units(tmp_path: Path) -> Application:
    """Return a folder of units of every kind, locked by the command line, without ``alpha``."""
    application = Application(tmp_path)
    for name in ("api.py", "helper.py", "plugin.yaml"):
        (application.plugin / name).unlink()
    application.plugin.rmdir()
    application.lock_path.unlink()
    fill(application, FILES | NO_UNITS)
    result = in_process(tmp_path, "plugins", "lock")
    assert result.status == 0, result.stderr
    return application


def fill(application: Application, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        application.write(path, text)


def test_every_unit_is_locked_by_its_name_on_disk(units: Application) -> None:
    assert sorted(json.loads(units.lock_path.read_bytes())) == UNITS
    for command in ("verify", "diff"):
        assert in_process(units.folder, "plugins", command).status == 0
    assert in_process(units.folder, "plugins", "lock", "--check").status == 0
    listed = in_process(units.folder, "plugins", "list", "--json").document["plugins"]
    assert {row["plugin"]: row["state"] for row in listed} == dict.fromkeys(UNITS, "locked")


def test_the_file_list_is_one_that_sha256sum_reads(units: Application) -> None:
    check = ["sha256sum", "--check", "--strict", "PLUGINS.sha256"]
    done = subprocess.run(check, cwd=units.root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == len([path for path in FILES if ".git" not in path])


def test_diff_and_a_refusal_name_the_single_file(units: Application) -> None:
    units.write("tool.py", "VALUE = 43\n")
    result = in_process(units.folder, "plugins", "diff")
    assert (result.status, result.stdout) == (4, "~ tool.py\n")
    outcome = units.run("import plugins.tool", report=True)
    assert outcome.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert outcome.refusal["rejection"]["plugin"] == "tool.py"
    assert "  changed   tool.py" in outcome.refusal["message"]
    (units.root / "tool.py").unlink()
    assert in_process(units.folder, "plugins", "diff").stdout == "- tool.py\n"


def test_some_units_are_locked_by_their_names(units: Application) -> None:
    units.write("tool.py", "VALUE = 43\n")
    result = in_process(units.folder, "plugins", "lock", "plugins", "tool.py")
    assert (result.status, result.stdout) == (0, "~ tool.py\n")
    assert in_process(units.folder, "plugins", "lock", "--check").status == 0


def test_packs_are_made_for_every_unit_and_are_used(units: Application) -> None:
    result = in_process(units.folder, "plugins", "compile")
    assert result.status == 0, result.stderr
    assert in_process(units.folder, "plugins", "verify", "--bytecode").status == 0
    outcome = units.run(
        "import plugins.tool\nfrom codegenie.plugins import guard\n"
        "print(plugins.tool.VALUE, guard.status().bytecode['tool.py']['from_pack'])"
    )
    assert outcome.stdout == "2 1\n", outcome


@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_units_are_imported_as_in_plain_python(units: Application, scope: str) -> None:
    script = (
        "import plugins, plugins.SuperSay, plugins.tool\n"
        "print(plugins.ROOT, plugins.SuperSay.VALUE, plugins.tool.VALUE, plugins.tool.__file__)\n"
        "import pkgutil; print(sorted(m.name for m in pkgutil.iter_modules(plugins.__path__)\n"
        "                             if m.name in ('tool', 'SuperSay')))\n"
    )
    first = f"import codegenie.plugins.guard as g; g.install(scope={scope!r})\n"
    plain = units.run(script, guarded=False)
    assert units.run(first + script, guarded=False).stdout == plain.stdout
    assert plain.status == 0, plain


@pytest.mark.parametrize("scope", ["all", "plugin"])
@pytest.mark.parametrize("package", [True, False], ids=["package", "namespace"])
def test_a_file_and_a_folder_of_one_name_are_found_in_the_order_of_cpython(
    units: Application, scope: str, package: bool
) -> None:
    units.write(f"tool/{'__init__' if package else 'data'}.py", "VALUE = 'folder'\n")
    assert in_process(units.folder, "plugins", "lock").status == 0
    script = "import plugins.tool; print(plugins.tool.VALUE)"
    first = f"import codegenie.plugins.guard as g; g.install(scope={scope!r})\n"
    plain = units.run(script, guarded=False)
    assert units.run(first + script, guarded=False).stdout == plain.stdout
    assert plain.stdout == ("folder\n" if package else "2\n")


def test_an_intact_single_file_runs_by_its_path(units: Application) -> None:
    script = "import runpy; print(runpy.run_path('plugins/tool.py')['VALUE'])"
    assert units.run(script, guarded=False).stdout == units.run(script).stdout == "2\n"


def test_the_list_is_a_preview_of_the_first_lock(tmp_path: Path) -> None:
    application = Application(tmp_path)
    application.lock_path.unlink()
    application.write("tool.py", WITNESS)
    (application.plugin / "link").symlink_to("/")
    (application.plugin / "sub").mkdir()
    (application.plugin / "sub" / "other").symlink_to("/")
    application.write("beta/plugin.yaml", "scope: x\n")
    (application.root / "odd\tname").mkdir()
    result = in_process(tmp_path, "plugins", "list", "--json")
    assert result.status == 0
    assert {row["plugin"]: row["state"] for row in result.document["plugins"]} == {
        "alpha": "symlink_escape",
        "beta": "schema_violation",
        "odd\\u0009name": "unhashable_tree",
        "tool.py": "not locked",
    }
    shown = in_process(tmp_path, "plugins", "list")
    for finding in ("alpha/link", "beta/plugin.yaml", "no lock can hold", "plugins lock plugins"):
        assert finding in shown.stderr
    assert not application.lock_path.exists()
    locked = in_process(tmp_path, "plugins", "lock")
    assert locked.status == 4
    for finding in ("alpha/link", "alpha/sub/other", "beta/plugin.yaml"):
        assert finding in locked.stderr


def test_a_missing_lock_is_said_to_be_missing(application: Application) -> None:
    application.lock_path.unlink()
    result = in_process(application.folder, "plugins", "verify")
    assert result.status == 4
    assert "the lock does not exist, and nothing is imported without it" in result.stderr
    assert f"codegenie plugins lock {application.root}" in result.stderr
