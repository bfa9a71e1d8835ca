"""Recognize the files in the plugin folder, by whatever path they are named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import codegenie
from codegenie._start import ROOT_VARIABLE
from codegenie._start import folder_paths as folder_paths_module
from codegenie._start.finder import expected_root, is_there
from codegenie._start.folder_paths import FolderPaths


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins" / "alpha"
    folder.mkdir(parents=True)
    (folder / "api.py").touch()
    (tmp_path / "plugins" / "PLUGINS.lock").write_text("{}")
    return tmp_path / "plugins"


def holds(path: Path | str, root: Path | None) -> bool:
    return contains(FolderPaths(), str(path), str(root) if root else None)


def contains(folder_paths: FolderPaths, path: str, root: str | None) -> bool:
    """Return what ``find`` says. ``is_outside``, which comes before, must not dismiss the path."""
    roots, known = (root,), folder_paths._roots[0]
    dismissed = known == roots and folder_paths.is_outside(path, known)
    found = folder_paths.find(path, roots) is not None
    assert not (dismissed and found)
    return found


@pytest.mark.parametrize(
    "path",
    ["alpha/api.py", "api.py", "alpha/made/up.py", "alpha/bundle.zip/module.py", "../plugins/a.py"],
)
def test_what_lies_below_the_root_is_held(root: Path, path: str) -> None:
    assert holds(root / path, root)


@pytest.mark.parametrize("path", ["../api.py", "../plugins_old/a.py", "../pluginsx/a.py", "/a.py"])
def test_what_lies_beside_it_is_not(root: Path, path: str) -> None:
    assert not holds(f"{root}/{path}" if path[0] == "." else path, root)


def test_a_relative_path_counts_from_the_working_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_paths = FolderPaths()
    monkeypatch.chdir(root)
    assert contains(folder_paths, "alpha/api.py", str(root))
    assert contains(folder_paths, "api.py", str(root))
    monkeypatch.chdir(root.parent)
    assert contains(folder_paths, "plugins/alpha/api.py", str(root))
    # The same spelling means another file now.
    assert not contains(folder_paths, "alpha/api.py", str(root))


def test_links_to_the_folder_lead_into_it(root: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").symlink_to(root)
    (tmp_path / "part").symlink_to(root / "alpha")
    (tmp_path / "file.py").symlink_to(root / "alpha" / "api.py")
    for alias in ("whole/alpha/api.py", "part/api.py", "part/new.py", "file.py"):
        assert holds(tmp_path / alias, root)


def test_a_root_that_is_a_link_holds_what_it_leads_to(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(root)
    assert holds(root / "alpha" / "api.py", tmp_path / "current")
    assert holds(tmp_path / "current" / "alpha" / "api.py", tmp_path / "current")


def test_while_no_root_is_known_any_plugins_with_a_lock_may_be_it(
    root: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "plugins"
    other.mkdir(parents=True)
    assert holds(root / "alpha" / "api.py", None)
    assert not holds(other / "alpha" / "api.py", None)
    (other / "PLUGINS.lock").symlink_to("nowhere")
    assert holds(other / "alpha" / "api.py", None)
    assert holds(other / "deep" / "plugins" / "api.py", None)


def test_another_root_is_resolved_again(root: Path, tmp_path: Path) -> None:
    folder_paths = FolderPaths()
    path = str(root / "alpha" / "api.py")
    assert contains(folder_paths, path, str(root))
    assert not contains(folder_paths, path, str(tmp_path / "elsewhere"))
    assert contains(folder_paths, path, str(root))


def test_the_answers_that_are_kept_are_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_paths_module, "MAX_FOLDERS", 10)
    folder_paths = FolderPaths()
    for number in range(100):
        (root.parent / str(number)).mkdir()
        assert not contains(folder_paths, f"{root.parent}/{number}/a.py", str(root))
        assert len(folder_paths._roots[-1]) <= 10
    assert contains(folder_paths, str(root / "alpha" / "api.py"), str(root))


def test_a_folder_that_becomes_a_link_is_resolved_again(root: Path, tmp_path: Path) -> None:
    folder_paths = FolderPaths()
    place = tmp_path / "place"
    place.mkdir()
    assert not contains(folder_paths, f"{place}/api.py", str(root))
    place.rmdir()
    place.symlink_to(root / "alpha")
    assert contains(folder_paths, f"{place}/api.py", str(root))


@pytest.mark.parametrize("path", ["/a.py", "/alpha/api.py", "/alpha/../b.py"])
def test_the_root_may_be_the_root_of_the_file_system(path: str) -> None:
    assert contains(FolderPaths(), path, "/")


def test_two_threads_with_two_roots_do_not_mix_their_answers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One looks up another root while the other still looks up the first."""
    folder_paths = FolderPaths()
    path, other = str(root / "alpha" / "api.py"), str(root.parent / "other")
    genuine = os.path.realpath

    def meanwhile(path: str) -> str:
        monkeypatch.setattr(os.path, "realpath", genuine)
        assert contains(folder_paths, str(root / "alpha" / "api.py"), str(root))
        return genuine(path)

    monkeypatch.setattr(os.path, "realpath", meanwhile)
    assert not contains(folder_paths, path, other)
    assert contains(folder_paths, path, str(root))
    assert not contains(folder_paths, path, other)


def test_the_expected_root_is_the_requested_one_then_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert expected_root(None) is None
    monkeypatch.setenv(ROOT_VARIABLE, "relative")
    started_in = os.getcwd()
    monkeypatch.chdir(tmp_path)
    assert expected_root(None) == os.path.join(started_in, "relative")
    assert expected_root("/given") == "/given"


# An interpreter that was started with -S imports os after the guard.
WHILE_OS_IS_LOADED = """
import sys
sys.path.insert(0, {home!r})
from codegenie._start.finder import expected_root

class First:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == 'stat':
            print(expected_root('/given'), expected_root(None))

sys.meta_path.insert(0, First)
import os
"""


def test_the_requested_root_is_expected_while_os_is_loaded() -> None:
    code = WHILE_OS_IS_LOADED.format(home=str(Path(codegenie.__path__[0]).parent))
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("/given None\n", "")


@pytest.mark.parametrize(
    "spelling", ["//{0}", "{1}//plugins/alpha/api.py", "{1}/./plugins/alpha/api.py"]
)
def test_more_slashes_than_it_takes_change_nothing(root: Path, spelling: str) -> None:
    path = spelling.format(str(root / "alpha" / "api.py").lstrip("/"), root.parent)
    assert holds(path, root)
    assert contains(FolderPaths(), str(root / "alpha" / "api.py"), f"/{root}")


def test_above_a_link_is_above_where_it_leads(root: Path, tmp_path: Path) -> None:
    (root / "alpha" / "sub").mkdir()
    (tmp_path / "link").symlink_to(root / "alpha" / "sub")
    assert holds(f"{tmp_path}/link/../api.py", root)


def test_a_link_to_everything_leads_there_too(root: Path, tmp_path: Path) -> None:
    (tmp_path / "everything").symlink_to("/")
    assert holds(f"{tmp_path}/everything{root}/alpha/api.py", root)
    through = f"{tmp_path}/everything{root}"
    assert contains(FolderPaths(), str(root / "alpha" / "api.py"), through)


def test_a_root_whose_link_leads_elsewhere_now(root: Path, tmp_path: Path) -> None:
    """The usual deployment: a link is moved from one release to the next."""
    other = tmp_path / "other" / "plugins"
    (other / "alpha").mkdir(parents=True)
    current = tmp_path / "current"
    current.symlink_to(root.parent)
    folder_paths = FolderPaths()
    assert not contains(folder_paths, f"{other}/alpha/api.py", f"{current}/plugins")
    current.unlink()
    current.symlink_to(other.parent)
    assert contains(folder_paths, f"{other}/alpha/api.py", f"{current}/plugins")


def test_a_root_that_is_named_by_a_link_from_now_on(root: Path, tmp_path: Path) -> None:
    """Follow the link although its target is the folder that was guarded before."""
    other, current = tmp_path / "other", tmp_path / "current"
    other.mkdir()
    current.symlink_to(root)
    folder_paths = FolderPaths()
    assert contains(folder_paths, f"{root}/api.py", str(root))
    for guarded in (root, current):
        assert not contains(folder_paths, f"{other}/api.py", str(guarded))
    current.unlink()
    current.symlink_to(other)
    assert contains(folder_paths, f"{other}/api.py", str(current))


def test_a_root_that_becomes_a_link(root: Path, tmp_path: Path) -> None:
    folder_paths = FolderPaths()
    assert not contains(folder_paths, f"{tmp_path}/api.py", str(root))
    other = tmp_path / "other"
    root.rename(other)
    root.symlink_to(other)
    assert contains(folder_paths, f"{root}/alpha/api.py", str(root))
    assert contains(folder_paths, f"{other}/alpha/api.py", str(root))


def test_a_link_to_a_file_of_a_root_that_has_become_a_link(root: Path, tmp_path: Path) -> None:
    host, other = tmp_path / "host", tmp_path / "other"
    host.mkdir()
    other.mkdir()
    (host / "link.py").symlink_to(other / "api.py")
    folder_paths = FolderPaths()
    for met in (f"{host}/link.py", f"{other}/api.py"):
        assert not contains(folder_paths, met, str(root))
    root.rename(tmp_path / "away")
    root.symlink_to(other)
    assert contains(folder_paths, f"{host}/link.py", str(root))


def test_a_folder_that_was_moved_into_the_root_and_linked(root: Path, tmp_path: Path) -> None:
    folder_paths = FolderPaths()
    place = tmp_path / "place"
    place.mkdir()
    assert not contains(folder_paths, f"{place}/api.py", str(root))
    place.rename(root / "moved")  # the same folder, by its number
    place.symlink_to(root / "moved")
    assert contains(folder_paths, f"{place}/api.py", str(root))


def test_another_name_of_the_root_is_another_root(root: Path, tmp_path: Path) -> None:
    """Find a file by the root's own name where links lead out of the root."""
    (tmp_path / "elsewhere").mkdir()
    (root / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(root.parent)
    folder_paths = FolderPaths()
    for name in (str(root), f"{tmp_path}/link/{root.name}"):
        assert contains(folder_paths, f"{name}/out/api.py", name)


def test_a_link_out_of_the_root_counts_behind_another_name(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (root / "out").symlink_to("../elsewhere")
    (tmp_path / "link").symlink_to(root)
    (tmp_path / "again").symlink_to("link/../link/out/deep")
    folder_paths = FolderPaths()
    for name in ("link/out", "link/out/deep", "again", "link/out/a.zip/inner", "again/../deep"):
        assert folder_paths.find(f"{tmp_path}/{name}/api.py", (str(root),)) == (0, "out"), name
    assert not contains(folder_paths, f"{tmp_path}/elsewhere/deep/api.py", str(root))
    roots = (str(root),)
    linked = FolderPaths().linked_path(f"{tmp_path}/again/api.py", roots, os)
    assert linked == f"{root}/out/deep/api.py"
    assert folder_paths.linked_path(f"{root}/api.py", roots, os) == ""


def test_a_link_beside_a_guarded_entry_leads_to_it(root: Path) -> None:
    """In a shared folder, only some entries are guarded."""
    (root / "alpha").mkdir(exist_ok=True)
    (root / "other").symlink_to("alpha")

    def find(name: str) -> tuple[int, str] | None:
        roots = (str(root),)
        return FolderPaths().find(f"{root}/{name}/api.py", roots, None, lambda _, e: e == "alpha")

    assert find("alpha") == find("other") == (0, "alpha")
    assert find("third") is None


@pytest.mark.parametrize(
    ("package", "folder"),
    [(None, "plugins"), ("plugins", "plugins"), ("custom.components", "custom/components")],
)
def test_a_folder_with_the_name_of_a_package_and_a_lock_may_become_the_root(
    tmp_path: Path, package: str | None, folder: str
) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True)
    inside = f"{place}/alpha"
    assert not folder_paths_module.may_become_the_root(inside, package, os)
    (place / "PLUGINS.lock").touch()
    assert folder_paths_module.may_become_the_root(inside, package, os)
    assert folder_paths_module.may_become_the_root(str(place), package, os)
    assert not folder_paths_module.may_become_the_root(str(tmp_path), package, os)


def test_a_folder_at_the_top_of_the_file_system_may_become_the_root(tmp_path: Path) -> None:
    """Guard ``/plugins``, where a container has its plugins."""
    if "." in str(tmp_path):
        pytest.skip("a dot in a package's name is a slash in the path")
    inside, package = f"{tmp_path}/alpha", ".".join(tmp_path.parts[1:])
    assert not folder_paths_module.may_become_the_root(inside, package, os)
    (tmp_path / "PLUGINS.lock").touch()
    assert folder_paths_module.may_become_the_root(inside, package, os)


def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path) -> None:
    assert is_there(str(tmp_path))
    assert not is_there(f"{tmp_path}/a\0b")
    assert not is_there(f"{tmp_path}/missing")


def test_a_very_deep_folder_is_no_harm(root: Path) -> None:
    assert not holds("/a" * 1500 + "/b.py", root)
    assert not holds("/" * 1500 + "b.py", root)


def test_answer_of_a_thread_that_is_overtaken_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root becomes a link, and another thread notices, while this one looks it up."""
    root, elsewhere, other = (tmp_path / name for name in ("plugins", "elsewhere", "other"))
    for folder in (root, elsewhere, other):
        folder.mkdir()
    folder_paths = FolderPaths()
    look_up = folder_paths_module._both
    noticed: list[bool] = []

    def overtaken(folder: str | None, os: Any) -> tuple[str, ...]:
        found = look_up(folder, os)
        if folder == str(root) and not noticed:
            root.rename(tmp_path / "away")
            root.symlink_to(elsewhere)
            noticed.append(False)
            noticed[0] = contains(folder_paths, f"{elsewhere}/x.py", str(root))
        return found

    monkeypatch.setattr(folder_paths_module, "_both", overtaken)
    contains(folder_paths, f"{other}/y.py", str(root))
    assert noticed == [True]
    assert contains(folder_paths, f"{elsewhere}/x.py", str(root))


def test_link_met_while_root_changes_is_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Give the root, a link, another target. Another thread notices that during a look-up."""
    first, second, elsewhere, host = (tmp_path / name for name in ("a", "b", "elsewhere", "host"))
    for folder in (first, second, elsewhere, host):
        folder.mkdir()
    (second / "out").symlink_to(elsewhere)
    (host / "via").symlink_to(second / "out")
    root = tmp_path / "root"
    root.symlink_to(first)
    folder_paths = FolderPaths()
    look_up = FolderPaths._leads_through
    noticed: list[bool] = []

    def overtaken(self: FolderPaths, link: str, place: str, os: Any) -> str:
        found = look_up(self, link, place, os)
        if link == f"{host}/via" and not noticed:
            root.unlink()
            root.symlink_to(second)
            noticed.append(contains(folder_paths, f"{second}/y.py", str(root)))
        return found

    monkeypatch.setattr(FolderPaths, "_leads_through", overtaken)
    contains(folder_paths, f"{host}/via/x.py", str(root))
    assert noticed == [True]
    assert contains(folder_paths, f"{host}/via/x.py", str(root))


def met(folder_paths: FolderPaths, path: Path, root: Path) -> tuple[str | None, ...]:
    """Look up a file outside of all roots until its folder is known; return the roots."""
    roots: tuple[str | None, ...] = (str(root),)
    for _ in range(2):
        assert folder_paths.find(str(path), roots) is None
    return roots


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "api.py").touch()
    return tmp_path / "beside" / "api.py"


def test_a_file_in_a_known_folder_is_dismissed_at_once(root: Path, beside: Path) -> None:
    folder_paths = FolderPaths()
    assert not folder_paths.is_outside(str(beside), (str(root),))
    roots = met(folder_paths, beside, root)
    assert folder_paths.is_outside(str(beside), roots)
    for path in (
        f"{beside}/../api.py",
        f"{beside.parent}/..",
        "beside/api.py",
        f"{beside}x",
        "<x>",
    ):
        assert not folder_paths.is_outside(path, roots)
    assert not folder_paths.is_outside(str(beside), (str(beside.parent),))
    assert not folder_paths.is_outside(str(beside), None)


def test_a_file_that_becomes_a_link_is_not_dismissed(root: Path, beside: Path) -> None:
    folder_paths = FolderPaths()
    roots = met(folder_paths, beside, root)
    beside.unlink()
    beside.symlink_to(root / "alpha" / "api.py")
    os.utime(beside.parent, ns=(0, 0))
    assert not folder_paths.is_outside(str(beside), roots)
    assert folder_paths.find(str(beside), roots) == (0, "alpha")


def test_a_known_folder_that_becomes_a_link_is_not_dismissed(root: Path, beside: Path) -> None:
    folder_paths = FolderPaths()
    roots = met(folder_paths, beside, root)
    beside.parent.rename(root.parent / "moved")
    beside.parent.symlink_to(root / "alpha")
    assert not folder_paths.is_outside(str(beside), roots)
    assert folder_paths.find(str(beside), roots) == (0, "alpha")


def test_no_folder_is_dismissed_while_the_root_is_unknown(root: Path, beside: Path) -> None:
    folder_paths = FolderPaths()
    roots = (None,)
    for _ in range(2):
        assert folder_paths.find(str(beside), roots) is None
        assert not folder_paths.is_outside(str(beside), roots)


def test_no_folder_is_dismissed_while_a_root_is_a_link(root: Path, beside: Path) -> None:
    (root.parent / "link").symlink_to(root)
    folder_paths = FolderPaths()
    roots = met(folder_paths, beside, root.parent / "link")
    assert not folder_paths.is_outside(str(beside), roots)
    (root.parent / "link").unlink()
    (root.parent / "link").symlink_to(beside.parent)
    assert folder_paths.find(str(beside), roots) is not None


def test_a_folder_of_a_root_is_not_dismissed_for_an_entry_of_others(root: Path) -> None:
    folder_paths = FolderPaths()
    roots = (str(root),)
    (root / "other.py").touch()
    for _ in range(2):
        assert folder_paths.find(f"{root}/other.py", roots, guards=lambda _, entry: False) is None
        assert not folder_paths.is_outside(f"{root}/other.py", roots)


def test_a_folder_that_another_thread_has_met_as_a_link_is_not_dismissed(
    root: Path, beside: Path
) -> None:
    folder_paths = FolderPaths()
    roots = (str(root),)

    class Overtaking(FolderPaths):
        def _find_below(self, *arguments: Any) -> Any:
            found = super()._find_below(*arguments)
            if not beside.parent.is_symlink():  # after the look-up, before its result is noted
                beside.parent.rename(root.parent / "moved")
                beside.parent.symlink_to(root / "alpha")
                assert self.find(str(beside), roots) == (0, "alpha")
            return found

    folder_paths = Overtaking()
    assert folder_paths.find(str(beside), roots) is None
    assert not folder_paths.is_outside(str(beside), roots)
    assert folder_paths.find(str(beside), roots) == (0, "alpha")
