"""Run attacks and controls, and print the outcome of each: ``python -m tests.attacks [NAME ...]``."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.attacks.attack import Attack
from tests.attacks.catalogue import CATALOGUE
from tests.attacks.controls import CONTROLS, Control
from tests.attacks.forms import FORMS, PLUGINS, Form
from tests.attacks.runner import GUARD, Verdict, compare, problems_in, run, scratch
from tests.attacks.weak_guards import WEAK_GUARDS

WORKERS = 2
CONTROL = "control/"
WIDTH = max(
    *(len(attack.name) for attack in CATALOGUE),
    *(len(CONTROL + control.name) for control in CONTROLS),
)


NAMED: dict[str, Attack | Control] = {
    **{attack.name: attack for attack in CATALOGUE},
    **{CONTROL + control.name: control for control in CONTROLS},
}


class UnknownName(ValueError):
    """No attack, control or group has this name."""


def choose(names: Sequence[str], form: Form = PLUGINS) -> list[Attack | Control]:
    """Return the attacks and controls of these names and groups, or all if no name is given.

    Raises:
        UnknownName: The message lists names that are close to the unknown one.
    """
    groups = {name.rpartition("/")[0] for name in NAMED}
    for name in names:
        if name not in NAMED and name not in groups:
            close = difflib.get_close_matches(name, [*groups, *NAMED], n=5)
            hint = (
                f"did you mean {', '.join(close)}?"
                if close
                else f"the groups are {', '.join(sorted(groups))}"
            )
            raise UnknownName(f"no attack, control or group is named {name!r}: {hint}")
    items = NAMED
    if form is not PLUGINS:  # controls are programs, which have no copies
        items = {attack.name: attack for attack in form.attacks()}
    return [
        item
        for name, item in items.items()
        if not names or name in names or name.rpartition("/")[0] in names
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--guard", choices=(GUARD, *WEAK_GUARDS), default=GUARD)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="an attack (tree/changed) or a group (tree)"
    )
    parser.add_argument(
        "--form", choices=FORMS, default=PLUGINS.name, help="how the attacked folder is guarded"
    )
    arguments = parser.parse_args()
    try:
        form = FORMS[arguments.form]
        chosen = choose(arguments.names, form)
    except UnknownName as error:
        parser.error(str(error))
    return 0 if run_all(chosen, arguments.guard, form) else 1


def run_all(chosen: Iterable[Attack | Control], guard: str, form: Form = PLUGINS) -> bool:
    """Run these and print a line for each. Return True if each ended as it should."""

    def attack_in_a_folder(attack: Attack) -> Verdict:
        with scratch() as folder:
            return run(attack, folder, guard, form)

    def control_in_a_folder(control: Control) -> list[str]:
        with scratch() as folder:
            return compare(control, folder, guard)

    possible = [item for item in chosen if item.needs.available]
    attacks = [item for item in possible if isinstance(item, Attack)]
    controls = [item for item in possible if isinstance(item, Control)]
    refused = executed = wrong = senseless = same = 0
    # The work is done by interpreters of their own; these threads wait for them.
    with ThreadPoolExecutor(WORKERS) as workers:
        for verdict in workers.map(attack_in_a_folder, attacks):
            found = problems_in(form, verdict)
            reason = form.senseless.get(verdict.attack.name)
            outcome = f"unguarded: {verdict.unguarded:<5}  guarded: {verdict.guarded}"
            senseless += reason is not None and not found
            refused += reason is None and not found
            executed += bool(found) and verdict.executed
            wrong += bool(found) and not verdict.executed
            report(verdict.attack.name, reason or outcome, found)
        done = workers.map(control_in_a_folder, controls)
        for control, problems in zip(controls, done, strict=True):
            same += not problems
            outcome = f"unguarded: ran    guarded: {'DIFFERENT' if problems else 'the same'}"
            report(CONTROL + control.name, outcome, problems)
    for item in chosen:
        if not item.needs.available:
            report(item.name, f"not run: needs {item.needs.what}")
    print(f"{same} of {len(controls)} controls the same")
    without_sense = f", {senseless} make no sense in this form" if senseless else ""
    print(f"{refused} of {len(attacks)} refused, {executed} executed, {wrong} wrong{without_sense}")
    return refused + senseless == len(attacks) and same == len(controls)


def report(name: str, outcome: str, problems: Iterable[str] = ()) -> None:
    print(f"{name:<{WIDTH}}  {outcome}", flush=True)
    for problem in problems:
        print(textwrap.indent(problem, "      "), flush=True)


if __name__ == "__main__":
    sys.exit(main())
