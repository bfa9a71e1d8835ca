"""Run an attack without the guard and with it, and check the outcome."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.attacks.attack import (
    EVIL,
    MARK,
    PAYLOAD,
    THE_ROOT,
    Attack,
    Closed,
    Ignored,
    NotThere,
    Refused,
)
from tests.attacks.controls import Control, honest
from tests.attacks.forms import PLUGINS, Form
from tests.fixtures.trees import (
    EAGER_SCRIPT,
    PLUGIN,
    Application,
    Outcome,
    lazy_imports,
    oracle,
)

HERE = Path(__file__).parent
PREAMBLE = f"PAYLOAD, EVIL = {PAYLOAD!r}, {EVIL!r}\n" + (HERE / "child.py").read_text()

GUARD = "codegenie"
"""The guard that is tested; ``weak_guards`` has others, which must fail."""

MAX_MEMORY = 100 * 1024
"""In KiB: what a refusal may cost."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of an attack. The guard stopped it as expected if there are no ``problems``."""

    attack: Attack
    unguarded: str
    guarded: str
    problems: tuple[str, ...]
    executed: bool
    """True if the payload ran in spite of the guard."""


def pinned_line(settings: Mapping[str, Any], form: Form = PLUGINS) -> str:
    """Return the line that pins settings, as an activation file does."""
    folder: dict[str, object] = {"root": form.folder, "package": form.package}
    if form.package == "":
        folder["names"] = [PLUGIN]
    trust = dict(settings.get("trust", {}))
    folder.update({name: trust.pop(name) for name in ("floor", "statement") if name in trust})
    arguments = f"folders=[{folder!r}]" + (f", trust={trust!r}" if "trust" in settings else "")
    return f"import codegenie.plugins.guard; codegenie.plugins.guard.pin({arguments})\n"


def first_line(
    guard: str,
    settings: Mapping[str, Any],
    folders: Sequence[Mapping[str, object]] = (),
    form: Form = PLUGINS,
    *,
    pinned: bool = False,
) -> str:
    """Return the line that switches a guard on; empty for none."""
    if pinned and guard == GUARD:
        return pinned_line(settings, form)
    settings = {**form.settings, **settings}
    if not guard:
        return ""
    if guard != GUARD:
        return (
            f"import sys; sys.path.append({str(HERE)!r}); import weak_guards; "
            f"sys.path.remove({str(HERE)!r}); weak_guards.install({guard!r})\n"
        )
    arguments = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    # The call installs it where the import is lazy, too.
    line = f"import codegenie.plugins.guard; codegenie.plugins.guard.install({arguments})\n"
    further = (f"codegenie.plugins.guard.add(**{dict(folder)!r})\n" for folder in folders)
    return line + "".join(further)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder to attack in, removed whatever was put there."""
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    try:
        yield folder
    finally:
        # Not shutil.rmtree, which recurses. A folder without permissions is given some first.
        subprocess.run(["chmod", "-R", "u+rwX", folder], check=False, capture_output=True)
        subprocess.run(["rm", "-rf", folder], check=True)


def start(
    application: Application,
    script: str,
    arguments: tuple[str, ...],
    *,
    first: str,
    flags: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    seconds: int = 60,
) -> Outcome:
    """Start a fresh interpreter in the application's folder, which does ``first`` first.

    Raises:
        subprocess.TimeoutExpired: it hangs.
    """
    variables = dict(environment or {})
    if lazy_imports() and "lazy" not in script:
        first = EAGER_SCRIPT + first
    command = [sys.executable, *flags]
    if arguments:
        site = application.folder / "site"
        site.mkdir()
        (site / "sitecustomize.py").write_text(first)
        variables["PYTHONPATH"] = str(site)
        command += arguments
    else:
        command += ["-c", first + textwrap.dedent(script)]
    return application.start(command, environment=variables, timeout=seconds)


def attempt(
    attack: Attack, application: Application, guard: str, script: str = "", form: Form = PLUGINS
) -> Outcome:
    """Run an attack's script, or the one given, as the attack says."""
    preamble = PREAMBLE.replace('"plugins"', repr(form.folder))
    return start(
        application,
        script or attack.script,
        () if script else attack.arguments,
        first=preamble
        + form.first.replace("ROOT", repr(str(application.root)))
        + first_line(guard, attack.settings, attack.folders, form, pinned=attack.pinned),
        # -B: what the interpreter without the guard leaves behind is no part of any attack.
        flags=("-B", *attack.flags),
        environment=attack.environment,
        seconds=attack.seconds,
    )


def run(
    attack: Attack, folder: Path, guard: str = GUARD, form: Form = PLUGINS, *, repairs: bool = True
) -> Verdict:
    """Run an attack in an empty folder: unguarded, guarded, and what was attacked, repaired.

    Args:
        guard: the guard that is tested.
        form: how the attacked folder is guarded.
        repairs: import from the folder again, after it was repaired.
    """
    problems = []
    unguarded = Application(_made(folder / "unguarded"), form.folder)
    attack.prepare(unguarded)
    try:
        plain = _without(attack, unguarded, form)
    except subprocess.TimeoutExpired:
        return Verdict(attack, "hung", "not tried", ("it hangs without the guard",), False)
    ran = MARK in plain.executed
    if not ran:
        problems.append(f"the payload does not run without the guard: {_end_of(plain)}")

    application = Application(_made(folder / "guarded"), form.folder)
    attack.prepare(application)
    locked = _locked(application.folder / attack.lock)
    try:
        outcome = attempt(attack, application, guard, form=form)
    except subprocess.TimeoutExpired:
        return Verdict(attack, "ran" if ran else "did not run", "hung", ("it hangs",), False)
    executed = MARK in outcome.executed
    if executed:
        problems.append("the payload ran")
    problems += judge(attack, application, outcome, locked)
    if repairs and not executed and not isinstance(attack.expected, Ignored):
        problems += _repaired(attack, application, guard, form)
    guarded = "EXECUTED" if executed else str(attack.expected) if not problems else "WRONG"
    return Verdict(
        attack, "ran" if ran else "did not run", guarded, tuple(problems), executed=executed
    )


def problems_in(form: Form, verdict: Verdict) -> tuple[str, ...]:
    """Return the problems of a verdict. An attack that makes no sense in a form must have some."""
    reason = form.senseless.get(verdict.attack.name)
    if reason is None:
        return verdict.problems
    return () if verdict.problems else (f"listed as senseless ({reason}), but it is stopped",)


def _without(attack: Attack, application: Application, form: Form) -> Outcome:
    """Run an attack without the guard; one against a policy, with the guard and no policy."""
    if "trust" not in attack.settings:
        return attempt(attack, application, guard="", form=form)
    settings = {name: value for name, value in attack.settings.items() if name != "trust"}
    folders = tuple(
        {name: value for name, value in folder.items() if name not in ("floor", "statement")}
        for folder in attack.folders
    )
    trusting = replace(attack, settings=settings, folders=folders)
    return attempt(trusting, application, GUARD, form=form)


def compare(control: Control, folder: Path, guard: str = GUARD) -> list[str]:
    """Run a control in an empty folder, unguarded and guarded; return what is not the same."""
    outcomes = []
    for line in ("", first_line(guard, control.settings)):
        # Under one path, which tracebacks show.
        application = Application(_made(folder / "application"))
        honest(application)
        control.prepare(application)
        try:
            outcome = start(
                application, control.script, control.arguments, first=line, flags=control.flags
            )
        except subprocess.TimeoutExpired:
            return ["it hangs"]
        outcomes.append(outcome)
        application.folder.rename(folder / f"done{len(outcomes)}")
    plain, guarded = outcomes
    if plain.status != 0:
        return [f"it does not work without the guard: {plain.stderr[-1000:]}"]
    return [
        f"{what}: {before!r} became {after!r}"
        for what, before, after in (
            ("status", plain.status, guarded.status),
            ("output", plain.stdout, guarded.stdout),
            ("messages", plain.stderr, guarded.stderr[-2000:]),
            ("modules that ran", sorted(plain.executed), sorted(guarded.executed)),
        )
        if before != after
    ]


def judge(
    attack: Attack, application: Application, outcome: Outcome, locked: Mapping[str, str]
) -> list[str]:
    """Describe how the guarded run differs from the expectation of the attack."""
    expected = attack.expected
    if isinstance(expected, Ignored):
        return _judge_ignored(expected, outcome)
    report = _report(outcome)
    if report is None:
        return [f"nothing was raised, status {outcome.status}: {_end_of(outcome)}"]
    problems = []
    if outcome.status != getattr(expected, "status", 1):
        problems.append(f"the process did not end as an exception ends it: {outcome.status}")
    if report["memory"] > MAX_MEMORY:
        problems.append(f"it took {report['memory']} KiB of memory")
    chain: list[dict[str, Any]] = report["chain"]
    if isinstance(expected, Refused):
        return problems + _judge_refusal(expected, application, chain, locked)
    return problems + _judge_exception(expected, chain[0])


def _judge_ignored(expected: Ignored, outcome: Outcome) -> list[str]:
    if outcome.status != 0:
        return [f"it should have run to its end: {_end_of(outcome)}"]
    if expected.ran not in outcome.executed:
        return [f"{expected.ran} did not run, only {outcome.executed}"]
    return []


def _judge_exception(expected: NotThere | Closed, error: dict[str, Any]) -> list[str]:
    if isinstance(expected, NotThere):
        found = (error["type"], error["name"])
        if found != ("ModuleNotFoundError", expected.module):
            return [f"not a ModuleNotFoundError: {found}: {error['message']}"]
    elif error["type"] != expected.raised or expected.says not in error["message"]:
        return [f"not the {expected.raised}: {error['type']}: {error['message']}"]
    return []


def _judge_refusal(
    expected: Refused,
    application: Application,
    chain: list[dict[str, Any]],
    locked: Mapping[str, str],
) -> list[str]:
    outermost = chain[0]
    if expected.within:
        if outermost["type"] != expected.within:
            return [f"not within a {expected.within}: {outermost['type']}"]
        chain = [error for error in chain if "refusal" in error]
    if not chain or chain[0]["type"] != expected.raised or "refusal" not in chain[0]:
        return [f"not a refusal: {outermost['type']}: {outermost['message']}"]
    error, refusal = chain[0], chain[0]["refusal"]
    problems = []
    if "ModuleNotFoundError" in error["bases"]:
        problems.append("a refusal must not pass for a module that is not there")
    plugin = str(application.root) if expected.plugin == THE_ROOT else expected.plugin
    if (refusal["kind"], refusal["plugin"]) != (expected.kind, plugin):
        problems.append(
            f"it is {refusal['kind']} of {refusal['plugin']}, "
            f"not {expected.kind} of {plugin}: {error['message']}"
        )
        return problems
    return problems + _judge_evidence(expected, application, error, locked)


def _judge_evidence(
    expected: Refused,
    application: Application,
    error: dict[str, Any],
    locked: Mapping[str, str],
) -> list[str]:
    evidence = error["refusal"]["evidence"]
    problems = []
    if expected.says not in evidence.get("detail", error["message"]):
        problems.append(f"it does not say {expected.says!r}: {error['message']}")
    if expected.at:
        at = str(application.folder / expected.at)
        if evidence.get("offending_path") != at:
            problems.append(f"it points at {evidence.get('offending_path')!r}, not at {at!r}")
    if expected.kind == "integrity_mismatch":
        problems += _judge_digests(expected, application, evidence, locked)
    return problems


def _judge_digests(
    expected: Refused,
    application: Application,
    evidence: dict[str, Any],
    locked: Mapping[str, str],
) -> list[str]:
    problems = []
    wanted = locked.get(expected.plugin)
    if evidence["expected"] != wanted:
        problems.append(f"the lock says {wanted}, the evidence {evidence['expected']}")
    if evidence["actual"] == evidence["expected"]:
        problems.append("the evidence shows no difference")
    if expected.tree_as_it_is:
        now = oracle(application.root / expected.plugin)
        if evidence["actual"] != now:
            problems.append(f"the tree is {now}, the evidence says {evidence['actual']}")
    return problems


def _repaired(
    attack: Attack, application: Application, guard: str, form: Form = PLUGINS
) -> list[str]:
    """Nothing of a refusal stays behind: put right, the same folder imports."""
    application.repair()
    attack.restore(application)
    script = form.translate("import plugins.alpha.api\nassert plugins.alpha.api.answer() == 42")
    if attack.repaired:
        attack = replace(attack, settings=attack.repaired)
    try:
        outcome = attempt(attack, application, guard, script, form)
    except subprocess.TimeoutExpired:
        return ["the repaired tree hangs"]
    if outcome.status != 0 or form.translate("plugins.alpha.helper") not in outcome.executed:
        return [f"the repaired tree does not import: {_end_of(outcome)}"]
    return []


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _locked(lock: Path) -> Mapping[str, str]:
    """Return the entries of the lock before the script runs, or none if the lock itself is the
    attack."""
    try:
        if not lock.is_file():
            return {}
        found = json.loads(lock.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _report(outcome: Outcome) -> dict[str, Any] | None:
    """Read the report of the script's process about the exception that ended it."""
    lines = [line for line in outcome.stderr.splitlines() if line.startswith("REPORT ")]
    if not lines:
        return None
    report: dict[str, Any] = ast.literal_eval(lines[-1].removeprefix("REPORT "))
    return report


def _end_of(outcome: Outcome) -> str:
    report = _report(outcome)
    if report is not None:
        error = report["chain"][0]
        return f"{error['type']}: {error['message']}"
    return f"status {outcome.status} {outcome.stdout[-300:]}{outcome.stderr[-1000:]}"
