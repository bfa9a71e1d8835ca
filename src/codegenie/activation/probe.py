"""Ask an interpreter about itself: what a start of it finds, and which ``codegenie`` it has.

What lies in an environment and what a start of it really does can differ, so nothing is worked out
from outside: the interpreter is started and asked.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from codegenie.parsers import safe_json
from codegenie.result import Err, Ok, Result

TIMEOUT_SECONDS = 60
MAX_ANSWER_DEPTH = 8
_MARK = "codegenie-guard-status:"

# Start-up code may print as well: the answer is the last line that begins with the mark.
_REPLY = f"""
import json
print()
print({_MARK!r} + json.dumps(answer))
"""

# Asked with the start options and the environment that a program there would have, because those
# decide whose `sitecustomize` runs. Nothing of the guard is imported that start-up has not loaded:
# importing it would install what is asked about.
_START = (
    """
import sys
if sys.path[:1] == [""]:
    del sys.path[0]  # put there for -c after start-up: its modules are no part of the answer
import importlib.util, os, site, sysconfig

answer = {
    "executable": sys.executable,
    "version": sys.version.split()[0],
    "folder": sysconfig.get_path("purelib"),
    "guard": {"active": False},
    "before_guard": None,
    "broken": None,
    "unsupported": None,
    "activations": [],
    "sitecustomize": None,
    "user_site": site.ENABLE_USER_SITE is True,
    "codegenie": None,
    "distributions": [],
    "places": {
        "the interpreter": sys.executable,
        "its environment": sys.prefix,
        "the machine code of its environment": sys.exec_prefix,
        "the base of its environment": sys.base_prefix,
        "the standard library": sysconfig.get_path("stdlib"),
        "its site-packages": sysconfig.get_path("purelib"),
        "its site-packages for machine code": sysconfig.get_path("platlib"),
    },
}
answer["on_path"] = os.path.realpath(answer["folder"]) in map(os.path.realpath, sys.path)
for name in ("sitecustomize", "codegenie_activation"):
    module = sys.modules.get(name)
    if isinstance(getattr(module, "STATE", None), str) and hasattr(module, "SETTINGS"):
        answer["activations"].append({"file": module.__file__, "state": module.STATE})
try:
    spec = importlib.util.find_spec("sitecustomize")
    if spec is not None:
        answer["sitecustomize"] = spec.origin or str(spec.submodule_search_locations)
except (ImportError, ValueError):  # it took itself, or its spec, away
    answer["sitecustomize"] = "a module that was loaded at the start"

try:
    spec = importlib.util.find_spec("codegenie")
    if spec is not None and spec.submodule_search_locations:
        answer["codegenie"] = os.path.abspath(spec.submodule_search_locations[0])
except (ImportError, ValueError):
    pass
for folder in [*sys.path, os.path.dirname(answer["codegenie"] or "")]:
    try:
        names = os.listdir(folder)
    except (OSError, TypeError):  # a zip file, what is not there, what is no path
        continue
    for name in names:
        path = os.path.abspath(os.path.join(folder, name))
        if name.startswith("codegenie-") and name.endswith(".dist-info"):
            if path not in answer["distributions"]:
                answer["distributions"].append(path)

_start = sys.modules.get("codegenie._start")
finder = _start.installed() if hasattr(_start, "installed") else None
if finder is not None:
    try:
        answer["unsupported"] = _start.why_unsupported() or None
        # What the first guarded import loads: half an installation is noticed here.
        import codegenie._enforce.enforcer

        if not _start.is_at_front(finder):
            first = sys.meta_path[0] if sys.meta_path else None
            answer["before_guard"] = getattr(first, "__qualname__", type(first).__qualname__)
            # The event of an import statement: the guard puts itself first before one goes on.
            sys.audit("import", "plugins", None, sys.path, sys.meta_path, sys.path_hooks)
        from codegenie._enforce import status
        answer["guard"] = status.status().as_dict()
    except BaseException as error:
        answer["broken"] = f"{type(error).__name__}: {error}"
"""
    + _REPLY
)

# Asked with -I: what every start of the environment has. A copy on PYTHONPATH or in somebody's own
# site-packages belongs to whoever runs this command, and would be pinned for everybody.
_CODEGENIE = (
    """
answer = {"version": None, "folder": None, "broken": None, "unsupported": None}
try:
    import codegenie
    answer["folder"] = codegenie.__path__[0]
    answer["version"] = codegenie.__version__
    import codegenie.plugins.guard
    answer["unsupported"] = codegenie._start.why_unsupported() or None
    import codegenie._enforce.enforcer
    codegenie.plugins.guard.pin
except BaseException as error:
    answer["broken"] = f"{type(error).__name__}: {error}"
"""
    + _REPLY
)

# -S: no start-up code is needed for it. The mask: others than who installs must read it as well.
_COMPILE = """
import os, py_compile, sys
os.umask(0o022)
written = os.open(py_compile.compile(sys.argv[1], doraise=True), os.O_RDONLY)
os.fsync(written)  # after a crash, a start must not find a part of it
"""


@dataclass(frozen=True)
class ProbeFailed:
    """The interpreter did not answer."""

    python: str
    detail: str


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RanActivation(_Answer):
    """An activation file that this start has run. ``state``: "guarded", or why it refuses."""

    file: str
    state: str


class Start(_Answer):
    """What a start of an interpreter found."""

    executable: str
    version: str
    folder: str
    """Where the environment keeps its modules (``purelib``)."""
    on_path: bool
    """Whether start-up put that folder on ``sys.path``."""
    guard: dict[str, Any]
    """``guard.status()`` as plain data; ``{"active": False}`` where nothing has loaded a guard."""
    before_guard: str | None
    """What stood first on ``sys.meta_path`` before the guard put itself there."""
    broken: str | None
    """Why the guard's own code cannot be loaded."""
    unsupported: str | None = None
    """Why the guard refuses every plugin in this interpreter, where it does not support it."""
    activations: tuple[RanActivation, ...]
    sitecustomize: str | None
    """The file of the ``sitecustomize`` that ran, or would have if it had not failed."""
    user_site: bool
    """Whether the modules in a user's own folder come first, for that user."""
    codegenie: str | None = None
    """The folder of the package ``codegenie`` that this start has, or would import."""
    places: dict[str, str] = {}
    """Where the interpreter and its environment are, by what each place is called."""
    distributions: tuple[str, ...] = ()
    """The ``.dist-info`` folders on ``sys.path`` in which installers speak of ``codegenie``."""


class Codegenie(_Answer):
    """The ``codegenie`` of an environment: the package's folder, and what is wrong with it."""

    version: str | None
    folder: str | None
    broken: str | None
    unsupported: str | None = None


_A = TypeVar("_A", bound=_Answer)


def ask_start(python: str) -> Result[Start, ProbeFailed]:
    """What is active in a fresh start of ``python``, as any program started there would find it."""
    return _ask(python, ["-c", _START], Start)


def ask_codegenie(python: str) -> Result[Codegenie, ProbeFailed]:
    """Which ``codegenie`` every start of ``python`` can import."""
    return _ask(python, ["-I", "-B", "-c", _CODEGENIE], Codegenie)


def compile_module(python: str, path: str) -> None:
    """Write the bytecode of one module beside it, for users who may not; silent if it fails.

    It only saves time: without bytecode a start compiles the module itself.
    """
    try:
        _run(python, ["-I", "-S", "-c", _COMPILE, path])
    except (OSError, subprocess.TimeoutExpired):
        pass


def _run(python: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # the interpreter that the operator named
        [python, *arguments],
        # A question leaves nothing behind, no bytecode either. By a variable where no start option
        # may be added; -I ignores it and has -B beside it.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=TIMEOUT_SECONDS,
        stdin=subprocess.DEVNULL,
    )


def _ask(python: str, arguments: Sequence[str], answer: type[_A]) -> Result[_A, ProbeFailed]:
    try:
        done = _run(python, arguments)
    except OSError as error:
        return Err(ProbeFailed(python, f"cannot be started: {error.strerror}"))
    except subprocess.TimeoutExpired:
        return Err(ProbeFailed(python, f"did not answer within {TIMEOUT_SECONDS} seconds"))
    answers = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if not answers:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return Err(ProbeFailed(python, f"ended with status {done.returncode}: {last}"))
    try:
        text = answers[-1].removeprefix(_MARK)
        value = safe_json.parse(text.encode("utf-8"), max_depth=MAX_ANSWER_DEPTH)
        return Ok(answer.model_validate(value))
    except ValidationError:
        # Whatever was named may have printed the mark.
        return Err(ProbeFailed(python, "did not run the question that it was asked"))
    except ValueError as error:
        return Err(ProbeFailed(python, f"answered with something that {error}"))
