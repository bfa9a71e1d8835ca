"""The plain refusals and the exceptions that carry them."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import typing
from collections.abc import Callable

import pytest

from codegenie.plugins import errors
from codegenie.refusals import kinds
from codegenie.refusals.differences import Differences, Guess
from codegenie.refusals.exceptions import (
    GuardNotEnforcing,
    GuardSettled,
    GuardTooLate,
    PluginImportRefused,
)
from codegenie.refusals.record import Refusal

ROOT = "/srv/plugins"

# Every way to make a refusal: the kinds of the table, and the functions for special words.
MAKERS: dict[str, Callable[..., Refusal]] = {
    **{kind.name: kind.refusal for kind in kinds.KINDS},
    "changed_since_verified": kinds.changed_since_verified,
    "unlocked": kinds.unlocked_plugin,
    "stray_bytecode": kinds.stray_bytecode,
    "link": kinds.symlink_escape,
    "lock": kinds.lock_file_malformed,
    "no_lock": kinds.lock_missing,
    "code": kinds.unverified_code,
    "untrusted": kinds.untrusted_lock,
}
EVIDENCE = {kind.name: kind.evidence for kind in kinds.KINDS}
MODELS = typing.get_args(typing.get_args(errors.PluginRejected)[0])


def made(name: str, root: str = ROOT, **given: object) -> Refusal:
    """Return a refusal from one of the makers, with evidence that fits its parameters."""
    samples: dict[str, object] = {
        "root": root,
        "plugin": "alpha",
        "expected": "a" * 64,
        "actual": "b" * 64,
        "detail": "is not as it should be",
        "offending_path": f"{root}/alpha/api.py",
        "path": f"{root}/PLUGINS.lock",
        "entry": "alpha",
        "remedy": "remove it",
        "lock": f"{root}/PLUGINS.lock",
        "needed": 2,
        "counted": ("alice",),
        "signatures": ("alice.sig: counts for alice", "bob.sig: is by a key that is revoked"),
    }
    parameters = inspect.signature(MAKERS[name]).parameters.values()
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is inspect.Parameter.empty
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    return MAKERS[name](
        **{key: samples[key] for key in (*needed, *EVIDENCE.get(name, ()))}, **given
    )


def test_every_function_of_the_module_is_tried() -> None:
    functions = {
        function
        for _, function in inspect.getmembers(kinds, inspect.isfunction)
        if inspect.signature(function).return_annotation is Refusal
    }
    assert functions <= set(MAKERS.values())


def test_every_kind_has_a_model_with_its_evidence() -> None:
    fields = {
        model.model_fields["kind"].default: {*model.model_fields} - {"kind", "plugin"}
        for model in MODELS
    }
    assert fields == {kind.name: set(kind.evidence) for kind in kinds.KINDS}


def test_evidence_of_another_kind_is_an_error() -> None:
    with pytest.raises(TypeError, match="symlink_escape has the evidence"):
        kinds.SYMLINK_ESCAPE.refusal(ROOT, "alpha", detail="is not as it should be")


@pytest.mark.parametrize("name", MAKERS)
def test_a_refusal_and_its_model_hold_the_same_evidence(name: str) -> None:
    record = made(name)
    model = record.model()
    assert type(model) in MODELS
    assert json.loads(model.model_dump_json()) == {
        "kind": record.kind,
        "plugin": record.plugin,
        **json.loads(json.dumps(record.evidence)),
    }


@pytest.mark.parametrize("name", MAKERS)
def test_every_refusal_says_what_a_person_can_do(name: str) -> None:
    record = made(name)
    verbs = ("restore", "write", "correct", "review", "put", "remove", "make", "move", "delete")
    assert record.fix.startswith(verbs), record.fix


@pytest.mark.parametrize("name", MAKERS)
def test_every_refusal_says_who_what_and_where(name: str) -> None:
    record = made(name)
    who = "the lock" if name in ("lock", "no_lock", "untrusted") else "plugin 'alpha'"
    assert record.summary() == f"{who} {record.reason} [{record.kind}]"
    assert record.location.startswith(ROOT)
    for value in record.evidence.values():
        for text in value if isinstance(value, tuple) else (str(value),):
            # The message of a missing lock has the reason on one line and the path on another.
            assert text.removesuffix(": does not exist") in record.explanation()


def test_a_plugin_named_like_the_lock_is_no_lock() -> None:
    of_plugin = kinds.unlocked_plugin(ROOT, "<lockfile>")
    of_lock = kinds.lock_file_malformed(f"{ROOT}/PLUGINS.lock", "is not JSON")
    assert (of_plugin.is_about_lock, of_lock.is_about_lock) == (False, True)
    assert of_plugin.summary().startswith("plugin '<lockfile>' ")
    assert of_lock.summary().startswith("the lock ")


def test_a_plugin_named_like_the_package_is_distinct() -> None:
    of_plugin = kinds.unverified_code("plugins", f"{ROOT}/plugins/x.py", "it is new", remedy="move")
    of_package = kinds.unverified_code(None, "/elsewhere/plugins.py", "it is new", remedy="move")
    of_folder = kinds.unverified_code(None, "/tops/x.py", "it is new", remedy="", package="/tops")
    assert (of_folder.plugin, of_folder.subject) == ("/tops", "the folder '/tops'")
    assert of_plugin.plugin == of_package.plugin == "plugins"
    assert of_plugin.summary().startswith("plugin 'plugins' ")
    assert of_package.summary().startswith("the package 'plugins' ")


def test_a_name_from_the_disk_can_be_printed() -> None:
    record = kinds.unverified_code("a\n\udcff", f"{ROOT}/a", "it is new", remedy="move")
    assert record.plugin == "a\\u000a\\udcff"
    assert record.model().model_dump_json()


def test_only_what_a_lock_does_not_mend_names_no_command() -> None:
    without = {name for name in MAKERS if not made(name).steps}
    assert without == {
        "plugin_import_error",
        "stray_bytecode",
        "unverified_code",
        "code",
        "untrusted_lock",
        "untrusted",
    }


def test_the_decider_adds_its_folder_and_lock() -> None:
    """A reader of a lock does not know which folder it is for, nor a walk which lock."""
    for record in (
        kinds.lock_file_malformed("/etc/app.lock", "is not JSON"),
        kinds.symlink_escape("/elsewhere", "alpha", "/elsewhere/alpha/link"),
    ):
        settled = record.with_context(ROOT, "/etc/app.lock")
        assert settled is record
        assert (record.root, record.lock) == (ROOT, "/etc/app.lock")
        assert record.lock_written is None  # there is none; and nothing is raised


def test_what_cannot_be_looked_up_does_not_come_between() -> None:
    record = made("symlink_escape")
    assert record.with_context(ROOT + "\0", "\udcff\0").explanation()
    other = made("integrity_mismatch", differences=Differences(["\ud800", "a\0b"], [], []))
    assert other.with_context("/", "/PLUGINS.lock").explanation()


def test_a_stray_entry_is_located_by_its_own_name() -> None:
    assert kinds.unlocked_plugin(ROOT, "stray").location == f"{ROOT}/stray"
    assert kinds.stray_bytecode(ROOT, "stray.pyc").location == f"{ROOT}/stray.pyc"


def test_evidence_can_be_read_as_of_the_model() -> None:
    record = made("integrity_mismatch")
    assert (record.expected, record.actual) == ("a" * 64, "b" * 64)
    with pytest.raises(AttributeError):
        _ = record.offending_path


def test_a_lock_may_come_with_its_own_advice() -> None:
    record = kinds.lock_file_malformed(
        ROOT, "read-only", reason="cannot be written", remedy="make it writable"
    )
    assert record.explanation().startswith("the lock cannot be written [lock_file_malformed]\n")
    assert "\n  fix       make it writable\n" in record.explanation()
    assert record.steps == ()
    assert (record.plugin, record.evidence) == ("<lockfile>", {"detail": "read-only"})


# --- exceptions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_a_refused_import_carries_the_whole_story(name: str) -> None:
    record = made(name)
    error = PluginImportRefused(record, "plugins.alpha.api")
    assert isinstance(error, ImportError)
    assert not isinstance(error, ModuleNotFoundError)
    assert error.refusal is record
    assert error.rejection == record.model()
    assert (error.name, error.path) == ("plugins.alpha.api", record.location)
    assert str(error) == (
        f"the plugin guard refused to import 'plugins.alpha.api'\n{record.explanation()}"
    )


def test_a_refusal_without_a_name_names_the_plugin() -> None:
    error = PluginImportRefused(made("missing_manifest"))
    assert error.name is None
    assert str(error).startswith("the plugin guard refused to import 'alpha'\n")


def state(error: BaseException) -> dict[str, object]:
    found = {key: value for key, value in vars(error).items() if not isinstance(value, Refusal)}
    if isinstance(error, ImportError):
        found |= {"name": error.name, "path": error.path}
    if isinstance(error, PluginImportRefused):
        record = error.refusal
        found |= {
            slot: getattr(record, slot)
            for slot in Refusal.__slots__
            if slot not in ("differences", "guess")
        }
        found["text"] = record.explanation()
    return found


def guessed() -> PluginImportRefused:
    record = made("integrity_mismatch", differences=None)
    record.guess = Guess({"api.py": 0}, 1, 3)
    record.lock_written = 0
    return PluginImportRefused(record, "plugins.alpha.api")


EXCEPTIONS = [
    guessed(),
    *(PluginImportRefused(made(name), "plugins.alpha.api") for name in MAKERS),
    PluginImportRefused(made("missing_manifest")),
    GuardTooLate(["plugins", "plugins.alpha"]),
    GuardTooLate([f"plugins.p{n}" for n in range(12)]),
    GuardSettled("root", "/a", "/b"),
    GuardSettled("strict", True, False),
    GuardNotEnforcing("it only audits"),
]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_an_exception_travels_between_processes(error: BaseException, protocol: int) -> None:
    travelled = pickle.loads(pickle.dumps(error, protocol))
    assert type(travelled) is type(error)
    assert str(travelled) == str(error)
    assert state(travelled) == state(error)
    assert state(error), "nothing was compared"


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_an_exception_can_be_copied(error: BaseException) -> None:
    assert state(copy.copy(error)) == state(error)
    assert state(copy.deepcopy(error)) == state(error)


@pytest.mark.parametrize(
    "exception", [PluginImportRefused, GuardTooLate, GuardSettled, GuardNotEnforcing]
)
def test_an_exception_shows_its_public_home(exception: type[BaseException]) -> None:
    assert exception.__module__ == "codegenie.plugins.errors"
    assert getattr(errors, exception.__name__) is exception
    assert exception.__name__ in errors.__all__


def test_too_late_names_the_modules_and_the_way_out() -> None:
    error = GuardTooLate(["plugins", "plugins.alpha"])
    assert isinstance(error, ImportError)
    assert not isinstance(error, ModuleNotFoundError)
    assert error.modules == ("plugins", "plugins.alpha")
    assert error.name == "plugins"
    assert "loaded without it: plugins, plugins.alpha\n" in str(error)
    assert str(error).splitlines()[1:] == [
        "  fix       call codegenie.plugins.guard.install() before anything that imports 'plugins'",
        "  help      codegenie explain guard_too_late",
    ]


def test_too_late_lists_at_most_ten_modules() -> None:
    error = GuardTooLate([f"plugins.p{n:02}" for n in range(13)])
    assert len(error.modules) == 13
    assert "plugins.p09 and 3 more\n" in str(error)
    assert "plugins.p10" not in str(error)


def test_settled_names_setting_present_and_requested() -> None:
    error = GuardSettled("mode", "enforce", "audit")
    assert isinstance(error, RuntimeError)
    assert (error.setting, error.present, error.requested) == ("mode", "enforce", "audit")
    assert "mode='enforce'" in str(error)
    assert "mode='audit' must be set before the first import of a plugin" in str(error)
    assert str(error).endswith("\n  help      codegenie explain guard_settled")


def test_not_enforcing_says_why_and_where_to_look() -> None:
    assert str(GuardNotEnforcing("it only audits")).splitlines() == [
        "plugins are not guarded as this application requires: it only audits",
        "  fix       codegenie guard install --root ROOT, with the folder of the plugins",
        "  see       codegenie guard status",
        "  help      codegenie explain guard_not_enforcing",
    ]
