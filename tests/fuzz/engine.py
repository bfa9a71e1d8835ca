"""One target under libFuzzer: ``python -m tests.fuzz.engine MODULE FOLDER [libFuzzer arguments]``.

A process of its own for each target, because libFuzzer ends the process that it runs in. Its own
files go into ``FOLDER``.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable

MEASURED = ["codegenie", "json", "yaml"]
"""The readers, and the parsers below them as far as they are written in Python."""


def main(module: str, folder: str, arguments: list[str]) -> None:
    """Feed the module's ``check`` until libFuzzer has had enough. Does not return."""
    # By name: it is installed for fuzzing only, and has no type information.
    atheris = importlib.import_module("atheris")
    early = [name for name in sys.modules if name.partition(".")[0] in MEASURED]
    assert not early, f"imported before they could be measured: {early}"
    with atheris.instrument_imports(include=MEASURED):
        target = importlib.import_module(module)
    dictionary = os.path.join(folder, "tokens")
    with open(dictionary, "w", encoding="ascii") as file:
        file.writelines(spelled(target.TOKENS))
    atheris.Setup([module, f"-dict={dictionary}", *arguments], target.check)
    atheris.Fuzz()


def spelled(tokens: Iterable[bytes]) -> Iterable[str]:
    """Return the lines of a dictionary as libFuzzer reads it."""
    for token in tokens:
        yield '"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n'


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
