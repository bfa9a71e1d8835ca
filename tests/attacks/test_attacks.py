"""Every attack of the catalogue works without the guard, and is stopped by it for its reason."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from tests.attacks import forms
from tests.attacks.__main__ import UnknownName, choose
from tests.attacks.attack import Attack
from tests.attacks.catalogue import CATALOGUE
from tests.attacks.controls import CONTROLS
from tests.attacks.forms import Form
from tests.attacks.runner import problems_in, run, scratch

VERSIONS = 5
"""The supported versions of Python. Each repairs another fifth of the attacked folders, because a
repaired folder is the same after every attack."""


@pytest.mark.parametrize(
    ("attack", "repairs"),
    [
        pytest.param(attack, (number + sys.version_info.minor) % VERSIONS == 0, id=attack.name)
        for number, attack in enumerate(CATALOGUE)
    ],
)
def test_attack(attack: Attack, repairs: bool) -> None:
    if not attack.needs.available:
        pytest.skip(f"needs {attack.needs.what}")
    with scratch() as folder:
        verdict = run(attack, folder, repairs=repairs)
    assert not verdict.problems, f"{attack.does}\n" + "\n".join(verdict.problems)


@pytest.mark.parametrize(
    ("form", "attack"),
    [pytest.param(*pair, id=f"{pair[0].name}-{pair[1].name}") for pair in forms.sample()],
)
def test_attack_in_another_form(form: Form, attack: Attack) -> None:
    with scratch() as folder:
        problems = problems_in(form, run(attack, folder, form=form))
    assert not problems, f"{attack.does}\n" + "\n".join(problems)


@pytest.mark.parametrize("form", forms.FORMS.values(), ids=lambda form: form.name)
def test_what_makes_no_sense_in_a_form_is_in_the_catalogue(form: Form) -> None:
    assert set(form.senseless) <= {attack.name for attack in form.attacks()}


def test_the_catalogue_is_whole() -> None:
    names = Counter(attack.name for attack in CATALOGUE)
    assert max(names.values()) == 1
    assert len(names) >= 100
    assert {attack.group for attack in CATALOGUE} == {
        "absent",
        "bytecode",
        "displacement",
        "entries",
        "lazy",
        "libraries",
        "lock",
        "packs",
        "path",
        "precedence",
        "primitives",
        "scripts",
        "settings",
        "several",
        "sigstore",
        "swallowed",
        "timing",
        "tree",
        "trust",
        "units",
        "vendored",
    }


def test_chosen_names_and_groups_run_alone() -> None:
    assert [item.name for item in choose(["tree/changed"])] == ["tree/changed"]
    tree = [attack.name for attack in CATALOGUE if attack.group == "tree"]
    assert [item.name for item in choose(["tree", "tree/changed"])] == tree
    assert len(choose([])) == len(CATALOGUE) + len(CONTROLS)
    assert choose(["control"]) == list(CONTROLS)


def test_an_unknown_name_lists_close_ones() -> None:
    with pytest.raises(UnknownName, match="'tree/chnged': did you mean tree/changed"):
        choose(["tree/chnged"])
    with pytest.raises(UnknownName, match="the groups are absent, bytecode"):
        choose(["zzz"])
