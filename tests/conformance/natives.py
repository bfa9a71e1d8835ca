"""Extension modules that come with the interpreter, to be copied into a plugin."""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
from pathlib import Path

import pytest

SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
MULTI_PHASE = "_queue"
SINGLE_PHASE = "_testbuffer"
PACKAGE = "_lsprof"
"""``_lsprof/__init__`` is loaded by the same entry point as ``_lsprof``: it makes a package."""


def copy(name: str, target: Path) -> None:
    """Copy the extension module ``name``; skip the test where it is part of the interpreter."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin or not spec.origin.endswith(SUFFIX):
        pytest.skip(f"{name} is no file of its own in this interpreter")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(spec.origin, target)


def copy_all(plugin: Path) -> None:
    """Write a multi-phase and a single-phase module, and a package, into a plugin."""
    copy(MULTI_PHASE, plugin / f"{MULTI_PHASE}{SUFFIX}")
    copy(SINGLE_PHASE, plugin / f"{SINGLE_PHASE}{SUFFIX}")
    copy(PACKAGE, plugin / PACKAGE / f"__init__{SUFFIX}")
