"""Scripts that the interpreter itself opens and runs, by their path, at another time than its start."""

from __future__ import annotations

import sys

from tests.attacks.attack import Attack, Need, Refused
from tests.attacks.displacement import MISMATCH, added_with_any_name, changed
from tests.fixtures.trees import Application

REMOTE_EXEC = Need("sys.remote_exec, which CPython has from 3.14 on", sys.version_info >= (3, 14))


def alias_of_the_file(application: Application) -> None:
    changed(application)
    (application.folder / "debug.py").symlink_to("plugins/alpha/helper.py")


def remotely(path: str) -> str:
    """Have this process run a script, as a debugger in another process does.

    An exception of an audit hook ends up in ``sys.unraisablehook``.
    """
    return f"""
        import os, sys
        raised = []
        sys.unraisablehook = lambda unraisable: raised.append(unraisable.exc_value)
        sys.remote_exec(os.getpid(), {path})
        for _ in range(1000):  # the interpreter runs it at one of the next calls or jumps
            pass
        if raised:
            raise raised[0]
        """


ATTACKS = (
    Attack(
        "scripts/remote",
        "sys.remote_exec has the process run a changed file.",
        MISMATCH,
        remotely("os.path.abspath('plugins/alpha/helper.py')"),
        changed,
        settings={"root": "plugins"},
        needs=REMOTE_EXEC,
    ),
    Attack(
        "scripts/remote-relative",
        "The same by a relative path.",
        MISMATCH,
        remotely("'plugins/alpha/helper.py'"),
        changed,
        settings={"root": "plugins"},
        needs=REMOTE_EXEC,
    ),
    Attack(
        "scripts/remote-bytes",
        "The same by a path in bytes.",
        MISMATCH,
        remotely("os.fsencode(os.path.abspath('plugins/alpha/helper.py'))"),
        changed,
        settings={"root": "plugins"},
        needs=REMOTE_EXEC,
    ),
    Attack(
        "scripts/remote-any-name",
        "sys.remote_exec has the process run a file that was added, of any name.",
        MISMATCH,
        remotely("os.path.abspath('plugins/alpha/extra.txt')"),
        added_with_any_name,
        settings={"root": "plugins"},
        needs=REMOTE_EXEC,
    ),
    Attack(
        "scripts/remote-alias",
        "sys.remote_exec has the process run a link to a changed file.",
        MISMATCH,
        remotely("os.path.abspath('debug.py')"),
        alias_of_the_file,
        settings={"root": "plugins"},
        needs=REMOTE_EXEC,
    ),
    Attack(
        "scripts/start-up",
        "PYTHONSTARTUP names a changed file, which an interactive interpreter runs.",
        Refused("integrity_mismatch", status=0),  # it is shown, and the interpreter goes on
        arguments=("-i",),
        prepare=changed,
        settings={"root": "plugins"},
        environment={"PYTHONSTARTUP": "plugins/alpha/helper.py"},
    ),
)
