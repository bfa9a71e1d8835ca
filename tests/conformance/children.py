"""One script in two fresh interpreters, guarded and plain, and what each of them printed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from tests.fixtures.trees import Application

# Both have the folder on the path, and once: -I leaves out the working directory, and a namespace
# package gets a portion from every entry.
PLAIN = "import sys; sys.path[:] = [{folder!r}, *(entry for entry in sys.path if entry)]\n"
GUARDED = PLAIN + "import codegenie.plugins.guard as guard; guard.install(root={root!r})\n"


def printed(
    application: Application, script: str, *, guarded: bool, flags: Sequence[str] = ()
) -> Any:
    """Return the JSON that the script printed. Fail if it printed anything else."""
    start = (GUARDED if guarded else PLAIN).format(
        folder=str(application.folder), root=str(application.root)
    )
    if not guarded:
        flags = ["-B", *flags]
    outcome = application.run(start + textwrap.dedent(script), guarded=False, flags=flags)
    assert (outcome.status, outcome.stderr) == (0, ""), outcome
    return json.loads(outcome.stdout)


def both(application: Application, script: str, flags: Sequence[str] = ()) -> tuple[Any, Any]:
    """Guarded, then plain."""
    guarded = printed(application, script, guarded=True, flags=flags)
    return guarded, printed(application, script, guarded=False, flags=flags)


def differing(guarded: Any, plain: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Return the differences of two printed values, by the path to each."""
    if isinstance(guarded, dict) and isinstance(plain, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in guarded.keys() | plain.keys():
            found |= differing(guarded.get(key), plain.get(key), f"{where}/{key}")
        return found
    return {} if guarded == plain else {where: (guarded, plain)}
