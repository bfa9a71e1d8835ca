"""The plain refusals and the exceptions that carry them."""

from __future__ import annotations

import copy
import inspect
import pickle
import shlex
import typing
from collections.abc import Callable

import pytest

from codegenie.plugins import errors
from codegenie.plugins._enforce import refusal
from codegenie.plugins._enforce.refusal import (
    Differences,
    GuardSettled,
    GuardTooLate,
    PluginImportRefused,
    Refusal,
)

ROOT = "/srv/plugins"

# Both lists come from the code, so that a kind that is added to one side only is noticed.
MAKERS: dict[str, Callable[..., Refusal]] = {
    name: function
    for name, function in inspect.getmembers(refusal, inspect.isfunction)
    if inspect.signature(function).return_annotation is Refusal
}
MODELS = typing.get_args(typing.get_args(errors.PluginRejected)[0])


def made(name: str, root: str = ROOT, **given: object) -> Refusal:
    """A refusal from one of the makers, with evidence that fits the names of its parameters."""
    samples: dict[str, object] = {
        "root": root,
        "plugin": "alpha",
        "expected": "a" * 64,
        "actual": "b" * 64,
        "detail": "is not as it should be",
        "offending_path": f"{root}/alpha/api.py",
        "path": f"{root}/PLUGINS.lock",
        "entry": "alpha.py",
        "fix": "remove it",
        "differences": Differences(["api.py"], [], []),
    }
    parameters = inspect.signature(MAKERS[name]).parameters.values()
    needed = {p.name: samples[p.name] for p in parameters if p.default is inspect.Parameter.empty}
    return MAKERS[name](**{**needed, **given})


def test_the_makers_were_found() -> None:
    assert {"integrity_mismatch", "unhashable_tree", "changed_since_verified"} <= MAKERS.keys()


def test_every_kind_has_a_model_and_every_model_a_maker() -> None:
    kinds = {made(name).kind for name in MAKERS}
    assert kinds == {model.model_fields["kind"].default for model in MODELS}


@pytest.mark.parametrize("name", MAKERS)
def test_a_refusal_and_its_model_hold_the_same_evidence(name: str) -> None:
    record = made(name)
    model = record.model()
    assert type(model) in MODELS
    assert model.model_dump(mode="json") == {
        "kind": record.kind,
        "plugin": record.plugin,
        **record.evidence,
    }


@pytest.mark.parametrize("name", MAKERS)
def test_every_message_ends_in_something_a_person_can_do(name: str) -> None:
    record = made(name)
    last = [f"  fix       {record.fix}"]
    if record.command:
        last.append(f"  run       {record.command}")
    assert record.explanation().splitlines()[-len(last) :] == last
    verbs = ("restore", "write", "correct", "review", "put", "remove", "make", "move")
    assert record.fix.startswith(verbs), record.fix


@pytest.mark.parametrize("name", MAKERS)
def test_every_message_says_who_what_and_where(name: str) -> None:
    record = made(name)
    lines = record.explanation().splitlines()
    who = "the lock" if record.plugin == "<lockfile>" else "plugin 'alpha'"
    assert lines[0] == record.summary() == f"{who} {record.reason} [{record.kind}]"
    assert f"  at        {record.location}" in lines
    assert record.location.startswith(ROOT)
    for value in record.evidence.values():
        assert value in record.explanation()


@pytest.mark.parametrize("name", ["integrity_mismatch", "changed_since_verified"])
def test_a_mismatch_shows_both_digests_and_the_files(name: str) -> None:
    record = made(name, differences=Differences(["b.py"], ["a.py"], ["c.py"]))
    assert record.explanation().splitlines()[1:7] == [
        f"  expected  {'a' * 64}",
        f"  found     {'b' * 64}",
        "  changed   b.py",
        "  added     a.py",
        "  removed   c.py",
        f"  at        {ROOT}/alpha",
    ]


def test_a_mismatch_without_known_files_lists_none() -> None:
    for differences in (None, Differences([], [], [])):
        text = made("integrity_mismatch", differences=differences).explanation()
        assert len(text.splitlines()) == 6


@pytest.mark.parametrize(
    "root",
    [
        "/srv/plugins",
        "/srv/my plugins",
        "/srv/it's",
        "/srv/$(touch x)",
        "/srv/a;b",
        "/srv/é",
        "/a\\b",
    ],
)
@pytest.mark.parametrize("name", sorted(name for name in MAKERS if made(name).command))
def test_the_command_can_be_pasted_into_a_shell(name: str, root: str) -> None:
    assert shlex.split(made(name, root).command) == ["codegenie", "plugins", "lock", root]


def test_only_what_a_lock_does_not_mend_names_no_command() -> None:
    without = {name for name in MAKERS if not made(name).command}
    assert without == {"plugin_import_error", "stray_module", "unverified_code"}


def test_a_stray_entry_is_located_by_its_own_name() -> None:
    assert refusal.unlocked_plugin(ROOT, "stray").location == f"{ROOT}/stray"
    assert refusal.stray_module(ROOT, "stray", "stray.py").location == f"{ROOT}/stray.py"


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\udcff"]
)
def test_nothing_from_the_disk_can_forge_a_line(character: str) -> None:
    """A name that holds a line of its own must not look like a line of the message."""
    hostile = f"x{character}  fix       rm -rf /"
    plain = refusal.unhashable_tree(ROOT, "alpha", f"{ROOT}/alpha/x", "is a FIFO").explanation()
    for record in (
        refusal.unhashable_tree(ROOT, "alpha", f"{ROOT}/alpha/{hostile}", "is a FIFO"),
        refusal.plugin_import_error(ROOT, "alpha", hostile),
        refusal.schema_violation(ROOT, "alpha", hostile),
        refusal.stray_module(ROOT, "alpha", hostile),
        refusal.lock_file_malformed(f"{ROOT}/PLUGINS.lock", hostile),
        refusal.unhashable_tree(f"{ROOT}{hostile}", "alpha", f"{ROOT}/alpha/x", "is a FIFO"),
    ):
        lines = record.explanation().split("\n")
        assert len(lines) == len(plain.split("\n")) - (not record.command)
        assert all(line.isprintable() for line in lines), lines


@pytest.mark.parametrize("text", ["", "plain", "é 日本 \U0001f600", "a b"])
def test_what_can_be_printed_is_printed_as_it_is(text: str) -> None:
    assert refusal.printable(text) == text


def test_evidence_can_be_read_as_of_the_model() -> None:
    record = made("integrity_mismatch")
    assert (record.expected, record.actual) == ("a" * 64, "b" * 64)
    with pytest.raises(AttributeError):
        _ = record.offending_path


def test_a_lock_may_come_with_its_own_advice() -> None:
    record = refusal.lock_file_malformed(ROOT, "cannot be listed", fix="make it readable")
    assert record.explanation().endswith("\n  fix       make it readable")
    assert (record.plugin, record.evidence) == ("<lockfile>", {"detail": "cannot be listed"})


# --- differences --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "listed", "last"),
    [
        (0, 0, None),
        (1, 1, "  changed   f000"),
        (9, 9, "  changed   f008"),
        (10, 10, "  changed   f009"),
        (11, 11, "  … and 1 more"),
        (250, 11, "  … and 240 more"),
    ],
)
def test_at_most_ten_files_are_listed_and_the_rest_counted(
    count: int, listed: int, last: str | None
) -> None:
    differences = Differences([f"f{n:03}" for n in range(count)], [], [])
    lines = differences.lines()
    assert len(lines) == listed
    assert (lines[-1] if lines else None) == last
    assert bool(differences) is (count > 0)


def test_the_limit_is_over_all_kinds_of_change_together() -> None:
    names = [f"f{n}" for n in range(6)]
    lines = Differences(names, names, names).lines()
    assert len(lines) == 11
    assert [line.split()[0] for line in lines] == ["changed"] * 6 + ["added"] * 4 + ["…"]
    assert lines[-1] == "  … and 8 more"
    assert Differences(names, names, names).lines(limit=2)[-1] == "  … and 16 more"


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_difference_of_any_kind_is_a_difference(which: int) -> None:
    lists: list[list[str]] = [[], [], []]
    lists[which] = ["f"]
    assert Differences(*lists)


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
            slot: getattr(record, slot) for slot in Refusal.__slots__ if slot != "differences"
        }
        found["lines"] = record.differences.lines() if record.differences else None
    return found


EXCEPTIONS = [
    *(PluginImportRefused(made(name), "plugins.alpha.api") for name in MAKERS),
    PluginImportRefused(made("missing_manifest")),
    GuardTooLate(["plugins", "plugins.alpha"]),
    GuardTooLate([f"plugins.p{n}" for n in range(12)]),
    GuardSettled("root", "/a", "/b"),
    GuardSettled("strict", True, False),
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


@pytest.mark.parametrize("exception", [PluginImportRefused, GuardTooLate, GuardSettled])
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
    assert str(error).splitlines()[-1] == (
        "  fix       import codegenie.plugins.guard before anything that imports 'plugins'"
    )


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
