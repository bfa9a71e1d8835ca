"""``python -m tests.attacks``: run every attack and every control, and print what each one did."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from tests.attacks.attack import Attack
from tests.attacks.catalogue import CATALOGUE
from tests.attacks.controls import CONTROLS, Control
from tests.attacks.runner import GUARD, Verdict, compare, run, scratch
from tests.attacks.weak_guards import WEAK_GUARDS

WORKERS = 2
CONTROL = "control/"
WIDTH = max(
    *(len(attack.name) for attack in CATALOGUE),
    *(len(CONTROL + control.name) for control in CONTROLS),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--guard", choices=(GUARD, *WEAK_GUARDS), default=GUARD)
    guard: str = parser.parse_args().guard

    def attack_in_a_folder(attack: Attack) -> Verdict:
        with scratch() as folder:
            return run(attack, folder, guard)

    def control_in_a_folder(control: Control) -> list[str]:
        with scratch() as folder:
            return compare(control, folder, guard)

    attacks = [attack for attack in CATALOGUE if attack.needs.available]
    controls = [control for control in CONTROLS if control.needs.available]
    refused = executed = wrong = same = 0
    # The work is done by interpreters of their own; these threads wait for them.
    with ThreadPoolExecutor(WORKERS) as workers:
        for verdict in workers.map(attack_in_a_folder, attacks):
            refused += not verdict.problems
            executed += verdict.executed
            wrong += bool(verdict.problems) and not verdict.executed
            told = f"unguarded: {verdict.unguarded:<5}  guarded: {verdict.guarded}"
            tell(verdict.attack.name, told, verdict.problems)
        done = workers.map(control_in_a_folder, controls)
        for control, problems in zip(controls, done, strict=True):
            same += not problems
            told = f"unguarded: ran    guarded: {'DIFFERENT' if problems else 'the same'}"
            tell(CONTROL + control.name, told, problems)
    for item in (*CATALOGUE, *CONTROLS):
        if not item.needs.available:
            tell(item.name, f"not run: needs {item.needs.what}")
    print(f"{same} of {len(controls)} controls the same")
    print(f"{refused} of {len(attacks)} refused, {executed} executed, {wrong} wrong")
    return 0 if refused == len(attacks) and same == len(controls) else 1


def tell(name: str, what: str, problems: Iterable[str] = ()) -> None:
    print(f"{name:<{WIDTH}}  {what}", flush=True)
    for problem in problems:
        print(textwrap.indent(problem, "      "), flush=True)


if __name__ == "__main__":
    sys.exit(main())
