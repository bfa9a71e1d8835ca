"""Run hosts in every state and print the outcomes: ``python -m tests.hosts [NAME ...]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.hosts import driver
from tests.hosts.host import Host, Layout
from tests.hosts.table import HOSTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hosts.md"
BEGIN, END = "<!-- outcomes: make hosts -->\n", "<!-- end of outcomes -->\n"
TITLES = ("host", "layout", *driver.STATES, "without the guard")


def main() -> None:
    """Print the table; exit 1 if an outcome is not the expected one."""
    parser = argparse.ArgumentParser(prog="python -m tests.hosts")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    arguments = parser.parse_args()
    chosen = [host for host in HOSTS if not arguments.names or host.name in arguments.names]
    problems: list[str] = []
    lines = [_row(TITLES), _row(("---",) * len(TITLES))]
    print("\n".join(lines))
    for host in chosen:
        for line in rows(host, driver.Environment(host, arguments.environments), problems):
            print(line, flush=True)
            lines.append(line)
    if arguments.write:
        write(PAGE, lines)
    if problems:
        sys.exit("\n".join(["not as expected:", *problems]))


def rows(host: Host, environment: driver.Environment, problems: list[str]) -> Iterator[str]:
    """Yield one line for each layout of a host."""
    for layout in host.layouts:
        cells = [f"{host.title} {host.version}".strip(), f"{layout.name}: `{layout.mechanism}`"]
        unguarded: set[str] = set()
        for state in driver.STATES:
            plain, guarded = outcomes(environment, layout, state)
            unguarded.update(plain.ran)
            cells.append(str(guarded))
            if (plain.ran, guarded.ran, sorted(guarded.kinds)) != layout.outcome(state):
                problems.append(f"{host.name}, {layout.name}, {state}: {plain} / {guarded}")
        cells.append(", ".join(driver.NAMES[word] for word in sorted(unguarded - {"INTACT"})))
        yield _row(cells)


def outcomes(
    environment: driver.Environment, layout: Layout, state: str
) -> tuple[driver.Outcome, driver.Outcome]:
    """Run one state without the guard and with it."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(  # type: ignore[return-value]
            driver.run(environment, layout, state, Path(folder, str(guarded)), guarded=guarded)
            for guarded in (False, True)
        )


def write(page: Path, lines: list[str]) -> None:
    """Replace the table in the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n\n" + END + after)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
