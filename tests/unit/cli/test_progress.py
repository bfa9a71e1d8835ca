"""The bar: drawn while something takes long, and never without a terminal."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator

import pytest
from rich.console import Console

from codegenie.cli import progress

NAMES = ["alpha", "beta", "gamma"]
SECONDS = 60


class Screen(io.StringIO):
    """A terminal that records when it shows something."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition()

    def write(self, text: str) -> int:
        with self.changed:
            self.changed.notify_all()
            return super().write(text)

    def wait_for(self, *parts: str) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: all(part in self.getvalue() for part in parts), timeout=SECONDS
            ), self.getvalue()


def console(screen: Screen, width: int = 80) -> Console:
    return Console(file=screen, force_terminal=True, width=width, color_system=None)


def follow(verdicts: Iterator[int], screen: Screen, names: list[str], width: int = 80) -> list[int]:
    return list(
        progress.follow(
            "verifying",
            names,
            verdicts,
            files=lambda verdict: verdict,
            shown=True,
            console=console(screen, width),
        )
    )


def test_it_shows_what_is_being_done_while_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0)
    screen = Screen()

    def verdicts() -> Iterator[int]:
        screen.wait_for("verifying alpha", "0/3 plugins, 0 files")
        yield 5
        screen.wait_for("verifying beta", "1/3 plugins, 5 files")
        yield 10
        screen.wait_for("verifying gamma", "2/3 plugins, 15 files")
        yield 1

    assert follow(verdicts(), screen, NAMES) == [5, 10, 1]
    erase_line, show_cursor = "\x1b[2K", "\x1b[?25h"
    assert erase_line in screen.getvalue().rpartition("gamma")[2]
    assert show_cursor in screen.getvalue().rpartition("gamma")[2]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_one_plugin_pulses_in_any_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0)
    screen = Screen()

    def verdicts() -> Iterator[int]:
        screen.wait_for("0:00:00" if width > 20 else "\x1b[2K")
        yield 1

    assert follow(verdicts(), screen, ["alpha"], width) == [1]
    assert "plugins" not in screen.getvalue()
    lines = (
        re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").splitlines()
    )
    assert max(map(len, lines)) <= width, lines


def test_what_is_quick_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_SECONDS", SECONDS)
    screen = Screen()
    before = threading.active_count()
    assert follow(iter([1, 2, 3]), screen, NAMES) == [1, 2, 3]
    assert screen.getvalue() == ""
    assert threading.active_count() <= before + 1


def test_a_failure_leaves_no_bar_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY_SECONDS", 0)
    screen = Screen()

    def verdicts() -> Iterator[int]:
        screen.wait_for("verifying alpha")
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        follow(verdicts(), screen, NAMES)
    assert "\x1b[?25h" in screen.getvalue()


@pytest.mark.parametrize("shown", [True, False])
def test_a_pipe_and_json_get_none(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], shown: bool
) -> None:
    """Standard error is a file here; and with --json nothing is drawn even on a terminal."""

    def fail(*_: object) -> None:
        raise AssertionError("a bar was made")

    monkeypatch.setattr(progress, "_Bar", fail)
    if not shown:
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    verdicts = progress.follow("x", NAMES, iter([1, 2]), files=lambda n: n, shown=shown)
    assert list(verdicts) == [1, 2]
    assert capfd.readouterr() == ("", "")
