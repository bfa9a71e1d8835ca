"""Check from the source which modules import which. Every fence is shown to catch a planted
violation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.static.sources import PACKAGE, importers, imports, modules

SOURCES = {name: path.read_text() for name, path in modules().items()}

# Per module that must have one way in only: who may import it.
SOLE_IMPORTERS = {
    ("hashlib", "_hashlib", "_sha2", "_sha256", "_sha512"): {"codegenie.hashing"},
    ("yaml",): {"codegenie.parsers.safe_yaml"},
    ("blake3",): set(),
    # Reading JSON goes through safe_json; these only write it.
    ("json",): {
        "codegenie.cli.output",
        "codegenie._enforce.event_log",
        "codegenie.trust.library_process",
    },
    ("_json",): {"codegenie.parsers.safe_json"},
    # The guard holds a reference; packs are written and checked by the tools.
    ("marshal",): {"codegenie._start", "codegenie.authoring.compiling"},
    ("pickle", "shelve"): set(),
}

START_UP = {
    "codegenie",
    "codegenie._start",
    "codegenie._start.audit_hook",
    "codegenie._start.checks",
    "codegenie._start.deferring",
    "codegenie._start.file_checks",
    "codegenie._start.finder",
    "codegenie._start.folder_paths",
    "codegenie._start.loaders",
    "codegenie._start.own_modules",
    "codegenie._start.shutdown",
    "codegenie.plugins",
    "codegenie.plugins.guard",
}
TIERS = ("codegenie._enforce", "codegenie.integrity", "codegenie.trust", "codegenie.refusals")
# These verify signatures by a library, where no process is guarded: at an installation, in CI.
BY_A_LIBRARY = {
    "codegenie.trust.library_process",
    "codegenie.trust.other_keys",
    "codegenie.trust.sigstore_bundles",
}
ENFORCEMENT = {name for name in SOURCES if name.startswith(TIERS)} - BY_A_LIBRARY | {
    "codegenie.files",
    "codegenie.folder_problems",
    "codegenie.guarded_folder",
    "codegenie.hashing",
    "codegenie.log_target",
    "codegenie.parsers",
    "codegenie.parsers.safe_json",
    "codegenie.plugins.registry",
    "codegenie.result",
    "codegenie.text",
    "codegenie.types",
    "codegenie.types.parsers",  # and not .identifiers, which only type checkers read
}
# The modules about statements and the signatures of keys.
ABOUT_KEYS = (
    "codegenie.trust",
    "codegenie.authoring.sig",
    "codegenie.cli.documents",
    "codegenie.cli.plugins.sign",
    "codegenie.cli.trust",
    "codegenie.plugins.errors",
    "codegenie.refusals.explanation",
    "codegenie.refusals.kinds",
)
OF_KEYS = ("key", "inspect", "signer", "statement", "policy")
# The modules that a bare interpreter has loaded, on every version (python -I -S -c "import sys;
# sys.modules").
BARE = {
    "_imp",
    "sys",
    "builtins",
    "_frozen_importlib",
    "_frozen_importlib_external",
    "_thread",
    "marshal",
    "posix",
    "nt",
}
TOO_HEAVY = {"typing", "dataclasses", "pathlib", "re", "logging", "importlib.abc", "inspect"}


@pytest.mark.parametrize(
    ("targets", "allowed"), SOLE_IMPORTERS.items(), ids=lambda value: ",".join(sorted(value))
)
def test_sole_importers(targets: tuple[str, ...], allowed: set[str]) -> None:
    assert importers(SOURCES, *targets) == allowed
    planted = {**SOURCES, "planted": f"def f():\n    from {targets[0]} import x\n"}
    assert importers(planted, *targets) == {*allowed, "planted"}


def test_the_loader_imports_no_hash_and_no_json() -> None:
    forbidden = {"json", "hashlib", "blake3"}
    assert not imports(SOURCES["codegenie.plugins.loader"]) & forbidden
    assert imports("import sys\ntry:\n    import json\nexcept ImportError:\n    pass") & forbidden


@pytest.mark.parametrize("name", sorted(START_UP))
def test_start_up_imports_only_what_a_bare_interpreter_has(name: str) -> None:
    allowed = BARE | START_UP
    found = {_module_of(target) for target in imports(SOURCES[name], top_level_only=True)}
    assert found <= allowed


def test_the_start_up_fence_bites() -> None:
    planted = "from __future__ import annotations\nfrom codegenie._enforce import lock\n"
    found = {_module_of(target) for target in imports(planted, top_level_only=True)}
    assert not found <= BARE | START_UP


@pytest.mark.parametrize("name", sorted(ENFORCEMENT))
def test_enforcement_imports_the_standard_library_and_itself(name: str) -> None:
    for target in imports(SOURCES[name], top_level_only=True):
        module = _module_of(target)
        if module.partition(".")[0] == "codegenie":
            assert module in ENFORCEMENT | START_UP, target
        else:
            assert module.partition(".")[0] in sys.stdlib_module_names, target
            heavy_by_design = name == "codegenie._enforce.resources"
            assert module not in TOO_HEAVY or heavy_by_design, target


def test_the_words_for_keys_are_kept_for_keys() -> None:
    """The digest check is an integrity check. Elsewhere those words appear about functions."""
    for name, source in SOURCES.items():
        if name.startswith(ABOUT_KEYS):
            continue
        for line in source.splitlines():
            words = line.lower()
            if "signature" in words or "signed" in words:
                assert any(word in words for word in OF_KEYS), f"{name}: {line}"


def test_no_source_speaks_of_tickets_or_of_this_machine() -> None:
    for path in [*PACKAGE.rglob("*.py"), *Path(__file__).parents[1].rglob("*.py")]:
        if path == Path(__file__):
            continue
        text = path.read_text()
        for mark in ("TODO", "FIXME", "XXX", f"{Path.home()}/"):
            assert mark not in text, f"{path}: {mark}"


def _module_of(target: str) -> str:
    """``a.b.name`` is ``a.b`` where ``name`` is no module."""
    if target in SOURCES or target in sys.stdlib_module_names or target in sys.modules:
        return target
    parent, _, _ = target.rpartition(".")
    return parent or target
