"""What GitHub's runner is told of names that it must not obey."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegenie.cli import github
from codegenie.cli.github import Finding
from codegenie.plugins._enforce.refusal import printable

ERROR = re.compile(r"::error (?P<properties>(?:[a-z]+=[^,:]*,?)+)::(?P<text>[^\r\n]*)")


def unescape(text: str) -> str:
    for code, character in (("0D", "\r"), ("0A", "\n"), ("3A", ":"), ("2C", ","), ("25", "%")):
        text = text.replace(f"%{code}", character)
    return text


@given(st.text(min_size=1), st.text())
def test_any_name_is_one_command_and_comes_back(name: str, text: str) -> None:
    (command,) = github.commands([Finding(f"/w/{name}", "p", text)], "/w/plugins", "/w")
    found = ERROR.fullmatch(command)
    assert found is not None, command
    properties = dict(pair.split("=", 1) for pair in found["properties"].split(","))
    assert properties.keys() == {"file", "title"}
    assert unescape(properties["file"]) == printable(github._below(f"/w/{name}", "/w"))
    assert unescape(found["text"]).startswith(printable(text))


@given(st.text(min_size=1))
def test_any_name_is_text_in_the_summary(name: str) -> None:
    lock: Any = {"root": "/w/plugins", "plugins": {}}
    shown = github.summary([Finding(f"/w/{name}", "p", name)], lock, "/w")
    assert set(re.findall(r"</?(\w+)", shown)) <= {"h3", "table", "tr", "th", "td", "p", "code"}
    assert shown.count("<td>") == 3


def test_a_summary_keeps_to_what_github_takes() -> None:
    lock: Any = {"root": "/w/plugins", "plugins": {}}
    found = [Finding(f"/w/{'&' * 200}{number}", "p", "x") for number in range(2000)]
    shown = github.summary(found, lock, "/w")
    assert len(shown.encode()) < 1024 * 1024
    rows = shown.count("<td>p</td>")
    assert f"<td>and {2000 - rows} more</td>" in shown


@pytest.mark.parametrize("number", [9, 10, 11, 100])
def test_github_shows_ten(number: int) -> None:
    found = [Finding("/w/a", "p", "x")] * number
    shown = list(github.commands(found, "/w/plugins", "/w"))
    assert len(shown) == min(number, 10)
    assert ("and " in shown[-1]) == (number > 10)
