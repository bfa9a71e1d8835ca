"""Recognize what is unrelated to a guarded folder, without the late modules of the start."""

from __future__ import annotations

import builtins
import dis
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegenie import _start
from codegenie._start import audit_hook, checks, finder
from codegenie._start.finder import GuardFinder

LIBRARY = os.path.dirname(os.__file__)
SHUTDOWN = Path(finder.__file__).with_name("shutdown.py")


def guard_of(root: Path | str, **folder: object) -> GuardFinder:
    folder = {"root": str(root), "package": "plugins", "others": "refuse", **folder}
    return GuardFinder({"folders": [folder]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "plugins" / "alpha").mkdir(parents=True)
    (tmp_path / "plugins" / "PLUGINS.lock").write_text("{}")
    return tmp_path / "plugins"


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no late module be loaded, as in half an installation."""

    def load(name: str) -> object:
        raise ImportError(f"{name} is damaged")

    monkeypatch.setattr(finder, "late_module", load)
    monkeypatch.setattr(audit_hook, "late_module", load)


@pytest.mark.parametrize("path", [f"{LIBRARY}/json/decoder.py", f"{LIBRARY}/__pycache__/os.pyc"])
def test_the_standard_library_is_recognized_by_its_path(
    root: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_of(root)
    assert guard.claim_at(path) is None

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the disk was read")

    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, asked)
    assert guard.claim_at(path) is None


def test_a_root_inside_the_standard_library_is_held(tmp_path: Path) -> None:
    for inside in (f"{LIBRARY}/made-up/plugins", f"{LIBRARY}/site-packages/plugins"):
        assert guard_of(inside).claim_at(f"{inside}/alpha/api.py")
    assert guard_of(LIBRARY).claim_at(f"{LIBRARY}/json/decoder.py")
    (tmp_path / "link").symlink_to(f"{LIBRARY}/json")
    assert guard_of(tmp_path / "link").claim_at(f"{LIBRARY}/json/decoder.py")


def test_while_no_root_is_known_it_may_be_inside_the_standard_library(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finder, "STANDARD_LIBRARY", f"{root.parent}/")
    monkeypatch.delenv(_start.ROOT_VARIABLE, raising=False)
    assert GuardFinder().claim_at(f"{root}/alpha/api.py")
    assert GuardFinder().claim_at(f"{root.parent}/alpha/api.py") is None
    assert guard_of(root.parent / "other").claim_at(f"{root}/alpha/api.py") is None


def test_the_modules_of_the_start_are_never_below_a_root() -> None:
    # The look-up may load one of them, so looking them up would never end.
    guard = guard_of(finder.HOME.rstrip("/"))
    assert guard.claim_at(str(SHUTDOWN)) is None
    assert guard.claim_at(f"{finder.HOME}text.py") is not None
    assert guard.claim_at(f"{finder.HOME}_start/../text.py") is not None


@pytest.mark.usefixtures("damaged")
def test_half_an_installation_stops_only_what_is_guarded(root: Path, tmp_path: Path) -> None:
    guard = guard_of(root)
    (tmp_path / "link").symlink_to(root)
    assert guard.claim_at(f"{tmp_path}/other.py") is None
    for path in (f"{root}/alpha/api.py", f"{tmp_path}/link/alpha/api.py"):
        with pytest.raises(ImportError, match="is damaged"):
            guard.claim_at(path)
    unrelated, guarded = (compile("", f"{tmp_path}/{name}", "exec") for name in ("x", "link/x"))
    audit_hook.on_exec(guard, unrelated, sys._getframe())
    with pytest.raises(ImportError, match="is damaged"):
        audit_hook.on_exec(guard, guarded, sys._getframe())


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("path", ["{root}/../plugins", "{root}/./alpha", "relative", "{root}"])
def test_a_search_path_is_resolved_only_if_it_may_lead_into_a_root(root: Path, path: str) -> None:
    guard = guard_of(root)
    assert guard.folder_at(str(root.parent / "elsewhere")) is None
    assert guard.folder_at(f"{root}_old") is None
    assert guard.folder_at("/") is None  # a daemon's working directory
    with pytest.raises(ImportError, match="is damaged"):
        guard.folder_at(path.format(root=root))


@pytest.mark.usefixtures("damaged")
def test_while_no_root_is_known_its_name_makes_a_search_path_related(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(_start.ROOT_VARIABLE, raising=False)
    guard = GuardFinder()
    for unrelated in (f"{root}_old", str(root.parent), f"{finder.HOME}plugins", "/"):
        assert guard.folder_at(unrelated) is None
    for path in (str(root), f"{root}/alpha", f"{root.parent}/./x", "relative"):
        with pytest.raises(ImportError, match="is damaged"):
            guard.folder_at(path)


def test_usual_code_outside_is_recognized_without_the_checks(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(name: str) -> object:
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(audit_hook, "late_module", load)
    for claimed in "<string>", f"{tmp_path}/other.py", f"{LIBRARY}/json/decoder.py":
        audit_hook.on_exec(guard_of(root), compile("", claimed, "exec"), None)


def test_nothing_is_surely_elsewhere_while_os_is_loaded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = guard_of(root)
    assert guard.is_surely_elsewhere(__file__)
    monkeypatch.setattr(finder, "loaded_os", lambda: None)
    assert not guard.is_surely_elsewhere(__file__)


@pytest.mark.usefixtures("damaged")
def test_the_root_folder_may_be_guarded_itself() -> None:
    with pytest.raises(ImportError, match="is damaged"):
        guard_of("/").folder_at("/")


def test_frames_are_not_read_while_no_guarded_import_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the frames were read")

    monkeypatch.setattr(checks, "load_frame", asked)
    unrelated = compile("", f"{tmp_path}/other.py", "exec")
    checks.check_code(guard_of(root), unrelated, sys._getframe())


def names_in(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)


def test_the_shutdown_has_every_name_that_it_uses() -> None:
    code = compile(SHUTDOWN.read_text(), str(SHUTDOWN), "exec")
    used = set(names_in(code))
    given = {kind.__name__ for kind in audit_hook._BUILT_IN}
    assert used & vars(builtins).keys() <= given
    bound = used & vars(_start).keys() - {"TYPE_CHECKING"}
    assert bound == audit_hook._NAMES.keys()


EVENTS = """
import sys
sys.path.insert(0, "folder")
import codegenie.plugins.guard as guard
guard.install(root="plugins")
import first_module
events = []
sys.addaudithook(lambda event, _: events.append(event))
import second_module
own = [event for event in events if event in OWN]
assert "exec" in events
print(*own)
"""


def test_an_unrelated_import_raises_one_event_of_the_guards_own(tmp_path: Path) -> None:
    # Each event calls the hook of the guard again, and all other hooks.
    for place in "folder", "plugins":
        (tmp_path / place).mkdir()
    (tmp_path / "plugins" / "PLUGINS.lock").write_text("{}")
    for name in "first_module", "second_module":
        (tmp_path / "folder" / f"{name}.py").write_text("")
    own = "OWN = 'builtins.id', 'object.__getattr__', 'sys._getframe'"
    command = [sys.executable, "-c", own + EVENTS]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["sys._getframe"]
