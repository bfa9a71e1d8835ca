"""The steps of ``action.yml``, run as a runner runs them.

``Runner`` handles the output as GitHub's runner does, after ``ActionCommand.cs`` and
``ActionCommandManager.cs`` of the runner: which lines it takes for commands, in both forms that it
knows, and what ``stop-commands`` keeps from it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from codegenie.authoring import locking
from tests.fixtures.environments import clean_environment
from tests.fixtures.trees import Application
from tests.static.sources import REPOSITORY

ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text())
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]

EXPRESSION = re.compile(r"\$\{\{ *(.*?) *\}\}")
COMMAND_V2 = re.compile(r"::([\w-]+)(?: (.*?))?::(.*)")
COMMAND_V1 = re.compile(r"##\[([\w-]+)(?: (.*?))?\](.*)")

SCHEMA = {
    "type": "object",
    "required": ["name", "description", "runs"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "description": {"type": "string", "maxLength": 1000},
        "inputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["description", "default"],
                "additionalProperties": False,
                "properties": {"description": {"type": "string"}, "default": {"type": "string"}},
            },
        },
        "outputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["description", "value"],
                "additionalProperties": False,
                "properties": {"description": {"type": "string"}, "value": {"type": "string"}},
            },
        },
        "runs": {
            "type": "object",
            "required": ["using", "steps"],
            "additionalProperties": False,
            "properties": {
                "using": {"const": "composite"},
                "steps": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        # No "uses": the action runs nothing of third parties.
                        "required": ["name", "id", "shell", "run"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "id": {"type": "string"},
                            "shell": {"const": "bash"},
                            "env": {"type": "object", "additionalProperties": {"type": "string"}},
                            "run": {"type": "string"},
                        },
                    },
                },
            },
        },
    },
}


class Runner:
    """Runs the action in a folder, and reads what it prints as GitHub's runner does."""

    def __init__(self, workspace: Path, folder: Path) -> None:
        self.workspace = workspace
        self.folder = folder
        self.steps: dict[str, dict[str, str]] = {}
        self.commands: list[tuple[str, dict[str, str], str]] = []
        self.log = ""
        self.status = 0
        self.environment: dict[str, str] = {}

    def run(self, **inputs: str) -> None:
        values = {name: given["default"] for name, given in ACTION["inputs"].items()}
        values.update({"python": sys.executable, "version": "installed", **inputs})
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for step in STEPS:
            self._step(step, values)
            if self.status:
                break

    @property
    def summary(self) -> str:
        return (self.folder / "summary").read_text()

    def outputs(self) -> dict[str, str]:
        """Return the outputs of the action."""
        return {name: self._value(out["value"], {}) for name, out in ACTION["outputs"].items()}

    def annotations(self) -> list[tuple[str, str, str]]:
        assert {command for command, _, _ in self.commands} <= {"error"}, self.commands
        return [(p.get("file", ""), p["title"], text) for _, p, text in self.commands]

    def _step(self, step: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        output = self.folder / f"output-{step['id']}"
        output.touch()
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env={
                **clean_environment(),
                **self.environment,
                "LC_ALL": "C",
                "GITHUB_ACTION_PATH": str(REPOSITORY),
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_TEMP": str(self.folder),
                **{name: self._value(text, inputs) for name, text in step["env"].items()},
            },
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        if step["id"] == "check":
            assert not done.stderr, done  # the runner reads the two streams in no order
        self.log += done.stdout
        self.status = done.returncode
        self._read(done.stdout)
        lines = output.read_text().splitlines()
        self.steps[step["id"]] = dict(line.split("=", 1) for line in lines)

    def _value(self, text: str, inputs: Mapping[str, str]) -> str:
        def evaluate(found: re.Match[str]) -> str:
            match found[1].split("."):
                case ["inputs", name]:
                    return inputs[name]
                case ["steps", step, "outputs", name]:
                    return self.steps[step].get(name, "")
            raise AssertionError(found[0])

        return EXPRESSION.sub(evaluate, text)

    def _read(self, output: str) -> None:
        stopped: str | None = None
        for line in output.splitlines():
            found = COMMAND_V2.match(line.lstrip()) or COMMAND_V1.search(line)
            if found is None:
                continue
            name, properties, data = found[1], found[2] or "", found[3]
            if stopped is not None:
                stopped = None if name == stopped else stopped
            elif name == "stop-commands":
                stopped = data
            else:
                pairs = [pair.split("=", 1) for pair in properties.split(",") if "=" in pair]
                values = {key: unescape(value) for key, value in pairs}
                self.commands.append((name, values, unescape(data)))
        assert stopped is None, "commands are still stopped"


def unescape(text: str) -> str:
    for code, character in (("0D", "\r"), ("0A", "\n"), ("3A", ":"), ("2C", ","), ("25", "%")):
        text = text.replace(f"%{code}", character)
    return text


@pytest.fixture
def runner(application: Application, tmp_path: Path) -> Runner:
    lock(application)
    return Runner(application.folder, tmp_path / "runner")


def lock(application: Application) -> None:
    """With the sidecar, so that it is known which files differ."""
    proposal = locking.propose(str(application.root))
    assert locking.write_proposal(proposal, str(application.lock_path)) is None


def test_it_is_a_composite_action() -> None:
    jsonschema.validate(ACTION, SCHEMA)
    for step in STEPS:
        # An expression is put into a script as it is, and what it says would be run.
        assert "${{" not in step["run"], step["name"]


def test_nothing_differs(runner: Runner) -> None:
    runner.run()
    assert (runner.status, runner.annotations()) == (0, []), runner.log
    assert runner.summary == "Plugins: all 1 match the lock.\n"
    report = str(runner.folder / "codegenie" / "lock.json")
    assert runner.outputs() == {"up-to-date": "true", "plugins": "[]", "report": report}
    assert json.loads(Path(report).read_text())["would_change"] is False


def test_it_brings_a_codegenie_of_its_own(runner: Runner, application: Application) -> None:
    """From pinned hashes, into an environment that is not the one of the given Python."""
    application.write("alpha/new.py", "")
    runner.run(version="")
    assert runner.status == 4, runner.log
    assert [path for path, _, _ in runner.annotations()] == ["plugins/alpha/new.py"]
    python = runner.steps["install"]["python"]
    assert python == str(runner.folder / "codegenie" / "env" / "bin" / "python")


def test_files_that_differ_are_marked(runner: Runner, application: Application) -> None:
    application.write("alpha/data, 100%: ü.txt", "1")
    lock(application)
    application.write("alpha/data, 100%: ü.txt", "2")
    application.write("alpha/new.py", "")
    application.write("alpha/helper.py", "import os; os._exit(9)")  # never run
    (application.plugin / "api.py").unlink()
    application.add_plugin("beta")
    runner.run()
    assert runner.status == 4, runner.log
    fix = "Review it, then run: codegenie plugins lock plugins"
    assert runner.annotations() == [
        (
            f"plugins/{plugin}/{path}",
            f"Plugin {plugin} is not as it was locked",
            f"{path} {what} what the lock pins. {fix}",
        )
        for plugin, path, what in [
            ("alpha", "data, 100%: ü.txt", "is not"),
            ("alpha", "helper.py", "is not"),
            ("alpha", "new.py", "was added to"),
            ("alpha", "api.py", "is missing from"),
            ("beta", "api.py", "was added to"),
            ("beta", "helper.py", "was added to"),
            ("beta", "plugin.yaml", "was added to"),
        ]
    ]
    assert "<td>plugins/alpha/data, 100%: ü.txt</td>" in runner.summary
    assert "<code>codegenie plugins lock plugins</code>" in runner.summary
    assert runner.outputs()["up-to-date"] == "false"
    assert runner.outputs()["plugins"] == '["alpha", "beta"]'
    assert not application.witness.exists()


FORGED = [
    "::add-mask::x.py",
    "##[add-mask]y.py",
    "a,title=forged::b.py",
    "<b>c & d`|.py",
]


def test_names_from_the_folder_are_no_commands(runner: Runner, application: Application) -> None:
    control = Runner(runner.workspace, runner.folder)
    control._read("\n".join(FORGED))
    assert [command for command, _, _ in control.commands] == ["add-mask", "add-mask"]

    for name in FORGED:
        application.write(f"alpha/{name}", "")
    runner.run()
    assert runner.status == 4, runner.log
    assert [path for path, _, _ in runner.annotations()] == [
        f"plugins/alpha/{name}" for name in sorted(FORGED)
    ]
    assert "<b>" not in runner.summary
    assert "&lt;b&gt;c &amp; d`|.py" in runner.summary

    # One with a line break is refused, and the refusal names it, in both commands' messages.
    runner.commands.clear()
    application.write("alpha/a\n::add-mask::z.py", "")
    runner.run()
    ((path, _, text),) = runner.annotations()
    assert path == r"plugins/alpha/a\u000a::add-mask::z.py"
    assert text.startswith("unhashable tree: ")


def test_more_files_than_github_shows(runner: Runner, application: Application) -> None:
    for number in range(20):
        application.write(f"alpha/{number:02}.py", "")
    runner.run()
    assert len(runner.annotations()) == 10
    last = ("", "More plugin files", "and 11 more, in the summary of this job")
    assert runner.annotations()[-1] == last
    assert runner.summary.count("was added to") == 20


def test_what_cannot_be_locked(runner: Runner, application: Application) -> None:
    application.write("alpha/plugin.yaml", "name: alpha\nscope: {}\n")
    runner.run()
    assert runner.status == 4, runner.log
    ((path, title, text),) = runner.annotations()
    assert (path, title) == ("plugins/alpha/plugin.yaml", "Plugin alpha is not as it was locked")
    assert text.startswith("schema violation: ")


def test_a_lock_with_merge_markers(runner: Runner, application: Application) -> None:
    application.lock_path.write_text("<<<<<<< ours\n{}\n")
    runner.run()
    assert runner.status == 4, runner.log
    ((path, title, text),) = runner.annotations()
    assert (path, title) == ("plugins/PLUGINS.lock", "The lock is out of date")
    assert text.startswith("the lock is not valid: ")


def test_without_the_sidecar_the_plugin_is_marked(runner: Runner, application: Application) -> None:
    application.write("alpha/helper.py", "")
    (application.root / "PLUGINS.sha256").unlink()
    runner.run()
    ((path, _, text),) = runner.annotations()
    assert path == "plugins/alpha/plugin.yaml"
    assert text.startswith("the plugin is not what the lock pins. ")


def test_inputs_are_data(runner: Runner, application: Application) -> None:
    """Another folder and another lock, with names that a shell would act on."""
    moved = application.folder / "$(touch pwned) `touch pwned`"
    application.root.rename(moved)
    (moved / "PLUGINS.lock").rename(application.folder / "a b;touch pwned")
    runner.run(root=moved.name, lock="a b;touch pwned")
    assert (runner.status, runner.annotations()) == (0, []), runner.log
    runner.run(root="--help")
    assert runner.status == 2, runner.log
    assert not (application.folder / "pwned").exists()


def test_modules_of_the_checked_repository_are_not_run(
    runner: Runner, application: Application
) -> None:
    for name in ("codegenie", "secrets", "json", "venv"):
        (application.folder / f"{name}.py").write_text("raise SystemExit('planted')")
    runner.run()
    assert (runner.status, runner.log.count("planted")) == (0, 0), runner.log


@pytest.mark.parametrize("module", ["yaml", "sitecustomize", "codegenie", "encodings"])
@pytest.mark.parametrize("where", [".", "src"])
def test_no_module_of_the_repository_runs(
    application: Application, runner: Runner, module: str, where: str
) -> None:
    """A pull request may add any file, and jobs often set PYTHONPATH to a folder of theirs."""
    canary = application.folder / "canary"
    added = application.folder / where / f"{module}.py"
    added.parent.mkdir(exist_ok=True)
    added.write_text(f"open({str(canary)!r}, 'w').close()\nraise ImportError('not this one')\n")
    runner.environment = {
        "PYTHONPATH": where,
        "PYTHONSTARTUP": str(added),
        "PYTHONINSPECT": "",
        "PYTHONBREAKPOINT": module,
    }
    runner.run()
    assert (runner.status, runner.annotations()) == (0, []), runner.log
    assert not canary.exists()


def test_what_the_action_starts_sees_no_variable_of_the_job(runner: Runner, tmp_path: Path) -> None:
    """pip starts the build backend without -E."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/bash\nenv > " + str(tmp_path / "seen") + f'\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    runner.environment = {"PYTHONPATH": "src", "PYTHONHOME_OF_NOBODY": "x"}
    runner.run(python=str(python))
    assert runner.status == 0, runner.log
    seen = (tmp_path / "seen").read_text().splitlines()
    assert [line.partition("=")[0] for line in seen if line.startswith("PYTHON")] == ["PYTHON"]
