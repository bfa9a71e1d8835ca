"""The main job, step by step: verify, run under the guard, flip one byte, see it refused.

Run by ``make run``. Every step is a command that you can type yourself.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path("examples")
PLUGINS = EXAMPLES / "plugins"
REFUSED_STATUS = 4


def step(title: str, command: list[str], *, expected: int, **variables: str) -> None:
    """Show a command, run it, and insist on its exit status."""
    shown = [*(f"{k}={shlex.quote(v)}" for k, v in variables.items()), shlex.join(command)]
    print(f"\n# {title}\n$ {' '.join(shown)}", flush=True)
    program = sys.executable if command[0] == "python" else command[0]
    arguments = command[1:]
    if command[0] == "codegenie":
        program, arguments = sys.executable, ["-m", "codegenie", *arguments]
    done = subprocess.run([program, *arguments], env={**os.environ, **variables})
    print(f"[exit status {done.returncode}]", flush=True)
    if done.returncode != expected:
        raise SystemExit(f"expected exit status {expected}")


def main() -> None:
    os.chdir(Path(__file__).resolve().parent.parent)
    step(
        "what the lock pins is what is there",
        ["codegenie", "plugins", "verify", str(PLUGINS)],
        expected=0,
    )
    step(
        "the plugins run on real input: this environment, and this project's source",
        ["python", str(EXAMPLES / "application.py"), str(PLUGINS), "src"],
        expected=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "plugins")
        shutil.copytree(PLUGINS, copy, ignore=shutil.ignore_patterns("__pycache__"))
        target = copy / "code-count" / "data" / "languages.json"
        data = bytearray(target.read_bytes())
        data[len(data) // 2] ^= 1
        target.write_bytes(data)
        print(f"\n# one bit of one byte of {target.relative_to(folder)} is flipped, in a copy")
        step(
            "the changed copy does not pass",
            ["codegenie", "plugins", "verify", str(copy)],
            expected=REFUSED_STATUS,
        )
        step(
            "an application that loads its plugins refuses to start",
            ["python", str(EXAMPLES / "application.py"), str(copy), "src"],
            expected=REFUSED_STATUS,
        )
        step(
            "a plain import is refused before a line of any plugin runs",
            [
                "python",
                "-c",
                "import codegenie.plugins.guard, importlib; codegenie.plugins.guard.install(); "
                "importlib.import_module('plugins.license-report.api')",
            ],
            expected=REFUSED_STATUS,
            CODEGENIE_PLUGINS_ROOT=str(copy),
            CODEGENIE_GUARD_ON_REFUSAL="exit",
        )
    print("\nThe intact plugins ran; the changed ones did not.")


if __name__ == "__main__":
    main()
