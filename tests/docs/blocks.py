"""The fenced blocks of a page, what each is for, and a run of them as a reader would run them.

The blocks of a page:

- ``sh``: commands. They are run as printed, all of a page in one shell, in order.
- ``text`` right after commands: what they print, both streams. ``…`` within a line matches any
  text, a line of it alone any number of lines.
- any other block that names a file, by ``title="path"`` or by a first line ``# path`` with a ``/``
  or a suffix in it: that file, written when it is reached.
- ``<!-- test: status N -->`` before commands: the last of them ends with that status.
- ``<!-- test: skip, reason -->`` before commands: a reader cannot run them here either, or they
  never end.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ELISION = "…"
COMMANDS = ("sh", "bash", "shell", "console")

_FENCE = re.compile(
    r"(?:^<!-- test: (?P<directive>[^>]*?) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<kind>\w+)(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'title="([^"]+)"')
_NAMED = re.compile(r"# ([\w./-]+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """One fenced block. ``line`` is that of its fence in the page."""

    kind: str
    text: str
    title: str
    directive: str
    line: int
    follows: bool
    """True if the block follows the one before it without text between them."""

    @property
    def file(self) -> str | None:
        """The file that it shows, if it shows one."""
        if self.title and self.kind != "text":
            return self.title
        named = _NAMED.match(self.text)
        return named[1] if named and self.kind not in COMMANDS else None


@dataclass(frozen=True)
class Step:
    """Commands to run, or a file to write, as commands; and what is expected of them."""

    line: int
    commands: str
    status: int
    output: str | None


def blocks_of(page: str) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    end = 0
    for match in _FENCE.finditer(page):
        indent = match["indent"]
        yield Block(
            kind=match["kind"],
            text=re.sub(rf"^{indent}", "", match["text"], flags=re.MULTILINE),
            title="".join(_TITLE.findall(match["info"])),
            directive=match["directive"] or "",
            line=page.count("\n", 0, match.start("kind")) + 1,
            follows=not page[end : match.start()].strip(),
        )
        end = match.end()


def steps_of(page: str) -> list[Step]:
    """Return the steps of a page. A file is a step of its own."""
    steps: list[Step] = []
    runs = False
    for block in blocks_of(page):
        if block.kind in COMMANDS:
            runs = not block.directive.startswith("skip, ")
            if runs:
                status = re.fullmatch(r"status (\d+)", block.directive or "status 0")
                assert status is not None, f"line {block.line}: {block.directive!r}"
                steps.append(Step(block.line, block.text, int(status[1]), None))
        elif block.kind == "text" and block.follows and runs and steps:
            last = steps[-1]
            assert last.output is None, f"line {block.line}: a second output"
            steps[-1] = Step(last.line, last.commands, last.status, block.text)
        elif block.file is not None:
            steps.append(Step(block.line, _writing(block), 0, None))
        elif block.kind == "python":
            ast.parse(block.text)  # a fragment; what it is part of is run elsewhere
    return steps


def _writing(block: Block) -> str:
    parent = os.path.dirname(block.file or "") or "."
    return f"mkdir -p '{parent}'\ncat > '{block.file}' <<'END OF FILE'\n{block.text}END OF FILE\n"


@dataclass(frozen=True)
class Ran:
    """The outcome of a step: its status, how many of its commands failed, and its output."""

    step: Step
    status: int
    failures: int
    output: str

    def problem(self) -> str | None:
        """Describe how the outcome differs from the page."""
        where = f"line {self.step.line}"
        if self.status != self.step.status:
            return f"{where}: status {self.status}, not {self.step.status}\n{self.output}"
        if self.failures != (self.step.status != 0):
            return f"{where}: a command before the last one failed\n{self.output}"
        if self.step.output is not None and not matches(self.step.output, self.output):
            return f"{where}: printed\n{self.output}\ninstead of\n{self.step.output}"
        return None


def run(steps: list[Step], folder: Path, environment: Mapping[str, str], work: Path) -> list[Ran]:
    """Run steps in one shell, in ``folder``. Stops where one ends otherwise than it should."""
    driver = ['cd -- "$FOLDER"', "trap 'failures=$((failures + 1))' ERR"]
    for number, step in enumerate(steps):
        (work / f"{number}.sh").write_text(step.commands)
        driver += [
            "failures=0",
            f'. "$WORK/{number}.sh" >"$WORK/{number}.out" 2>&1',
            f'printf "%s %s" $? $failures >"$WORK/{number}.status"',
            f'case "$(cat "$WORK/{number}.status")" in "{step.status} "*) ;; *) exit 1 ;; esac',
        ]
    subprocess.run(
        ["bash", "-c", "\n".join(driver)],
        env={**environment, "FOLDER": str(folder), "WORK": str(work)},
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    ran = []
    for number, step in enumerate(steps):
        told = work / f"{number}.status"
        if not told.exists():
            break
        status, failures = told.read_text().split()
        # The trap counts a source command that fails as well.
        count = max(0, int(failures) - (status != "0"))
        output = (work / f"{number}.out").read_text()
        ran.append(Ran(step, int(status), count, output))
    return ran


def matches(expected: str, printed: str) -> bool:
    """Return True if the output is as a page shows it. ``…`` matches anything."""
    pattern = ""
    for line in expected.strip("\n").split("\n"):
        if line.strip() == ELISION:
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.rstrip().split(ELISION))
            pattern += r"[ \t]*\n"
    return re.fullmatch(pattern, printed.strip("\n") + "\n") is not None
