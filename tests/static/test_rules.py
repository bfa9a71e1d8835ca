"""Every rule has a row that names its modules and its tests, and all of these exist."""

from __future__ import annotations

import fnmatch
import re

from tests.attacks.catalogue import CATALOGUE
from tests.static.sources import REPOSITORY

RULES = (REPOSITORY / "docs" / "reference" / "rules.md").read_text()
ROWS = (REPOSITORY / "docs" / "contributing" / "rules-and-tests.md").read_text()
SOURCES = REPOSITORY / "src" / "codegenie"
ATTACKS = [attack.name for attack in CATALOGUE]


def rows(text: str) -> dict[str, tuple[str, str]]:
    """Return the modules and the tests of each rule, as the page spells them."""
    found = re.findall(r"^\| (\d+\.\d+) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    return {rule: (modules, proofs) for rule, modules, proofs in found}


def missing_modules(text: str) -> list[str]:
    """Return the modules and folders in backquotes that ``src/codegenie`` does not have."""
    paths = [name.replace(".", "/") for name in re.findall(r"`([^`]+)`", text)]
    return [p for p in paths if not (SOURCES / p).is_dir() and not (SOURCES / f"{p}.py").is_file()]


def missing_proofs(text: str) -> list[str]:
    """Return the test files and attacks in backquotes that do not exist."""
    return [
        name
        for name in re.findall(r"`([^`]+)`", text)
        if not ((REPOSITORY / name).is_file() or fnmatch.filter(ATTACKS, name))
    ]


def test_every_rule_has_one_row() -> None:
    rules = re.findall(r"^\*\*(\d+\.\d+) ", RULES, re.MULTILINE)
    assert list(rows(ROWS)) == rules
    assert len(re.findall(r"^\| \d", ROWS, re.MULTILINE)) == len(rules)


def test_modules_of_a_row_exist() -> None:
    for rule, (modules, _) in rows(ROWS).items():
        assert missing_modules(modules) == [], rule


def test_every_row_names_a_test_that_exists() -> None:
    for rule, (_, proofs) in rows(ROWS).items():
        assert "`" in proofs, rule
        assert missing_proofs(proofs) == [], rule


def test_planted_names_are_reported() -> None:
    assert missing_modules("`_enforce.made_up`, `hashing`") == ["_enforce/made_up"]
    assert missing_proofs("`tree/invented-*`, `tree/changed`, `tests/made_up.py`") == [
        "tree/invented-*",
        "tests/made_up.py",
    ]
