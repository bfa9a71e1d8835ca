"""Honest programs do the same with the guard as without it."""

from __future__ import annotations

import pytest

from tests.attacks.controls import CONTROLS, Control
from tests.attacks.runner import compare, scratch


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_control(control: Control) -> None:
    if not control.needs.available:
        pytest.skip(f"needs {control.needs.what}")
    with scratch() as folder:
        problems = compare(control, folder)
    assert not problems, "\n".join(problems)
