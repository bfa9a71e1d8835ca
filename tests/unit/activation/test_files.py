"""Which files make an environment guarded, whose they are, and that undoing leaves nothing."""

from __future__ import annotations

import ast
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from codegenie.activation import files
from codegenie.activation.files import MODULE, PTH, SITECUSTOMIZE, START

SETTINGS = {"root": "/srv/plugins", "lock": "/srv/plugins/PLUGINS.lock", "mode": "enforce"}
ODD = "/s p/'q'\"d\"/\u00e9\u4e2d\U0001f40d/\udcff/new\nline\\"


def plan(folder: Path, *, sitecustomize: bool = True, **settings: str) -> files.Plan:
    return files.plan(
        folder, "/opt/lib", "1.2.3", {**SETTINGS, **settings}, sitecustomize=sitecustomize
    )


def write_as_earlier_versions(folder: Path) -> None:
    """Write what earlier versions wrote for Python 3.15: a ``.start`` file beside the others."""
    planned = plan(folder, sitecustomize=False)
    start = files._sealed("codegenie_activation:activate\n")
    files.write_plan(files.Plan(folder, {**planned.contents, START: start}))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.mark.parametrize(
    ("sitecustomize", "names"), [(True, [SITECUSTOMIZE]), (False, [MODULE, PTH])]
)
def test_each_way_in_writes_its_files(
    tmp_path: Path, sitecustomize: bool, names: list[str]
) -> None:
    planned = plan(tmp_path, sitecustomize=sitecustomize)
    assert list(planned.contents) == names  # in this order: a module before what imports it


def test_a_pth_file_holds_one_line_that_site_executes(tmp_path: Path) -> None:
    folder = tmp_path / "\u00e9 'q'"
    folder.mkdir()
    text = plan(folder, sitecustomize=False).contents[PTH].decode("ascii")
    (line,) = [line for line in text.splitlines() if not line.startswith("#")]
    assert line.startswith("import ")
    values = [n.value for n in ast.walk(ast.parse(line)) if isinstance(n, ast.Constant)]
    assert os.fsencode(folder) in values


@pytest.mark.parametrize("sitecustomize", [True, False])
def test_installing_replaces_the_start_file_of_an_earlier_version(
    tmp_path: Path, sitecustomize: bool
) -> None:
    write_as_earlier_versions(tmp_path)
    planned = plan(tmp_path, sitecustomize=sitecustomize)
    changes = files.write_plan(planned)
    assert START in {path.name for path in changes.removed}
    assert contents(tmp_path) == planned.contents


def test_uninstalling_removes_the_start_file_of_an_earlier_version(tmp_path: Path) -> None:
    write_as_earlier_versions(tmp_path)
    removed = [path.name for path in files.remove(tmp_path).removed]
    assert removed == [START, PTH, MODULE]  # a module after what imports it
    assert contents(tmp_path) == {}


def test_a_pth_file_is_run_before_those_of_others() -> None:
    others = ["0.pth", "__editable__.x.pth", "_virtualenv.pth", "a1_coverage.pth", "Zope.pth"]
    assert sorted([*others, PTH])[1] == PTH  # no tool names a file "0.pth"


def constants(data: bytes) -> dict[str, object]:
    """Evaluate the module-level assignments of an activation file, and nothing else."""
    namespace: dict[str, object] = {"os": os}
    assignments = [n for n in ast.parse(data).body if isinstance(n, ast.Assign | ast.AnnAssign)]
    exec(compile(ast.Module([*assignments], []), "x", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("root", [ODD, "/srv/it's", '\nVERSION = ""\n', "\\", "fd:3"])
def test_settings_survive_whatever_characters_they_hold(tmp_path: Path, root: str) -> None:
    data = plan(tmp_path, root=root).contents[SITECUSTOMIZE]
    data.decode("ascii")
    found = constants(data)
    assert (found["HOME"], found["VERSION"]) == ("/opt/lib", "1.2.3")
    assert found["SETTINGS"] == {**SETTINGS, "root": root}


def test_the_first_lines_say_whose_it_is_and_how_to_undo_it(tmp_path: Path) -> None:
    for data in plan(tmp_path, sitecustomize=False).contents.values():
        first, second, *_ = data.decode("ascii").splitlines()
        assert first.startswith("# codegenie activation file, format 1, ")
        assert "codegenie guard uninstall" in second


@pytest.mark.parametrize("sitecustomize", [True, False])
def test_what_is_written_is_recognised_and_undone(tmp_path: Path, sitecustomize: bool) -> None:
    (tmp_path / "other.py").write_text("x = 1\n")
    before = contents(tmp_path)
    planned = plan(tmp_path, sitecustomize=sitecustomize)
    changes = files.write_plan(planned)
    assert [path.name for path in changes.added] == list(planned.contents)
    assert files.present(tmp_path) == dict.fromkeys(planned.contents, "ours")
    assert contents(tmp_path) == {**before, **planned.contents}
    removed = files.remove(tmp_path)
    assert {path.name for path in removed.removed} == set(planned.contents)
    assert (contents(tmp_path), removed.kept) == (before, {})


def test_what_imports_the_module_goes_before_it(tmp_path: Path) -> None:
    files.write_plan(plan(tmp_path, sitecustomize=False))
    removed = [path.name for path in files.remove(tmp_path).removed]
    assert removed == [PTH, MODULE]


def test_writing_again_changes_nothing_and_other_settings_replace(tmp_path: Path) -> None:
    files.write_plan(plan(tmp_path))
    again = files.write_plan(plan(tmp_path))
    assert again == files.Changes(unchanged=[tmp_path / SITECUSTOMIZE])
    other = files.write_plan(plan(tmp_path, mode="audit"))
    assert other == files.Changes(replaced=[tmp_path / SITECUSTOMIZE])
    assert b"'mode': 'audit'" in (tmp_path / SITECUSTOMIZE).read_bytes()


@pytest.mark.parametrize("first", [True, False])
def test_the_other_way_in_takes_the_place_of_the_first(tmp_path: Path, first: bool) -> None:
    files.write_plan(plan(tmp_path, sitecustomize=first))
    changes = files.write_plan(plan(tmp_path, sitecustomize=not first))
    assert files.present(tmp_path).keys() == ({MODULE, PTH} if first else {SITECUSTOMIZE})
    assert {p.name for p in changes.removed} == ({SITECUSTOMIZE} if first else {MODULE, PTH})


@pytest.mark.parametrize("name", [MODULE, PTH, START])
@pytest.mark.parametrize("sitecustomize", [True, False])
def test_a_file_of_another_tool_is_never_touched(
    tmp_path: Path, name: str, sitecustomize: bool
) -> None:
    (tmp_path / name).write_text("# theirs\n")
    with pytest.raises(files.Occupied) as caught:
        files.write_plan(plan(tmp_path, sitecustomize=sitecustomize))
    assert (caught.value.path, caught.value.owner) == (tmp_path / name, "foreign")
    assert contents(tmp_path) == {name: b"# theirs\n"}
    assert files.remove(tmp_path).kept == {tmp_path / name: "foreign"}
    assert contents(tmp_path) == {name: b"# theirs\n"}


def test_another_sitecustomize_is_no_obstacle_and_not_reported(tmp_path: Path) -> None:
    (tmp_path / SITECUSTOMIZE).write_text("# theirs\n")
    files.write_plan(plan(tmp_path, sitecustomize=False))
    changes = files.remove(tmp_path)
    assert changes.kept == {}
    assert contents(tmp_path) == {SITECUSTOMIZE: b"# theirs\n"}


@pytest.mark.parametrize("sitecustomize", [True, False])
def test_an_edited_file_is_neither_replaced_nor_removed(
    tmp_path: Path, sitecustomize: bool
) -> None:
    files.write_plan(plan(tmp_path, sitecustomize=sitecustomize))
    path = tmp_path / (SITECUSTOMIZE if sitecustomize else PTH)
    edited = path.read_bytes() + b"# a note\n"
    path.write_bytes(edited)
    for way in (True, False):
        with pytest.raises(files.Occupied) as caught:
            files.write_plan(plan(tmp_path, sitecustomize=way))
        assert caught.value.owner == "edited"
    assert files.remove(tmp_path).kept == {path: "edited"}
    assert contents(tmp_path) == {path.name: edited}


@pytest.mark.parametrize("what", ["link", "dangling", "folder", "fifo", "huge"])
def test_anything_but_a_small_file_is_of_another_tool(tmp_path: Path, what: str) -> None:
    path = tmp_path / MODULE
    if what == "link":
        files.write_plan(plan(tmp_path))
        path.symlink_to(tmp_path / SITECUSTOMIZE)  # to a file of ours, even
    elif what == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(b"#" * (files.MAX_FILE_BYTES + 1))
    assert files.present(tmp_path)[MODULE] == "foreign"
    with pytest.raises(files.Occupied):
        files.write_plan(plan(tmp_path, sitecustomize=False))


# --- whether sitecustomize.py would be the only one ---------------------------------------------


def test_sitecustomize_is_free_where_there_is_none_or_ours(tmp_path: Path) -> None:
    path = tmp_path / SITECUSTOMIZE
    assert files.may_be_sitecustomize(tmp_path, None)
    assert not files.may_be_sitecustomize(tmp_path, "/usr/lib/sitecustomize.py")
    files.write_plan(plan(tmp_path))
    assert files.may_be_sitecustomize(tmp_path, str(path))
    assert not files.may_be_sitecustomize(tmp_path, "/usr/lib/sitecustomize.py")
    path.write_text("# theirs")
    assert not files.may_be_sitecustomize(tmp_path, str(path))


def test_bytecode_of_a_sitecustomize_that_is_gone_is_not_overwritten(tmp_path: Path) -> None:
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    (cache / "sitecustomizer.cpython-311.pyc").write_bytes(b"")
    assert files.may_be_sitecustomize(tmp_path, None)
    (cache / "sitecustomize.cpython-311.pyc").write_bytes(b"")
    assert not files.may_be_sitecustomize(tmp_path, None)


# --- bytecode, modes, failures -------------------------------------------------------------------


def compile_all(folder: Path) -> None:
    for flags in ([], ["-O"], ["-OO"]):
        command = [sys.executable, *flags, "-m", "compileall", "-q", str(folder)]
        subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize("sitecustomize", [True, False])
def test_bytecode_goes_with_the_file_and_the_cache_with_the_bytecode(
    tmp_path: Path, sitecustomize: bool
) -> None:
    files.write_plan(plan(tmp_path, sitecustomize=sitecustomize))
    compile_all(tmp_path)
    assert len(list((tmp_path / "__pycache__").iterdir())) == 3
    files.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_was_there_stays_even_if_it_is_empty(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    files.write_plan(plan(tmp_path))
    compile_all(tmp_path)
    files.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["__pycache__"]


def test_the_maker_of_the_cache_survives_changed_settings(tmp_path: Path) -> None:
    files.write_plan(plan(tmp_path))
    compile_all(tmp_path)
    files.write_plan(plan(tmp_path, mode="audit"))
    compile_all(tmp_path)
    files.write_plan(plan(tmp_path, mode="audit", sitecustomize=False))
    compile_all(tmp_path)
    files.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bytecode_of_others_stays(tmp_path: Path) -> None:
    files.write_plan(plan(tmp_path))
    (tmp_path / "other.py").write_text("")
    compile_all(tmp_path)
    files.remove(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"other.py", "__pycache__"}
    assert len(list((tmp_path / "__pycache__").iterdir())) == 3


def test_a_replaced_file_leaves_no_bytecode_of_the_old_one(tmp_path: Path) -> None:
    """Of the same size within the same second, it would pass for the new one's."""
    files.write_plan(plan(tmp_path, root="/srv/a"))
    compile_all(tmp_path)
    files.write_plan(plan(tmp_path, root="/srv/b"))
    assert list((tmp_path / "__pycache__").iterdir()) == []


@pytest.mark.parametrize(
    ("folder", "expected"), [(0o755, 0o644), (0o777, 0o644), (0o750, 0o640), (0o700, 0o600)]
)
def test_readers_of_the_folder_can_read_the_file(
    tmp_path: Path, folder: int, expected: int
) -> None:
    code = (
        "import os, sys; os.umask(0o077)\nfrom pathlib import Path\n"
        "from codegenie.activation import files\n"
        "files.write_plan(files.Plan(Path(sys.argv[1]), {files.PTH: b'#'}))"
    )
    tmp_path.chmod(folder)
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert stat.S_IMODE((tmp_path / PTH).stat().st_mode) == expected


def test_a_failure_half_way_leaves_everything_as_it_was(tmp_path: Path) -> None:
    files.write_plan(plan(tmp_path))
    before = contents(tmp_path)
    planned = plan(tmp_path, sitecustomize=False)
    # A name that no file system takes: the last of the files fails.
    broken = files.Plan(tmp_path, {**planned.contents, "x" * 300: b""})
    with pytest.raises(OSError, match="File name too long"):
        files.write_plan(broken)
    assert contents(tmp_path) == before
