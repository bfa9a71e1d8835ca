"""Draw ``docs/assets/refusal.svg``: the commands of the README, and what they really print.

The script runs the commands in a temporary folder and an environment of its own, with times of its
own choice, so that each run draws the same picture. ``--check`` draws nothing, and fails if the
picture is out of date.
"""

from __future__ import annotations

import html
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "assets" / "refusal.svg"
LOCKED, CHANGED = 1772179231, 1772486047
"""Seconds since the epoch: when the lock was written, and when the plugin was changed."""

PLUGIN = "plugins/greeter/__init__.py"
REFUSED = "codegenie.plugins.errors.PluginImportRefused: "
INSTALLED = "every start of this interpreter is guarded now"
"""The line about an installation that is the same in every environment."""

FONT, LINE, MARGIN, WIDTH = 14, 19, 16, 760


def run(folder: str, *command: str) -> str:
    """Run a command in ``folder``, and return all that it prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "TZ": "UTC", "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.replace(folder, "/srv/app")


def environment(folder: str) -> str:
    """Make an environment that can import what this one can; return its interpreter."""
    # No copies of site-packages: the environment reads those of this one.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = Path(folder, "lib").glob("python*/site-packages")
    (site / "same.pth").write_text("\n".join(entry for entry in sys.path[1:] if entry) + "\n")
    return f"{folder}/bin/python"


def transcript() -> list[str]:
    """Return the lines of the picture. Those that begin with a dollar sign were typed."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as env:
        folder, python = os.path.realpath(name), environment(env)
        codegenie = (python, "-m", "codegenie")
        plugin = Path(folder, PLUGIN)
        plugin.parent.mkdir(parents=True)
        plugin.write_text('print("hello")\n')
        lines = ["$ codegenie plugins lock"]
        lines += run(folder, *codegenie, "plugins", "lock").splitlines()
        lines.append("$ codegenie guard install --root plugins")
        installed = run(folder, *codegenie, "guard", "install", "--root", "plugins").splitlines()
        lines += [line for line in installed if line.startswith(INSTALLED)]
        for path in (Path(folder, "plugins/PLUGINS.lock"), plugin):
            os.utime(path, (LOCKED, LOCKED))
        plugin.write_text('print("hacked")\n')
        os.utime(plugin, (CHANGED, CHANGED))
        lines += [f"$ echo 'print(\"hacked\")' > {PLUGIN}", '$ python -c "import plugins.greeter"']
        said = run(folder, python, "-c", "import plugins.greeter").splitlines()
        start = next(n for n, line in enumerate(said) if line.startswith(REFUSED))
        return [*lines, "…", said[start].removeprefix(REFUSED), *said[start + 1 :]]


def drawn(lines: list[str]) -> str:
    """Return the lines as a picture, with nothing from elsewhere in it."""
    height = LINE * len(lines) + 2 * MARGIN
    shown = []
    for number, line in enumerate(lines):
        style = "typed" if line.startswith("$ ") else "said"
        style = "wrong" if line.startswith(("plugin ", "the plugin guard")) else style
        y = MARGIN + LINE * number + FONT
        text = html.escape(line)
        shown.append(
            f'<text class="{style}" x="{MARGIN}" y="{y}" xml:space="preserve">{text}</text>'
        )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-label="A changed plugin is refused">',
            f"<style>text{{font:{FONT - 1}px monospace}}.said{{fill:#d0d0d0}}.typed{{fill:#7fd4c1}}"
            ".wrong{fill:#ff8f8f}</style>",
            f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#1e2227"/>',
            *shown,
            "</svg>",
            "",
        ]
    )


def main(arguments: list[str]) -> None:
    """Write the picture, or compare it with what the commands print now."""
    picture = drawn(transcript())
    if arguments != ["--check"]:
        PICTURE.write_text(picture, "utf-8")
    elif PICTURE.read_text("utf-8") != picture:
        raise SystemExit(f"{PICTURE} is out of date; run: python scripts/draw_refusal.py")


if __name__ == "__main__":
    main(sys.argv[1:])
