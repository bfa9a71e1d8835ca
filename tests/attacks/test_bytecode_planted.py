"""Bytecode that Python would run instead of the source. It is in no digest, and never runs."""

from __future__ import annotations

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest

from tests.attacks.conftest import PAYLOAD, Attack, Range
from tests.fixtures.trees import Application

IMPORT = "import plugins.alpha.api"


def compiled(application: Application, target: Path, mode: py_compile.PycInvalidationMode) -> None:
    """Bytecode of the payload that claims to belong to ``helper.py``."""
    source = application.plugin / "helper.py"
    kept, times = source.read_bytes(), source.stat()
    evil = (PAYLOAD + "VALUE = 1\n").encode()
    # The same size and time, which is all that a timestamp-based .pyc is checked against.
    honest = kept + b"#" * (len(evil) - len(kept)) if len(evil) > len(kept) else kept
    evil += b"#" * (len(honest) - len(evil))
    source.write_bytes(evil)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    target.parent.mkdir(exist_ok=True)
    py_compile.compile(str(source), cfile=str(target), invalidation_mode=mode, doraise=True)
    source.write_bytes(honest)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    application.lock()


def cached(application: Application) -> Path:
    return Path(importlib.util.cache_from_source(str(application.plugin / "helper.py")))


def timestamp(application: Application) -> None:
    compiled(application, cached(application), py_compile.PycInvalidationMode.TIMESTAMP)


def unchecked_hash(application: Application) -> None:
    compiled(application, cached(application), py_compile.PycInvalidationMode.UNCHECKED_HASH)


@pytest.mark.parametrize("attack", [timestamp, unchecked_hash])
def test_planted_bytecode_is_not_even_looked_at(ground: Range, attack: Attack) -> None:
    ground.works_unguarded(attack, IMPORT)
    ground.harmless(attack, IMPORT)


def source_less(application: Application) -> None:
    """``api/extra.pyc`` with no source beside it: no digest covers it."""
    target = application.plugin / "extra.pyc"
    compiled(application, target, py_compile.PycInvalidationMode.UNCHECKED_HASH)


def test_source_less_bytecode_does_not_exist(ground: Range) -> None:
    script = "import plugins.alpha.api\nimport plugins.alpha.extra"
    ground.works_unguarded(source_less, script)
    application = ground.application()
    source_less(application)
    outcome = application.run(
        "import plugins.alpha.api, pkgutil\n"
        "print([m.name for m in pkgutil.iter_modules(plugins.alpha.__path__)])\n"
        "try:\n    import plugins.alpha.extra\n"
        "except ModuleNotFoundError as error:\n    print(error.name)"
    )
    assert outcome.stdout == "['api', 'helper']\nplugins.alpha.extra\n", outcome
    assert "PAYLOAD" not in outcome.executed


def shadowing_package(application: Application) -> None:
    """``helper/__init__.pyc`` wins over ``helper.py``: a package is tried first."""
    target = application.plugin / "helper" / "__init__.pyc"
    compiled(application, target, py_compile.PycInvalidationMode.UNCHECKED_HASH)


def test_bytecode_of_a_package_does_not_shadow_a_module(ground: Range) -> None:
    ground.works_unguarded(shadowing_package, IMPORT)
    ground.harmless(shadowing_package, IMPORT)
