"""Every module can be the first one that a fresh interpreter imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.static.sources import modules

ENTRY_POINTS = {"codegenie.__main__"}  # runs the command line when it is executed, not imported
NEED_A_LIBRARY = {
    "codegenie.authoring.sigstore_signing",
    "codegenie.trust.other_keys",
    "codegenie.trust.sigstore_bundles",
}
"""The library is an extra. The tests in `tests/trust` import them."""


@pytest.mark.parametrize("name", sorted(set(modules()) - ENTRY_POINTS - NEED_A_LIBRARY))
def test_a_module_starts_cold(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", f"import {name}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
