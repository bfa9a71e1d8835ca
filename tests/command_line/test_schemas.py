"""The output of ``--json`` is valid under the published schemas."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from codegenie.cli import cli, documents
from codegenie.cli.lazy import LazyGroup
from codegenie.text import printable
from tests.fixtures.command_line import in_process
from tests.fixtures.environments import Environment, Result, run_codegenie
from tests.fixtures.trees import MANIFEST, Application
from tests.static.sources import REPOSITORY

PUBLISHED = REPOSITORY / "docs" / "schemas"


def published(command: str) -> Any:
    return json.loads((PUBLISHED / f"{command}.schema.json").read_text())


def assert_valid(command: str, result: Result) -> Any:
    jsonschema.validate(result.document, published(command), jsonschema.Draft202012Validator)
    return result.document


def test_every_command_that_prints_json_has_a_current_schema(tmp_path: Path) -> None:
    assert isinstance(cli, LazyGroup)
    names = {"explain"}
    for group in ("plugins", "trust", "guard"):
        context = cli.make_context("codegenie", [group], resilient_parsing=True)
        found = cli.get_command(context, group)
        assert found is not None
        commands = found.list_commands(context)  # type: ignore[attr-defined]
        names |= {f"{group}-{name}" for name in commands}
    assert names == set(documents.DOCUMENTS)
    assert {path.name for path in PUBLISHED.iterdir()} == {f"{n}.schema.json" for n in names}
    assert in_process(tmp_path, "schema").stdout.split() == sorted(names)
    for name in sorted(names):
        printed = in_process(tmp_path, "schema", name).stdout
        jsonschema.Draft202012Validator.check_schema(json.loads(printed))
        path = PUBLISHED / f"{name}.schema.json"
        renew = f"codegenie schema {name} > docs/schemas/{name}.schema.json"
        assert path.read_text() == printed, f"run: {renew}"


def test_a_schema_is_strict_enough_to_fail() -> None:
    """Each field is demanded, and no other is allowed: a document with one more or less is
    invalid."""
    for name in documents.DOCUMENTS:
        schema = published(name)
        good = {"root": "r", "lock": "l", "rejections": [], "verified": []}
        good["explanations"] = []
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, schema, jsonschema.Draft202012Validator)
        if name == "plugins-verify":
            jsonschema.validate(good, schema)
            for bad in ({**good, "more": 1}, {k: good[k] for k in good.keys() - {"rejections"}}):
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate(bad, schema)
            for kind in ("missing_manifest", "nonsense"):
                document = {**good, "rejections": [{"kind": kind, "plugin": "p", "more": "x"}]}
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate(document, schema)


# --- real output --------------------------------------------------------------------------------


def _change(application: Application) -> None:
    application.write("alpha/helper.py", "changed")


def _no_manifest(application: Application) -> None:
    (application.plugin / "plugin.yaml").unlink()


def _bad_manifest(application: Application) -> None:
    application.write("alpha/plugin.yaml", MANIFEST.format(name="other"))


def _unlocked(application: Application) -> None:
    application.add_plugin("beta")


def _missing(application: Application) -> None:
    shutil.rmtree(application.plugin)


def _link(application: Application) -> None:
    (application.plugin / "link").symlink_to("nowhere")


def _strange_name(application: Application) -> None:
    (Path(str(application.plugin)) / "a\udcff.py").write_text("")


def _no_lock(application: Application) -> None:
    application.lock_path.unlink()


def _nothing(application: Application) -> None:
    pass


BREAK = [
    _nothing,
    _change,
    _no_manifest,
    _bad_manifest,
    _unlocked,
    _missing,
    _link,
    _strange_name,
    _no_lock,
]


@pytest.mark.parametrize("break_it", BREAK)
def test_documents_of_the_plugin_commands(
    application: Application, break_it: Callable[[Application], None]
) -> None:
    application.write_sidecar()
    break_it(application)
    kinds = set()
    for command, *options in (
        ("list",),
        ("verify",),
        ("verify", "--bytecode"),
        ("diff",),
        ("compile",),
        ("verify", "--bytecode"),
        ("lock", "--check"),
        ("lock", "plugins", "alpha", "--check"),
        ("lock",),
    ):
        result = in_process(application.folder, "plugins", command, "--json", *options)
        if result.status == 2:  # the only plugin there was is gone, with what pinned it
            continue
        document = assert_valid(f"plugins-{command}", result)
        assert document["root"] == str(application.root)
        assert document["lock"] == str(application.lock_path)
        kinds |= {rejection["kind"] for rejection in document["rejections"]}
    assert bool(kinds) is (break_it is not _nothing)


def test_documents_of_load_and_new(application: Application) -> None:
    witness = {"WITNESS": str(application.witness)}

    def load() -> Result:
        command = ("plugins", "load", "--json")
        return run_codegenie(*command, cwd=application.folder, environment=witness)

    loaded = assert_valid("plugins-load", load())
    assert (loaded["loaded"], loaded["total_walked"]) == (["alpha"], 1)
    _change(application)
    loaded = assert_valid("plugins-load", load())
    assert (loaded["loaded"], loaded["total_walked"]) == ([], None)
    made = in_process(application.folder, "plugins", "new", "beta", "--json")
    assert assert_valid("plugins-new", made)["plugin"] == "beta"


def test_documents_of_explain(tmp_path: Path) -> None:
    every = assert_valid("explain", in_process(tmp_path, "explain", "--json"))["kinds"]
    assert {"integrity_mismatch", "guard_too_late", "untrusted_lock"} <= {*every}
    for kind in every:
        found = in_process(tmp_path, "explain", kind)
        assert (found.status, found.stdout.count("Usual causes.")) == (0, 1)
    named = in_process(tmp_path, "explain", "[symlink_escape]", "--json")
    assert assert_valid("explain", named)["kind"] == "symlink_escape"
    wrong = in_process(tmp_path, "explain", "nonsense")
    assert (wrong.status, "is not one of: " in wrong.stderr) == (2, True)


def test_documents_of_a_merge(application: Application) -> None:
    for name in ("base", "ours", "theirs"):
        shutil.copy(application.lock_path, application.folder / name)
    command = ("plugins", "merge-lock", "--json", "base", "ours", "theirs", "plugins/PLUGINS.lock")
    assert assert_valid("plugins-merge-lock", in_process(application.folder, *command))["merged"]
    for name, digit in (("ours", "1"), ("theirs", "2")):
        (application.folder / name).write_text(json.dumps({"alpha": digit * 64}))
    merged = assert_valid("plugins-merge-lock", in_process(application.folder, *command))
    assert list(merged["conflicts"]) == ["alpha"]


def _compile(application: Application) -> Result:
    (application.root / "PLUGINS.bytecode").write_text("a file in the way")
    return in_process(application.folder, "plugins", "compile", "--json")


def _new(application: Application) -> Result:
    return in_process(application.folder, "plugins", "new", "beta", "x" * 300, "--json")


def _new_nowhere(application: Application) -> Result:
    command = [sys.executable, "-m", "codegenie", "plugins", "new", "beta", "--json"]
    gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    done = application.start(["sh", "-c", gone, "sh", *command])
    return Result(done.status, done.stdout, done.stderr)


def _merge(application: Application) -> Result:
    ours = "x" * 255  # the longest name there is; the one of a temporary file beside it is longer
    for name in ("base", ours, "theirs"):
        shutil.copy(application.lock_path, application.folder / name)
    command = ("merge-lock", "--json", "base", ours, "theirs", "plugins/PLUGINS.lock")
    return in_process(application.folder, "plugins", *command)


def _watch(application: Application) -> Result:
    name = os.fsdecode(b"\xff")
    application.root.rename(application.folder / name)
    return in_process(application.folder, "plugins", "verify", "--watch", "--json", name)


def _load(application: Application) -> Result:
    program = (
        "import codegenie.plugins.guard as guard\n"
        "guard.pin(folders=[{'root': 'plugins'}], mode='audit')\n"
        "from codegenie.cli import cli\n"
        "cli(['plugins', 'load', '--json'])\n"
    )
    done = application.start([sys.executable, "-c", program])
    return Result(done.status, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("compile", _compile),
        ("new", _new),
        ("new", _new_nowhere),
        ("merge-lock", _merge),
        ("verify", _watch),
        ("load", _load),
    ],
)
def test_documents_of_what_could_not_be_done(
    application: Application, command: str, run: Callable[[Application], Result]
) -> None:
    result = run(application)
    assert result.status == 1, result
    document = assert_valid(f"plugins-{command}", result)
    assert result.stderr.splitlines()[0] == printable(document["error"]), result


def test_documents_of_the_guard_commands(application: Application, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    install = ("install", "--root", str(application.root), "--json")
    assert assert_valid("guard-status", environment.guard("status", "--json"))["by"] is None
    done = assert_valid("guard-install", environment.guard(*install))
    assert done["state"] == "enforcing"
    status = assert_valid("guard-status", environment.guard("status", "--json"))
    assert status["guard"]["root"] == str(application.root)
    (written,) = (Path(path) for path in done["added"])
    written.write_text(written.read_text() + "# edited\n")
    assert "error" in assert_valid("guard-install", environment.guard(*install))
    kept = assert_valid("guard-uninstall", environment.guard("uninstall", "--json"))["kept"]
    assert kept == {str(written): "edited"}
    written.unlink()
    assert assert_valid("guard-uninstall", environment.guard("uninstall", "--json"))["kept"] == {}
