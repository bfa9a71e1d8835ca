"""Names that GitHub's runner must not obey are escaped."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegenie.cli import github
from codegenie.cli.github import Finding
from codegenie.text import printable

LOCK: Any = {"root": "/w/plugins", "lock": "/w/plugins/PLUGINS.lock", "plugins": {}}

ERROR = re.compile(r"::error (?P<properties>(?:[a-z]+=[^,:]*,?)+)::(?P<text>[^\r\n]*)")


def unescape(text: str) -> str:
    for code, character in (("0D", "\r"), ("0A", "\n"), ("3A", ":"), ("2C", ","), ("25", "%")):
        text = text.replace(f"%{code}", character)
    return text


@settings(deadline=None)
@given(st.text(min_size=1), st.text())
def test_any_name_is_one_command_and_comes_back(name: str, text: str) -> None:
    (command,) = github.commands([Finding(f"/w/{name}", "p", text)], LOCK, "/w")
    found = ERROR.fullmatch(command)
    assert found is not None, command
    properties = dict(pair.split("=", 1) for pair in found["properties"].split(","))
    assert properties.keys() == {"file", "title"}
    assert unescape(properties["file"]) == printable(github._below(f"/w/{name}", "/w"))
    assert unescape(found["text"]).startswith(printable(text))


@settings(deadline=None)
@given(st.text(min_size=1))
def test_any_name_is_text_in_the_summary(name: str) -> None:
    shown = github.summary([Finding(f"/w/{name}", "p", name)], LOCK, "/w")
    assert set(re.findall(r"</?(\w+)", shown)) <= {"h3", "table", "tr", "th", "td", "p", "code"}
    assert shown.count("<td>") == 3


def test_a_summary_keeps_to_what_github_takes() -> None:
    found = [Finding(f"/w/{'&' * 200}{number}", "p", "x") for number in range(2000)]
    shown = github.summary(found, LOCK, "/w")
    assert len(shown.encode()) < 1024 * 1024
    rows = shown.count("<td>p</td>")
    assert f"<td>and {2000 - rows} more</td>" in shown


@pytest.mark.parametrize("number", [9, 10, 11, 100])
def test_github_shows_ten(number: int) -> None:
    found = [Finding("/w/a", "p", "x")] * number
    shown = list(github.commands(found, LOCK, "/w"))
    assert len(shown) == min(number, 10)
    assert ("and " in shown[-1]) == (number > 10)


@pytest.mark.parametrize(
    ("root", "lock", "command"),
    [
        ("/w/plugins", "/w/plugins/PLUGINS.lock", "plugins"),
        ("/w/plugins", "/w/x.lock", "plugins --lock x.lock"),
        ("/w/-p", "/w/-x", "./-p --lock ./-x"),
        ("/w/a\n", "/w/a\n/PLUGINS.lock", "$'a\\x0a'"),
    ],
)
def test_the_command_names_the_lock_and_can_be_typed(root: str, lock: str, command: str) -> None:
    shown = github.summary([Finding("/w/a", "p", "x")], {"root": root, "lock": lock}, "/w")
    assert f"<code>codegenie plugins lock {command}</code>" in html.unescape(shown)


@pytest.mark.parametrize("text", [None, "", "{"])
def test_an_unusable_diff_is_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "diff.json"
    if text is not None:
        path.write_text(text)
    assert github._read_if_usable(str(path)) is None


@pytest.mark.parametrize("kind", ["unlocked_plugin", "missing_manifest", "unhashable_tree"])
def test_a_plugin_named_like_the_lock_is_a_plugin(kind: str) -> None:
    lock = {**LOCK, "rejections": [{"kind": kind, "plugin": "<lockfile>"}]}
    lock |= {"changed": [], "added": [], "removed": [], "would_change": False}
    (found,) = github.findings(lock, None)
    assert (found.plugin, found.text) == ("<lockfile>", kind.replace("_", " "))
