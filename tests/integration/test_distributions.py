"""Distributions in ``site-packages``, locked by ``plugins lock --dist`` and held to the lock."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fixtures.command_line import in_process
from tests.fixtures.environments import Environment
from tests.fixtures.trees import WITNESS, Application, Outcome

DIST_INFO = "demo_plugin-1.0.dist-info"
FILES = {
    "demo/__init__.py": "def greet():\n    return 'hello'\n",
    "demo_single.py": "VALUE = 1\n",
    f"{DIST_INFO}/METADATA": "Metadata-Version: 2.1\nName: Demo.Plugin\nVersion: 1.0\n",
    f"{DIST_INFO}/entry_points.txt": "[demo.plugins]\ndemo = demo:greet\n",
}
OTHER = {
    "other/__init__.py": "VALUE = 'left alone'\n",
    "other-2.dist-info/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 2\n",
    "other-2.dist-info/entry_points.txt": "[demo.plugins]\nother = other:VALUE\n",
    "other-2.dist-info/RECORD": "other/__init__.py,,\nother-2.dist-info/METADATA,,\n",
}
LOAD = (
    "from importlib.metadata import entry_points\n"
    "for point in sorted(entry_points(group='demo.plugins')):\n"
    "    found = point.load()\n"
    "    print(point.name, found() if callable(found) else found)\n"
)
"""Loads plugins as a host does."""


class Site:
    """A folder of installed distributions, and the application that loads them."""

    def __init__(self, tmp_path: Path) -> None:
        self.application = Application(tmp_path)
        self.root = tmp_path / "site-packages"
        self.lock = tmp_path / "dists.lock"
        self.write(FILES | OTHER | {"../bin/demo": "a script"})
        self.record([*FILES, "", "__pycache__/demo_single.cpython-313.pyc", "../bin/demo"])

    def write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            target = self.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def record(self, paths: list[str]) -> None:
        lines = "".join(f"{path},sha256=not-looked-at,1\n" for path in paths)
        self.write({f"{DIST_INFO}/RECORD": f"{lines}{DIST_INFO}/RECORD,,\n"})

    def command(self, name: str, *words: str) -> object:
        arguments = ("plugins", name, str(self.root), "--lock", str(self.lock), *words)
        return in_process(self.application.folder, *arguments)

    def run(self, script: str, *, guarded: bool = True) -> Outcome:
        first = f"import sys; sys.path.insert(0, {str(self.root)!r})\n"
        if guarded:
            first += (
                "import codegenie.plugins.guard as g\n"
                f"g.install(root={str(self.root)!r}, lock={str(self.lock)!r}, package='',"
                " others='leave')\n"
            )
        return self.application.run(first + script, guarded=False)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    result = made.command("lock", "--dist", "demo-plugin")
    assert result.status == 0, result.stderr  # type: ignore[attr-defined]
    return made


def test_the_lock_names_the_entries_of_the_distribution_and_nothing_else(site: Site) -> None:
    assert list(json.loads(site.lock.read_bytes())) == ["demo", DIST_INFO, "demo_single.py"]
    assert not (site.root / "PLUGINS.sha256").exists()
    for command in ("verify", "diff", "lock"):
        assert site.command(command).status == 0  # type: ignore[attr-defined]
    listed = site.command("list", "--json").document["plugins"]  # type: ignore[attr-defined]
    assert [row["plugin"] for row in listed] == ["demo", DIST_INFO, "demo_single.py"]
    check = site.command("lock", "--check", "--dist", "Demo.Plugin")
    assert check.status == 0  # type: ignore[attr-defined]
    assert "../bin/demo" in check.stderr  # type: ignore[attr-defined]


def test_an_intact_distribution_loads_as_without_the_guard(site: Site) -> None:
    script = LOAD + "import demo_single, other; print(demo_single.VALUE, other.VALUE)\n"
    plain = site.run(script, guarded=False)
    assert plain.status == 0, plain
    assert site.run(script).stdout == plain.stdout


CHANGES = {
    "package": ({"demo/__init__.py": WITNESS + "greet = print\n"}, "demo"),
    "module": ({"demo_single.py": WITNESS}, "demo_single.py"),
    "added": ({"demo/extra.py": WITNESS}, "demo"),
    "entry-points": (
        {"evil.py": WITNESS, f"{DIST_INFO}/entry_points.txt": "[demo.plugins]\ndemo = evil:os\n"},
        DIST_INFO,
    ),
}


@pytest.mark.parametrize(("files", "unit"), CHANGES.values(), ids=CHANGES)
def test_a_changed_distribution_is_refused(site: Site, files: dict[str, str], unit: str) -> None:
    site.write(files)
    outcome = site.run(LOAD)
    assert "PluginImportRefused" in outcome.stderr, outcome
    assert f"'{unit}'" in outcome.stderr
    assert outcome.executed == ()
    found = site.command("verify", "--json")
    rejections = found.document["rejections"]  # type: ignore[attr-defined]
    assert [rejection["plugin"] for rejection in rejections] == [unit]


def test_entry_points_that_change_in_between_are_refused(site: Site) -> None:
    changed = {f"{DIST_INFO}/entry_points.txt": "[demo.plugins]\ndemo = evil:os\n"}
    outcome = site.run(f"{LOAD}import pathlib\nfor path, text in {changed!r}.items():\n"
        f"    pathlib.Path({str(site.root)!r}, path).write_text(text)\n{LOAD}")  # fmt: skip
    assert outcome.stdout == "demo hello\nother left alone\n", outcome
    assert f"plugin '{DIST_INFO}' changed after this process had verified it" in outcome.stderr


def test_a_new_version_is_locked_by_the_command_of_the_refusal(site: Site) -> None:
    new = "demo_plugin-2.0.dist-info"
    (site.root / DIST_INFO).rename(site.root / new)
    (site.root / "demo_single.py").unlink()
    (site.root / "demo_more.py").write_text("VALUE = 2\n")
    text = (site.root / new / "RECORD").read_text().replace(DIST_INFO, new)
    (site.root / new / "RECORD").write_text(text.replace("demo_single.py", "demo_more.py"))
    assert site.command("lock", "--check").status == 4  # type: ignore[attr-defined]
    assert site.command("lock").status == 0  # type: ignore[attr-defined]
    assert list(json.loads(site.lock.read_bytes())) == ["demo", "demo_more.py", new]
    script = LOAD + "import demo_more; print(demo_more.VALUE)\n"
    assert site.run(script).stdout == "demo hello\nother left alone\n2\n"


def test_a_distribution_that_was_uninstalled_leaves_the_lock(site: Site) -> None:
    assert site.command("lock", "--dist", "demo-plugin", "--dist", "other").status == 0  # type: ignore[attr-defined]
    for path in (site.root / DIST_INFO).iterdir():
        path.unlink()
    (site.root / DIST_INFO).rmdir()
    assert site.command("lock").status == 0  # type: ignore[attr-defined]
    assert list(json.loads(site.lock.read_bytes())) == ["other", "other-2.dist-info"]


def test_the_commands_work_where_a_distribution_has_changed(site: Site, tmp_path: Path) -> None:
    """Run a command, which loads libraries that read the entry points of all distributions."""
    environment = Environment(tmp_path / "env")
    tools = sysconfig.get_path("purelib")
    (environment.site / "tools.pth").write_text(f"{tools}\n{site.root}\n")
    folder = {"root": str(site.root), "lock": str(site.lock), "package": "", "others": "leave"}
    names = ["demo", "demo_plugin-1", "demo_single"]
    environment.activate(site.root, folders=[{**folder, "names": names}])
    site.write({"demo/__init__.py": WITNESS})
    command = ("-m", "codegenie", "plugins", "diff", str(site.root), "--lock", str(site.lock))
    outcome = site.application.start([environment.python, *command])
    assert outcome.status == 4, outcome
    assert "Traceback" not in outcome.stderr
    assert outcome.stdout == "? demo\n"


def test_what_is_beside_a_distribution_is_left_alone(site: Site) -> None:
    site.write({"other/__init__.py": "VALUE = 'changed'\n", "new.py": "VALUE = 'new'\n"})
    outcome = site.run("import demo, other, new; print(other.VALUE, new.VALUE)")
    assert (outcome.status, outcome.stdout) == (0, "changed new\n"), outcome
    assert site.command("verify").status == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("files", "recorded", "says"),
    [
        (
            {
                f"{DIST_INFO}/direct_url.json": '{"url": "file:///src", "dir_info": {"editable": true}}'
            },
            [],
            "is an editable install, whose code is in file:///src",
        ),
        ({"demo.pth": "import demo\n"}, ["demo.pth"], "run at every start before the guard"),
        ({"demo_plugin-2.0.dist-info/METADATA": "Name: demo-plugin\n"}, [], "installed twice"),
        ({}, ["demo.py,of,four,columns"], "has metadata that cannot be read"),
    ],
    ids=["editable", "pth", "twice", "bad record"],
)
def test_what_cannot_be_held_to_a_lock_is_refused(
    tmp_path: Path, files: dict[str, str], recorded: list[str], says: str
) -> None:
    site = Site(tmp_path)
    site.write(files)
    site.record([*FILES, *recorded])
    result = site.command("lock", "--dist", "demo-plugin")
    assert result.status == 2  # type: ignore[attr-defined]
    assert says in " ".join(result.stderr.split())  # type: ignore[attr-defined]
    assert not site.lock.exists()


def test_a_distribution_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for words in (("--dist", "nowhere"), ("--dist", "demo-plugin", "demo")):
        assert site.command("lock", *words).status == 2  # type: ignore[attr-defined]


def test_a_namespace_of_several_distributions_is_pinned_as_a_whole(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write({"space/part.py": "", "space/of_another.py": ""})
    site.record([*FILES, "space/part.py"])
    result = site.command("lock", "--dist", "demo-plugin")
    assert result.status == 0  # type: ignore[attr-defined]
    assert "space has no __init__.py, so all of it is pinned" in result.stderr  # type: ignore[attr-defined]


def test_a_distribution_in_a_plugin_folder_leaves_nothing_else(application: Application) -> None:
    """Lock what ``pip install --target plugins`` makes: the folder is not shared with others."""
    application.add_plugin(DIST_INFO, {"METADATA": "Name: demo-plugin\n"})
    application.lock()
    application.add_plugin("added")
    for name in ("verify", "diff"):
        result = in_process(application.folder, "plugins", name, str(application.root))
        assert (result.status, "added" in result.stderr) == (4, True)
