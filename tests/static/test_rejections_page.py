"""Every kind of refusal has its section, under the anchor that the messages name, and no section is
left over."""

from __future__ import annotations

import re
import typing

import pytest

from codegenie.plugins import errors
from codegenie.refusals import explanation, kinds
from codegenie.refusals.differences import Differences
from tests.static.sources import REPOSITORY

TEXT = (REPOSITORY / "docs" / "rejections.md").read_text()
KINDS = {
    model.model_fields["kind"].default
    for model in typing.get_args(typing.get_args(errors.PluginRejected)[0])
}
EXCEPTIONS = {errors.GuardTooLate, errors.GuardSettled, errors.GuardNotEnforcing}
PARTS = ("Usual causes", "In development", "In production")


def sections(text: str) -> dict[str, str]:
    """Return each section's text, by the anchor that a Markdown renderer gives its heading."""
    found = re.split(r"^### (.+)\n", text, flags=re.MULTILINE)[1:]
    anchors = [re.sub(r"[^\w\- ]", "", title).strip().lower() for title in found[::2]]
    pairs = list(zip((a.replace(" ", "-") for a in anchors), found[1::2], strict=True))
    assert len(dict(pairs)) == len(pairs), "two sections of one name"
    return dict(pairs)


def snake(name: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()


def expected() -> dict[str, str]:
    """Return the subject of each anchor, which is its section's first word."""
    names = {kind: kind for kind in KINDS} | {snake(e.__name__): e.__name__ for e in EXCEPTIONS}
    return {key.replace("_", "-"): name for key, name in names.items()}


def missing_and_left_over(text: str) -> tuple[set[str], set[str]]:
    found, wanted = sections(text).keys(), expected().keys()
    return wanted - found, found - wanted


def test_every_kind_has_its_section_and_every_section_its_kind() -> None:
    assert len(KINDS) >= 10
    assert missing_and_left_over(TEXT) == (set(), set())


def test_a_section_too_few_or_too_many_is_noticed() -> None:
    renamed = TEXT.replace("### Symlink escape", "### Symbolic link")
    assert missing_and_left_over(renamed) == ({"symlink-escape"}, {"symbolic-link"})
    kept_by_kind = TEXT.replace("### Unlocked plugin\n", "### unlocked_plugin\n")
    assert missing_and_left_over(kept_by_kind) == ({"unlocked-plugin"}, {"unlocked_plugin"})


@pytest.mark.parametrize("anchor", sorted(expected()))
def test_a_section_says_what_it_means_and_what_to_do(anchor: str) -> None:
    text = sections(TEXT)[anchor]
    assert text.lstrip().startswith(f"`{expected()[anchor]}`: ")
    assert [part for part in PARTS if f"\n**{part}.** " in text] == list(PARTS)


def test_the_example_is_what_is_printed() -> None:
    (example,) = re.findall(r"```text\n(.*?)\n```", TEXT, flags=re.DOTALL)
    expected, actual = re.findall(r"[0-9a-f]{64}", example)
    found = Differences(["counting.py"], ["data/new.json"], [])
    record = kinds.INTEGRITY_MISMATCH.refusal(
        "/srv/plugins", "code-count", expected=expected, actual=actual, differences=found
    )
    found.times = {"counting.py": 1772486047, "data/new.json": 1772486049}
    record.lock_written = 1772179231
    assert record.explanation() == example


@pytest.mark.parametrize(
    "error",
    [
        errors.GuardTooLate(["plugins"]),
        errors.GuardSettled("mode", "enforce", "audit"),
        errors.GuardNotEnforcing("it only audits"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_raised_names_its_section(error: Exception) -> None:
    named = re.findall(rf"{explanation.help_command('')}(\S+)", str(error))
    assert [expected()[name.replace("_", "-")] for name in named] == [type(error).__name__]
