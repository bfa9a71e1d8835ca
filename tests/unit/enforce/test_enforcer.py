"""The enforcer's state: replaced as a whole, and never mixed from two roots."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from codegenie._enforce.enforcer import Enforcer
from codegenie._enforce.folder_state import COMPLETE, FolderState
from codegenie._enforce.settings import Settings
from codegenie._start.finder import GuardFinder
from codegenie.guarded_folder import GuardedFolder
from codegenie.integrity import verification
from codegenie.refusals.exceptions import PluginImportRefused
from tests.fixtures.trees import PLUGIN, Application


def folder(application: Path) -> str:
    """Make a valid guarded folder and return its path."""
    application.mkdir()
    return str(Application(application).root)


@pytest.fixture(name="enforcer")
def an_enforcer(tmp_path: Path) -> Enforcer:
    """Return the enforcer of a valid folder, whose guard is not installed."""
    root = folder(tmp_path / "first")
    (claim,) = GuardFinder().claims
    claim.update({"root": root, "lock": f"{root}/PLUGINS.lock"})
    claim.finder.refresh()
    return Enforcer(claim)


@contextmanager
def at_first_record(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` once, when the guard reports its next decision."""

    class Once(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.removeHandler(self)
            act()

    logger, handler = logging.getLogger("codegenie.plugins"), Once()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_trees_of_an_earlier_root_are_not_kept(enforcer: Enforcer, tmp_path: Path) -> None:
    other = folder(tmp_path / "second")
    there = Settings(GuardedFolder(other, f"{other}/PLUGINS.lock"), "all", "enforce", "raise")

    with at_first_record(lambda: enforcer.adopt(there, {}, verification.compare_with_lock)):
        enforcer.decide("plugins")

    assert enforcer.settings is there
    assert enforcer.verified == {}


def test_restored_state_is_the_earlier_value(enforcer: Enforcer, tmp_path: Path) -> None:
    enforcer.decide("plugins")
    before = enforcer.state
    other = str(tmp_path / "second")
    there = Settings(GuardedFolder(other, f"{other}/PLUGINS.lock"), "all", "enforce", "raise")

    enforcer.adopt(there, {}, verification.compare_with_lock)
    assert enforcer.state is not before
    assert enforcer.package_executed

    enforcer.restore(before)
    assert enforcer.state is before
    assert set(before.verified) == {PLUGIN}


def test_refused_folder_leaves_nothing_verified(enforcer: Enforcer) -> None:
    root = Path(str(enforcer.claim.root()))
    (root / PLUGIN / "helper.py").write_text("changed")

    with pytest.raises(PluginImportRefused):
        enforcer.decide("plugins")

    assert enforcer.verified == {}
    assert not enforcer.is_complete


def test_unaudited_state_keeps_its_verified_trees() -> None:
    verified = {"x": object()}
    state = FolderState(check_tree=verification.compare_with_lock, verified=verified)  # type: ignore[arg-type]
    state.audited.add("y")
    state.marks.add(COMPLETE)

    later = state.unaudited()

    assert later.verified is verified
    assert (later.audited, later.marks) == (set(), set())
    assert state.audited == {"y"}


def test_code_that_the_guard_made_is_known_by_its_object(enforcer: Enforcer) -> None:
    verified, equal, unverified = (compile("x = 1", "api.py", "exec") for _ in range(3))
    enforcer.note_code(verified, "api.py", is_verified=True)
    enforcer.note_code(unverified, "api.py", is_verified=False)
    assert enforcer.file_of_code(verified) == "api.py"
    assert enforcer.file_of_code(equal) is None
    assert enforcer.file_of_code(unverified) is None


def test_unverified_code_counts_while_audit_mode_lasts(enforcer: Enforcer) -> None:
    code = compile("x = 1", "api.py", "exec")
    enforcer.restore(FolderState(check_tree=verification.compare_with_lock, mode="audit"))
    enforcer.note_code(code, "api.py", is_verified=False)
    assert enforcer.file_of_code(code) == "api.py"
    enforcer.restore(FolderState(check_tree=verification.compare_with_lock))
    assert enforcer.file_of_code(code) is None


def test_code_of_another_folder_is_not_known(enforcer: Enforcer) -> None:
    code = compile("x = 1", "api.py", "exec")
    enforcer.note_code(code, "api.py", is_verified=True)
    enforcer.claim = GuardFinder().claims[0]
    assert enforcer.file_of_code(code) is None


@pytest.mark.parametrize("name", ["plugins.tool", "plugins.alpha", "plugins.alpha.api"])
def test_unit_is_verified_once_whatever_its_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    application = Application(tmp_path)
    application.write("tool.py", "VALUE = 1\n")
    application.lock_units()
    (claim,) = GuardFinder({"scope": "plugin"}).claims
    claim.update({"root": str(application.root), "lock": str(application.lock_path)})
    claim.finder.refresh()
    enforcer = Enforcer(claim)
    enforcer.decide("plugins")
    first = enforcer.find_spec(name)
    assert first is not None

    def walked(*_: object) -> None:
        raise AssertionError("the unit was verified again")

    monkeypatch.setattr(verification, "verify_named", walked)
    second = enforcer.find_spec(name)
    assert second is not None
    assert second.origin == first.origin
