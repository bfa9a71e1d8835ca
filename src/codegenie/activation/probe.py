"""Start an interpreter to find out what is active in it, and which ``codegenie`` it has.

The files of an environment do not show what a start of it really does, so nothing is inferred from
them: a script in the started interpreter reports what it finds.
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

# Start-up code may print too, so the answer is the last line that begins with the mark.
_REPLY = f"""
import json
print()
print({_MARK!r} + json.dumps(answer))
"""

# Runs with the start options and the environment of a program there, because those decide which
# `sitecustomize` runs. It imports no module of the guard unless a guard is loaded: an import would
# change the result.
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

_start = sys.modules.get("codegenie._start.finder")
finder = _start.installed() if hasattr(_start, "installed") else None
if finder is not None:
    try:
        from codegenie._start.loaders import why_unsupported
        answer["unsupported"] = why_unsupported() or None
        # What is loaded when it is first needed: half an installation is noticed here.
        import codegenie._enforce.enforcer
        from codegenie._start import checks, deferring, file_checks, folder_paths, loaders
        from codegenie._start import shutdown

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

# Runs with -I, to find the copy that every start of the environment has. A copy on PYTHONPATH or in
# a user's own site-packages belongs to one user, and would be pinned for all users.
_CODEGENIE = (
    """
answer = {"version": None, "folder": None, "broken": None, "unsupported": None}
try:
    import codegenie
    answer["folder"] = codegenie.__path__[0]
    answer["version"] = codegenie.__version__
    import codegenie.plugins.guard
    from codegenie._start.loaders import why_unsupported
    answer["unsupported"] = why_unsupported() or None
    import codegenie._enforce.enforcer
    from codegenie._start import checks, deferring, file_checks, folder_paths, loaders
    from codegenie._start import shutdown
    codegenie.plugins.guard.pin
except BaseException as error:
    answer["broken"] = f"{type(error).__name__}: {error}"
"""
    + _REPLY
)

# -S: it needs no start-up code. The umask: other users than the installing one must read the file.
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
    """The facts that a start of an interpreter found."""

    executable: str
    version: str
    folder: str
    """The folder of the environment's modules (``purelib``)."""
    on_path: bool
    """True if start-up has put that folder on ``sys.path``."""
    guard: dict[str, Any]
    """``guard.status()`` as plain data; ``{"active": False}`` if no guard is loaded."""
    before_guard: str | None
    """The finder that was first on ``sys.meta_path``, if that was not the guard."""
    broken: str | None
    """The reason why the guard's own code cannot be loaded."""
    unsupported: str | None = None
    """The reason why the guard does not support this interpreter, and refuses every plugin."""
    activations: tuple[RanActivation, ...]
    sitecustomize: str | None
    """The file of the ``sitecustomize`` that ran, or would have if it had not failed."""
    user_site: bool
    """True if the modules in a user's own folder come first, for that user."""
    codegenie: str | None = None
    """The folder of the package ``codegenie`` that this start has, or would import."""
    places: dict[str, str] = {}
    """The folders of the interpreter and of its environment, by a name for each."""
    distributions: tuple[str, ...] = ()
    """The ``.dist-info`` folders of ``codegenie`` on ``sys.path``."""


class Codegenie(_Answer):
    """The ``codegenie`` of an environment: the package's folder, and what is wrong with it."""

    version: str | None
    folder: str | None
    broken: str | None
    unsupported: str | None = None


_A = TypeVar("_A", bound=_Answer)


def ask_start(python: str) -> Result[Start, ProbeFailed]:
    """Return what is active in a fresh start of ``python``, as for any program started there."""
    return _ask(python, ["-c", _START], Start)


def ask_codegenie(python: str) -> Result[Codegenie, ProbeFailed]:
    """Return the ``codegenie`` that every start of ``python`` can import."""
    return _ask(python, ["-I", "-B", "-c", _CODEGENIE], Codegenie)


def compile_module(python: str, path: str) -> None:
    """Write the bytecode of one module, for users who may not write there. Ignores a failure.

    It only saves time: without bytecode a start compiles the module itself.
    """
    try:
        _run(python, ["-I", "-S", "-c", _COMPILE, path])
    except (OSError, subprocess.TimeoutExpired):
        pass


def _run(python: str, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # the interpreter that the operator named
        [python, *arguments],
        # The probe writes no file, and no bytecode either. A variable says so, because the probe
        # of a start may add no start option. -I ignores the variable, so -B is added there.
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
        # The named program may have printed the mark itself.
        return Err(ProbeFailed(python, "did not run the script that it was given"))
    except ValueError as error:
        return Err(ProbeFailed(python, f"answered with something that {error}"))
