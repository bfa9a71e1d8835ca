"""The threat model names attacks; each of them is in the catalogue, and each group in the model."""

from __future__ import annotations

import re

from tests.attacks.catalogue import CATALOGUE
from tests.static.sources import REPOSITORY

TEXT = (REPOSITORY / "docs" / "threat-model.md").read_text()
NAMES = {attack.name for attack in CATALOGUE}
GROUPS = {attack.group for attack in CATALOGUE}


def claimed(text: str) -> set[str]:
    """Return the attacks that the text names as ``group/name``."""
    return {
        name for name in re.findall(r"`([a-z]+/[a-z0-9-]+)`", text) if name.split("/")[0] in GROUPS
    }


def test_every_claim_has_its_attack() -> None:
    assert claimed(TEXT) <= NAMES, claimed(TEXT) - NAMES
    assert len(claimed(TEXT)) > 50


def test_a_claim_without_an_attack_is_noticed() -> None:
    assert claimed("`timing/made-up`") - NAMES == {"timing/made-up"}


def test_every_group_of_attacks_is_spoken_of() -> None:
    assert {name.split("/")[0] for name in claimed(TEXT)} == GROUPS


def test_files_that_it_names_are_there() -> None:
    for path in re.findall(r"`(tests/[a-z_/]+\.py)`", TEXT):
        assert (REPOSITORY / path).exists(), path
    for path in re.findall(r"\]\(([a-z0-9/-]+\.md)[)#]", TEXT):
        assert (REPOSITORY / "docs" / path).exists(), path
