"""The list of equivalent mutants, and the table of modules and tests, name what exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attacks.catalogue import CATALOGUE
from tests.mutation.__main__ import all_mutants
from tests.mutation.concern import CONCERNS, NOT_MUTATED
from tests.mutation.equivalent import unmatched
from tests.static.sources import modules

TESTS = Path(__file__).parent.parent
ENFORCING = ("_start", "_enforce", "integrity", "trust", "parsers")


def test_each_equivalent_mutant_exists() -> None:
    mutants = [mutant.name for every in all_mutants(seed=1).values() for mutant in every]
    assert len(set(mutants)) == len(mutants)
    assert unmatched(mutants) == []


def test_each_enforcing_module_is_mutated_or_says_why_not() -> None:
    names = {name.partition(".")[2] for name in modules()}
    enforcing = {name for name in names if "." in name and name.split(".")[0] in ENFORCING}
    assert enforcing - CONCERNS.keys() == NOT_MUTATED.keys()
    assert CONCERNS.keys() <= names


@pytest.mark.parametrize("module", CONCERNS)
def test_the_tests_of_a_module_exist(module: str) -> None:
    for path, _, test in (named.partition("::") for named in CONCERNS[module].tests):
        assert (TESTS / path).exists(), path
        assert not test or f"def {test}(" in (TESTS / path).read_text(), test


@pytest.mark.parametrize("module", CONCERNS)
def test_the_attacks_of_a_module_exist(module: str) -> None:
    names = [attack.name for attack in CATALOGUE]
    groups = [name.split("/")[0] for name in names]
    assert set(CONCERNS[module].attacks) <= {*names, *groups}
