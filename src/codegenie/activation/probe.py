"""Start an interpreter and ask what is active in it, as any program started there would find it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import Any

from codegenie.parsers import safe_json
from codegenie.result import Err, Ok, Result

TIMEOUT_SECONDS = 60
MAX_ANSWER_DEPTH = 8
_MARK = "codegenie-guard-status:"

# Looks at what start-up left behind and imports nothing of the guard itself: importing it would
# install what is asked about.
_PROBE = f"""
import sys
guard = sys.modules.get("codegenie.plugins.guard")
state = guard.status().as_dict() if guard is not None else {{"active": False}}
import json
print()
print({_MARK!r} + json.dumps({{
    "executable": sys.executable, "version": sys.version.split()[0], "guard": state
}}))
"""


@dataclass(frozen=True)
class ProbeFailed:
    """The interpreter did not answer."""

    python: str
    detail: str


def probe(python: str) -> Result[dict[str, Any], ProbeFailed]:
    """What is active in a fresh start of ``python``."""
    try:
        done = subprocess.run(  # noqa: S603  # the interpreter that the operator named
            [python, "-c", _PROBE],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
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
    except ValueError as error:
        return Err(ProbeFailed(python, f"answered with something that {error}"))
    # Whatever was named may have printed the mark; the probe prints these three.
    if not isinstance(value, dict) or not isinstance(value.get("guard"), dict):
        return Err(ProbeFailed(python, "did not run the question that it was asked"))
    return Ok(value)
