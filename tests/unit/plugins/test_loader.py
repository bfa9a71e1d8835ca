"""The four gates: one test per rejection, all or nothing, and the seam for other verifiers."""

from __future__ import annotations

import contextvars
import hashlib
import importlib
import json
import os
import sys
import threading
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, assert_never, get_args

import pytest

from codegenie.plugins import loader
from codegenie.plugins import registry as registrations
from codegenie.plugins.errors import (
    IntegrityMismatch,
    LockFileMalformed,
    MissingManifest,
    MissingPluginDirectory,
    PluginImportError,
    PluginImportRefused,
    PluginRejected,
    SchemaViolation,
    SymlinkEscape,
    UnhashableTree,
    UnlockedPlugin,
    UntrustedLock,
    UnverifiedCode,
    exit_code_for_rejection,
)
from codegenie.plugins.loader import LoadReport, compute_plugin_tree_digest, load_plugins
from codegenie.plugins.lockfile import LockFile
from codegenie.plugins.registry import PluginRegistry, default_registry, register_plugin
from codegenie.plugins.verifiers import (
    PluginVerifier,
    Sha256TreeDigestVerifier,
    TreeVerifier,
    VerificationError,
    WalkedTree,
)
from codegenie.result import Err, Ok, Result
from codegenie.types.identifiers import BlobDigest
from tests.fixtures.plugins.loader_fixtures import API, BROKEN, SLUG, make_plugin, write_lock
from tests.fixtures.trees import Application, oracle


def load(root: Path, **options: Any) -> Result[LoadReport, PluginRejected]:
    return load_plugins(root, root / "PLUGINS.lock", **options)


def rejection(root: Path, kind: str) -> PluginRejected:
    """Break a folder in one way and load it: the rejection, and nothing ran."""
    BROKEN[kind](root)
    rejected = load(root).unwrap_err()
    assert rejected.kind == kind
    assert exit_code_for_rejection(rejected) == 4
    if kind != "plugin_import_error":
        assert "__proof_of_import__" not in sys.modules
    return rejected


def test_public_surface() -> None:
    assert sorted(loader.__all__) == ["LoadReport", "compute_plugin_tree_digest", "load_plugins"]


def test_load_report_is_frozen_and_closed() -> None:
    report = LoadReport(loaded=(), total_walked=0)
    with pytest.raises(ValueError, match="frozen"):
        report.total_walked = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="extra"):
        LoadReport(loaded=(), total_walked=0, more=1)  # type: ignore[call-arg]


# --- one named test per rejection ---------------------------------------------------------------


def test_integrity_mismatch_returns_err(root: Path) -> None:
    rejected = rejection(root, "integrity_mismatch")
    assert isinstance(rejected, IntegrityMismatch)
    assert rejected.plugin == SLUG
    assert rejected.actual == oracle(root / SLUG)
    locked = LockFile.from_path(root / "PLUGINS.lock").unwrap().root
    assert rejected.expected == locked[rejected.plugin] != rejected.actual


def test_unwrapping_a_rejection_raises_what_explains_it(root: Path) -> None:
    BROKEN["integrity_mismatch"](root)
    loaded = load(root)
    with pytest.raises(PluginImportRefused) as raised:
        loaded.unwrap()
    assert raised.value.rejection == loaded.unwrap_err()
    assert f"codegenie plugins diff {root}" in str(raised.value)


def test_missing_manifest_returns_err(root: Path) -> None:
    rejected = rejection(root, "missing_manifest")
    assert isinstance(rejected, MissingManifest)
    assert rejected.plugin == SLUG


def test_schema_violation_returns_err(root: Path) -> None:
    rejected = rejection(root, "schema_violation")
    assert isinstance(rejected, SchemaViolation)
    assert rejected.plugin == SLUG
    assert "bogus_unknown_field" in rejected.detail


def test_unlocked_plugin_returns_err(root: Path) -> None:
    rejected = rejection(root, "unlocked_plugin")
    assert isinstance(rejected, UnlockedPlugin)
    assert rejected.plugin == SLUG


def test_missing_plugin_directory_returns_err(root: Path) -> None:
    rejected = rejection(root, "missing_plugin_directory")
    assert isinstance(rejected, MissingPluginDirectory)
    assert rejected.plugin == SLUG


def test_import_error_returns_err(root: Path) -> None:
    rejected = rejection(root, "plugin_import_error")
    assert isinstance(rejected, PluginImportError)
    assert rejected.plugin == SLUG
    assert rejected.detail == "RuntimeError: boom at import"


def test_symlink_escape_returns_err(root: Path) -> None:
    rejected = rejection(root, "symlink_escape")
    assert isinstance(rejected, SymlinkEscape)
    assert rejected.plugin == SLUG
    assert rejected.offending_path == root / SLUG / "escape.txt"


def test_malformed_lock_returns_err(root: Path) -> None:
    rejected = rejection(root, "lock_file_malformed")
    assert isinstance(rejected, LockFileMalformed)
    assert rejected.plugin == "<lockfile>"
    assert str(root / "PLUGINS.lock") in rejected.detail


def test_unhashable_tree_returns_err(root: Path) -> None:
    rejected = rejection(root, "unhashable_tree")
    assert isinstance(rejected, UnhashableTree)
    assert rejected.offending_path == root / SLUG / "back\\slash.txt"
    assert "backslash" in rejected.detail


def test_unverified_code_returns_err(root: Path) -> None:
    rejected = rejection(root, "unverified_code")
    assert isinstance(rejected, UnverifiedCode)
    assert rejected.plugin == SLUG
    assert rejected.offending_path == root / SLUG / "made_up.py"


def test_there_is_a_broken_folder_for_every_kind() -> None:
    union = get_args(get_args(PluginRejected)[0])
    # An untrusted lock needs a pinned policy: tests/integration/test_trust.py.
    kinds = {variant.model_fields["kind"].default for variant in union} - {"untrusted_lock"}
    assert kinds == set(BROKEN)


def test_exhaustive_match() -> None:
    def kind(rejected: PluginRejected) -> str:
        match rejected:
            case IntegrityMismatch() | SymlinkEscape() | UnhashableTree():
                return "tree"
            case MissingManifest() | SchemaViolation():
                return "manifest"
            case (
                UnlockedPlugin() | MissingPluginDirectory() | LockFileMalformed() | UntrustedLock()
            ):
                return "lock"
            case PluginImportError() | UnverifiedCode():
                return "code"
            case _:
                assert_never(rejected)  # mypy fails here when a variant is added

    assert kind(MissingManifest(plugin=SLUG)) == "manifest"


# --- all or nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BROKEN)
def test_no_partial_registration_on_any_rejection(kind: str, root: Path) -> None:
    BROKEN[kind](root)
    make_plugin(root, "aaa-sound")
    lock = root / "PLUGINS.lock"
    if kind not in ("lock_file_malformed", "unlocked_plugin"):
        locked: dict[str, str] = json.loads(lock.read_text())
        write_lock(root, locked | {"aaa-sound": oracle(root / "aaa-sound")})
    registry = PluginRegistry()
    assert load(root, registry=registry).is_err()
    assert registry.all() == ()
    assert default_registry.all() == ()
    assert not [name for name in sys.modules if name.startswith("plugins")]


def test_tampered_plugin_module_never_imported(root: Path) -> None:
    """Not even an untouched module of the plugin, or of one that comes before it."""
    make_plugin(root, "aaa-sound")
    folder = make_plugin(root)
    write_lock(root)
    (folder / "plugin.yaml").write_text((folder / "plugin.yaml").read_text() + "# changed\n")
    assert isinstance(load(root).unwrap_err(), IntegrityMismatch)
    assert "__proof_of_import__" not in sys.modules

    write_lock(root)
    assert load(root).is_ok()
    assert "__proof_of_import__" in sys.modules


def test_a_failure_half_way_leaves_everything_as_it_was(root: Path, tmp_path: Path) -> None:
    """The first plugin imports, the second fails: neither stays, and an earlier root comes back."""
    earlier = tmp_path / "earlier"
    make_plugin(earlier, "kept")
    write_lock(earlier)
    registry = PluginRegistry()
    assert load(earlier, registry=registry).is_ok()
    before = {name: module for name, module in sys.modules.items() if name.startswith("plugins")}
    assert set(before) == {"plugins", "plugins.kept", "plugins.kept.api"}

    make_plugin(root, "aaa-sound")
    make_plugin(root, "bbb-broken", api=API + "1 / 0\n")
    write_lock(root)
    rejected = load(root, registry=registry).unwrap_err()
    assert isinstance(rejected, PluginImportError)
    assert (rejected.plugin, rejected.detail) == (
        "bbb-broken",
        "ZeroDivisionError: division by zero",
    )

    after = {name: module for name, module in sys.modules.items() if name.startswith("plugins")}
    assert after == before
    assert [plugin.name for plugin in registry.all()] == ["kept"]
    assert not hasattr(sys.modules["plugins"], "aaa-sound")
    assert load(earlier, registry=registry).is_ok()


def test_a_later_load_of_a_grown_folder_goes_back_too(root: Path) -> None:
    make_plugin(root, "kept")
    write_lock(root)
    assert load(root).is_ok()
    package = sys.modules["plugins"]
    make_plugin(root, "new", api="raise ImportError('no')\n")
    write_lock(root)
    assert isinstance(load(root).unwrap_err(), PluginImportError)
    assert sys.modules["plugins"] is package
    assert not hasattr(package, "new")
    assert "plugins.new" not in sys.modules


def test_a_plugin_without_api_is_an_import_error(root: Path) -> None:
    make_plugin(root, api=None)
    write_lock(root)
    rejected = load(root).unwrap_err()
    assert isinstance(rejected, PluginImportError)
    assert f"plugins.{SLUG}.api" in rejected.detail


# --- registries ---------------------------------------------------------------------------------


def test_default_registry_is_used_when_none_is_given(root: Path) -> None:
    make_plugin(root)
    write_lock(root)
    report = load(root).unwrap()
    assert report == LoadReport(loaded=(SLUG,), total_walked=1)
    assert [plugin.name for plugin in default_registry.all()] == [SLUG]


def test_the_given_registry_receives_the_registrations(root: Path) -> None:
    make_plugin(root, "one")
    make_plugin(root, "two")
    write_lock(root)
    registry = PluginRegistry()
    assert load(root, registry=registry).unwrap().loaded == ("one", "two")
    assert [plugin.name for plugin in registry.all()] == ["one", "two"]
    assert default_registry.all() == ()


def test_a_second_load_registers_what_python_does_not_run_again(root: Path) -> None:
    make_plugin(root)
    write_lock(root)
    first, second = PluginRegistry(), PluginRegistry()
    assert load(root, registry=first).is_ok()
    assert load(root, registry=second).is_ok()
    assert first.all() == second.all() != ()


def test_registrations_from_a_thread_of_the_plugin_reach_the_registry(root: Path) -> None:
    in_thread = API + (
        "import threading\n"
        "class Other:\n    name = 'from-a-thread'\n"
        "thread = threading.Thread(target=register_plugin, args=(Other(),))\n"
        "def register(): register_plugin(Other())\n"
        "thread = threading.Thread(target=register)\n"
        "thread.start(); thread.join()\n"
    )
    make_plugin(root, api=in_thread)
    write_lock(root)
    registry = PluginRegistry()
    assert load(root, registry=registry).is_ok()
    assert [plugin.name for plugin in registry.all()] == [SLUG, "from-a-thread"]
    assert default_registry.all() == ()


def test_two_loads_on_threads_fill_their_own_registries(root: Path) -> None:
    for number in range(4):
        make_plugin(root, f"plugin{number}")
    write_lock(root)
    registries = [PluginRegistry() for _ in range(4)]
    start = threading.Barrier(len(registries))
    results: list[Result[LoadReport, PluginRejected]] = []

    def work(registry: PluginRegistry) -> None:
        start.wait()
        results.append(load(root, registry=registry))

    threads = [threading.Thread(target=work, args=(registry,)) for registry in registries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.is_ok() for result in results] == [True] * 4, results
    for registry in registries:
        assert [p.name for p in registry.all()] == [f"plugin{n}" for n in range(4)]
    assert default_registry.all() == ()


def test_duplicate_registrations_are_refused_and_leave_nothing(root: Path) -> None:
    same_name = API.replace('__name__.split(".")[1]', "'taken'")
    make_plugin(root, "one", api=same_name)
    make_plugin(root, "two", api=same_name)
    write_lock(root)
    registry = PluginRegistry()
    rejected = load(root, registry=registry).unwrap_err()
    assert isinstance(rejected, PluginImportError)
    assert "plugins.one.api.Sample" in rejected.detail
    assert "plugins.two.api.Sample" in rejected.detail
    assert registry.all() == ()


# --- roots --------------------------------------------------------------------------------------


def test_another_root_replaces_the_modules_of_the_earlier_one(root: Path, tmp_path: Path) -> None:
    make_plugin(root, api=API + "WHERE = 'first'\n")
    write_lock(root)
    other = tmp_path / "other"
    make_plugin(other, api=API + "WHERE = 'second'\n")
    write_lock(other)
    assert load(root, registry=PluginRegistry()).is_ok()
    assert sys.modules[f"plugins.{SLUG}.api"].WHERE == "first"
    assert load(other, registry=PluginRegistry()).is_ok()
    assert sys.modules[f"plugins.{SLUG}.api"].WHERE == "second"
    assert sys.modules["plugins"].__path__ == [str(other)]


def test_the_module_has_its_real_name(root: Path) -> None:
    make_plugin(root)
    write_lock(root)
    assert load(root).is_ok()
    module = sys.modules[f"plugins.{SLUG}.api"]
    assert module.__name__ == f"plugins.{SLUG}.api"
    assert module.__file__ == str(root / SLUG / "api.py")


# --- verifiers ----------------------------------------------------------------------------------


class Accepts:
    """Accepts everything, and remembers its arguments."""

    def __init__(self) -> None:
        self.asked: list[tuple[Path, str]] = []

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        self.asked.append((plugin_dir, expected))
        return Ok(None)


class Refuses:
    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        return Err(VerificationError(plugin_dir, expected, detail="the key is not known"))


class Fails:
    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        raise OSError("the key server is away")


def test_the_default_verifier_satisfies_the_protocol(root: Path) -> None:
    verifier: PluginVerifier = Sha256TreeDigestVerifier()
    assert isinstance(verifier, PluginVerifier)
    assert not isinstance(object(), PluginVerifier)
    folder = make_plugin(root)
    digest = compute_plugin_tree_digest(folder).unwrap()
    assert verifier.verify(folder, digest) == Ok(None)
    error = verifier.verify(folder, BlobDigest("0" * 64)).unwrap_err()
    assert (error.actual, error.expected) == (digest, "0" * 64)


def test_the_default_verifier_accepts_no_tree_that_it_cannot_hash(root: Path) -> None:
    folder = make_plugin(root)
    digest = compute_plugin_tree_digest(folder).unwrap()
    (folder / "link").symlink_to("/etc/hostname")
    error = Sha256TreeDigestVerifier().verify(folder, digest).unwrap_err()
    assert (error.plugin_dir, error.expected, error.actual) == (folder, digest, None)
    assert isinstance(error.rejection, SymlinkEscape)


def test_another_verifier_decides(root: Path) -> None:
    folder = make_plugin(root)
    write_lock(root, {SLUG: "a" * 64})
    verifier = Accepts()
    assert load(root, verifier=verifier).unwrap().loaded == (SLUG,)
    assert verifier.asked == [(folder, "a" * 64)]
    assert load(root).is_err()


def test_a_tree_verifier_gets_the_walk(root: Path) -> None:
    folder = make_plugin(root)
    write_lock(root, {SLUG: "a" * 64})
    seen: list[WalkedTree] = []

    class Takes:
        def verify_tree(
            self, plugin_dir: Path, expected: BlobDigest, found: WalkedTree
        ) -> Result[None, VerificationError]:
            assert (plugin_dir, expected) == (folder, "a" * 64)
            seen.append(found)
            return Ok(None)

    assert isinstance(Takes(), TreeVerifier)
    assert load(root, verifier=Takes()).unwrap().loaded == (SLUG,)
    (found,) = seen
    assert found.digest == compute_plugin_tree_digest(folder).unwrap()
    api = (folder / "api.py").read_bytes()
    assert found.files["api.py"] == hashlib.sha256(api).hexdigest()
    assert found.read("api.py") == Ok(api)
    with pytest.raises(KeyError):
        found.read("missing.py")
    (folder / "api.py").write_bytes(api + b"#")
    assert isinstance(found.read("api.py").unwrap_err(), IntegrityMismatch)


class Flips:
    """Puts the locked file in place while it looks, and the other one back."""

    def __init__(self, folder: Path, look: Callable[[Path, BlobDigest], bool]) -> None:
        self._file = folder / "api.py"
        self._look = look

    def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
        changed = self._file.read_text()
        self._file.write_text(API)
        try:
            accepted = self._look(plugin_dir, expected)
        finally:
            self._file.write_text(changed)
        return Ok(None) if accepted else Err(VerificationError(plugin_dir, expected))


LOOKS: dict[str, Callable[[Path, BlobDigest], bool]] = {
    "default verifier": lambda folder, expected: (
        Sha256TreeDigestVerifier().verify(folder, expected).is_ok()
    ),
    "digest": lambda folder, expected: compute_plugin_tree_digest(folder) == Ok(expected),
    "relative": lambda folder, expected: (
        compute_plugin_tree_digest(Path(os.path.relpath(folder))) == Ok(expected)
    ),
    "in a thread": lambda folder, expected: (
        ThreadPoolExecutor(1).submit(compute_plugin_tree_digest, folder).result() == Ok(expected)
    ),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_what_a_verifier_accepts_is_what_executes(
    root: Path, look: Callable[[Path, BlobDigest], bool]
) -> None:
    folder = make_plugin(root)
    write_lock(root)
    changed = API + "# changed\n"
    (folder / "api.py").write_text(changed)
    rejected = load(root, verifier=Flips(folder, look)).unwrap_err()
    assert isinstance(rejected, IntegrityMismatch)
    assert (folder / "api.py").read_text() == changed
    assert "__proof_of_import__" not in sys.modules
    # Afterwards the folder is walked as it is.
    assert compute_plugin_tree_digest(folder).unwrap() == rejected.actual
    (folder / "api.py").write_text(API)
    assert compute_plugin_tree_digest(folder).unwrap() == rejected.expected


class AcceptsTrees(Accepts):
    def verify_tree(
        self, plugin_dir: Path, expected: BlobDigest, found: WalkedTree
    ) -> Result[None, VerificationError]:
        return Ok(None)


def test_a_verifier_with_both_methods_verifies_the_tree(root: Path) -> None:
    make_plugin(root)
    write_lock(root)
    verifier = AcceptsTrees()
    assert load(root, verifier=verifier).is_ok()
    assert verifier.asked == []


def test_an_overridden_verify_is_not_passed_by(root: Path) -> None:
    make_plugin(root)
    write_lock(root)

    class Stricter(AcceptsTrees):
        def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
            return Err(VerificationError(plugin_dir, expected, detail="not today"))

    assert isinstance(load(root, verifier=Stricter()).unwrap_err(), IntegrityMismatch)


def test_a_verifier_that_refuses_decides_too(root: Path) -> None:
    make_plugin(root)
    write_lock(root)
    rejected = load(root, verifier=Refuses()).unwrap_err()
    assert isinstance(rejected, IntegrityMismatch)
    assert "__proof_of_import__" not in sys.modules


def test_a_verifier_that_fails_has_accepted_nothing(root: Path) -> None:
    make_plugin(root)
    write_lock(root)
    rejected = load(root, verifier=Fails()).unwrap_err()
    assert isinstance(rejected, PluginImportError)
    assert "the key server is away" in rejected.detail
    assert "__proof_of_import__" not in sys.modules


def test_what_executes_is_bound_to_the_walk_with_another_verifier_too(root: Path) -> None:
    """The verifier accepts and then changes a file: the module that has it is not executed."""
    folder = make_plugin(root)
    write_lock(root)

    class Swaps:
        def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
            (folder / "api.py").write_text(API + "# swapped\n")
            return Ok(None)

    rejected = load(root, verifier=Swaps()).unwrap_err()
    assert isinstance(rejected, IntegrityMismatch)
    assert "__proof_of_import__" not in sys.modules


# --- registrations that reach the load by detours ------------------------------------------------


def test_a_plugin_that_imports_another_one_first(root: Path) -> None:
    make_plugin(root, "one", api="import plugins.two.api\n" + API)
    make_plugin(root, "two")
    write_lock(root)
    registry = PluginRegistry()
    assert load(root, registry=registry).is_ok()
    assert [plugin.name for plugin in registry.all()] == ["one", "two"]
    assert default_registry.all() == ()


def test_a_base_class_of_the_application_that_registers(root: Path) -> None:
    """The caller of ``register_plugin`` is not the plugin's module."""
    application = types.ModuleType("application_base")
    exec(
        "from codegenie.plugins.registry import register_plugin\n"
        "class Base:\n"
        "    def __init_subclass__(cls):\n        register_plugin(cls())\n",
        vars(application),
    )
    sys.modules["application_base"] = application
    make_plugin(
        root, api="from application_base import Base\nclass Mine(Base):\n    name = 'mine'\n"
    )
    write_lock(root)
    registry = PluginRegistry()
    try:
        assert load(root, registry=registry).is_ok()
    finally:
        del sys.modules["application_base"]
    assert [plugin.name for plugin in registry.all()] == ["mine"]
    assert default_registry.all() == ()


def test_a_plugin_that_exits_has_failed(root: Path) -> None:
    make_plugin(root, api=API + "raise SystemExit(0)\n")
    write_lock(root)
    rejected = load(root).unwrap_err()
    assert isinstance(rejected, PluginImportError)
    assert rejected.detail == "SystemExit: 0"


def test_an_interrupt_passes_and_leaves_nothing(root: Path) -> None:
    make_plugin(root, api=API + "raise KeyboardInterrupt\n")
    write_lock(root)
    with pytest.raises(KeyboardInterrupt):
        load(root)
    assert not [name for name in sys.modules if name.startswith("plugins")]
    assert default_registry.all() == ()


def test_a_changed_and_locked_plugin_is_imported_anew(root: Path) -> None:
    make_plugin(root, "same")
    folder = make_plugin(root, api=API + "VERSION = 1\n")
    write_lock(root)
    assert load(root, registry=PluginRegistry()).is_ok()
    untouched = sys.modules["plugins.same.api"]
    (folder / "api.py").write_text(API + "VERSION = 2\n")
    write_lock(root)
    assert load(root, registry=PluginRegistry()).is_ok()
    assert sys.modules[f"plugins.{SLUG}.api"].VERSION == 2
    assert sys.modules["plugins.same.api"] is untouched


def test_a_verifier_that_answers_nonsense_has_accepted_nothing(root: Path) -> None:
    make_plugin(root)
    write_lock(root)

    class Odd:
        def __init__(self, answer: object) -> None:
            self.answer = answer

        def verify(self, plugin_dir: Path, expected: BlobDigest) -> Any:
            return self.answer

    for answer in (True, None, Err("no")):
        rejected = load(root, verifier=Odd(answer)).unwrap_err()
        assert isinstance(rejected, PluginImportError)
        assert repr(answer) in rejected.detail
    refused = Err(VerificationError(root, BlobDigest("0" * 64), actual=BlobDigest("zz")))
    mismatch = load(root, verifier=Odd(refused)).unwrap_err()
    assert isinstance(mismatch, IntegrityMismatch)
    assert mismatch.actual == oracle(root / SLUG)
    assert "__proof_of_import__" not in sys.modules


# --- loading again ------------------------------------------------------------------------------


def test_a_changed_plugin_takes_its_place_in_the_default_registry(root: Path) -> None:
    folder = make_plugin(root, api=API + "Sample.version = 1\n")
    write_lock(root)
    assert load(root).is_ok()
    (folder / "api.py").write_text(API + "Sample.version = 2\n")
    write_lock(root)
    assert load(root).is_ok()
    assert [plugin.version for plugin in default_registry.all()] == [2]


def test_an_equally_named_plugin_of_another_root_takes_its_place(
    root: Path, tmp_path: Path
) -> None:
    for number, folder in enumerate((root, tmp_path / "a", tmp_path / "b")):
        make_plugin(folder, api=API + f"Sample.number = {number}\n")
        write_lock(folder)
        assert load(folder).is_ok()
        assert [plugin.number for plugin in default_registry.all()] == [number]


def test_a_load_that_fails_leaves_the_earlier_registrations(root: Path) -> None:
    folder = make_plugin(root)
    write_lock(root)
    assert load(root).is_ok()
    before, remembered = default_registry.all(), registrations.remembered()
    (folder / "api.py").write_text(API + "1 / 0\n")
    write_lock(root)
    assert load(root).is_err()
    assert default_registry.all() == before != ()
    assert registrations.remembered() == remembered


def test_what_a_package_registered_before_its_api_is_imported_counts(root: Path) -> None:
    """Another plugin imports the package first; its ``__init__`` does not run again."""
    make_plugin(root, "one", api="from plugins.two import PLUGIN\n")
    (make_plugin(root, "two", api="") / "__init__.py").write_text(API)
    write_lock(root)
    registry = PluginRegistry()
    assert load(root, registry=registry).is_ok()
    assert [plugin.name for plugin in registry.all()] == ["two"]


def test_a_plugin_that_loads_plugins_does_not_wait_for_another_load(root: Path) -> None:
    """It holds its module's lock, which the other load may need."""
    nested = (
        "import pathlib\nfrom codegenie.plugins.loader import load_plugins\n"
        f"ROOT = pathlib.Path({str(root)!r})\n"
        "RESULT = load_plugins(ROOT, ROOT / 'PLUGINS.lock')\n"
    )
    make_plugin(root, "nested", api=nested)
    write_lock(root)
    importing = threading.Event()
    released = threading.Event()

    class Slow:
        def verify(self, plugin_dir: Path, expected: BlobDigest) -> Result[None, VerificationError]:
            importing.set()
            assert released.wait(60)
            return Ok(None)

    from codegenie.plugins import guard

    guard.install(root=root)
    thread = threading.Thread(target=load, args=(root,), kwargs={"verifier": Slow()})
    thread.start()
    assert importing.wait(60)
    api = importlib.import_module("plugins.nested.api")
    released.set()
    thread.join()
    assert isinstance(api.RESULT.unwrap_err(), PluginImportError)
    assert "another load is running" in api.RESULT.unwrap_err().detail


INHERITED = API + (
    "import contextvars\n"
    "import sys\n"
    "application = sys.modules['application_of_the_test']\n"
    "application.start(contextvars.copy_context())\n"
)


class ApplicationPlugin:
    name = "application's own"


class ApplicationThread:
    """A thread of the application that a plugin has started, with the context of its import.

    Threads inherit it with ``-X thread_inherit_context=1``, and in free-threaded builds.
    """

    def __init__(self, *, waits: bool) -> None:
        self.loaded = threading.Event()
        self.plugin = ApplicationPlugin()
        self._waits = waits

    def start(self, context: contextvars.Context) -> None:
        self.thread = threading.Thread(target=context.run, args=[self.register])
        self.thread.start()
        if not self._waits:
            self.thread.join()

    def register(self) -> None:
        if self._waits:
            assert self.loaded.wait(60)
        register_plugin(self.plugin)


@pytest.mark.parametrize("waits", [False, True], ids=["during the import", "after the load"])
def test_registration_of_an_application_thread_is_its_own(
    root: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    application = ApplicationThread(waits=waits)
    monkeypatch.setitem(sys.modules, "application_of_the_test", application)
    make_plugin(root, api=INHERITED)
    write_lock(root)
    registry = PluginRegistry()
    assert load(root, registry=registry).is_ok()
    application.loaded.set()
    application.thread.join()
    assert [plugin.name for plugin in registry.all()] == [SLUG]
    assert default_registry.all() == (application.plugin,)
    again = PluginRegistry()
    assert load(root, registry=again).is_ok()
    assert [plugin.name for plugin in again.all()] == [SLUG]


def test_registration_of_a_callback_after_the_load_is_the_applications(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task, or a callback, keeps a copy of the context in which it was made."""
    kept: list[contextvars.Context] = []
    monkeypatch.setitem(sys.modules, "application_of_the_test", SimpleNamespace(start=kept.append))
    make_plugin(root, api=INHERITED)
    write_lock(root)
    registry = PluginRegistry()
    assert load(root, registry=registry).is_ok()
    own = ApplicationPlugin()
    kept[0].run(register_plugin, own)
    assert default_registry.all() == (own,)
    again = PluginRegistry()
    assert load(root, registry=again).is_ok()
    assert [plugin.name for plugin in again.all()] == [SLUG]


def test_a_plugin_that_raises_shows_its_own_traceback(application: Application) -> None:
    application.write("alpha/deep.py", "def f():\n    return {}['k']\nf()\n")
    application.write("alpha/api.py", "from . import deep\n")
    application.lock()
    outcome = application.run(
        """
        from pathlib import Path
        from codegenie.plugins.loader import load_plugins
        load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock')).unwrap()
        """
    )
    cause = outcome.stderr.partition("The above exception was the direct cause")[0]
    files = [line.split('"')[1] for line in cause.splitlines() if line.startswith("  File ")]
    assert files == [str(application.plugin / name) for name in ("api.py", "deep.py", "deep.py")]
    assert cause.rstrip().endswith("KeyError: 'k'")


def test_an_exception_without_a_text_is_a_rejection(application: Application) -> None:
    application.write(
        "alpha/api.py",
        "class Silent(Exception):\n    def __str__(self):\n        raise ValueError\n\n"
        "raise Silent\n",
    )
    application.lock()
    outcome = application.run(
        """
        from pathlib import Path
        from codegenie.plugins.loader import load_plugins
        loaded = load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock'))
        print(loaded.error.kind, loaded.error.detail, type(loaded.exception.__cause__).__name__)
        """
    )
    assert outcome.stdout.split() == ["plugin_import_error", "Silent", "Silent"], outcome
