"""Run hosts in every state and print the outcomes: ``python -m tests.hosts [NAME ...]``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.hosts import driver
from tests.hosts.host import Host, Layout
from tests.hosts.table import HOSTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hosts.md"
BEGIN, BEGIN_EXITS = "<!-- outcomes: make hosts -->\n", "<!-- ends: make hosts -->\n"
END = "<!-- end of outcomes -->\n"
TITLES = ("host", "layout", *driver.STATES, "without the guard")
EXIT_TITLES = ("host", "layout", "status", "last line")


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
    exits = [_row(EXIT_TITLES), _row(("---",) * len(EXIT_TITLES))]
    print("\n".join(lines))
    for host in chosen:
        environment = driver.Environment(host, arguments.environments)
        for layout in host.layouts:
            lines.append(row_of(host, layout, environment, problems))
            exits.append(exit_row_of(host, layout, environment, problems))
            print(lines[-1], exits[-1], sep="\n", flush=True)
    if arguments.write:
        write(PAGE, BEGIN, lines)
        write(PAGE, BEGIN_EXITS, exits)
    if problems:
        sys.exit("\n".join(["not as expected:", *problems]))


def row_of(host: Host, layout: Layout, environment: driver.Environment, problems: list[str]) -> str:
    """Return the outcome of each state of a layout."""
    cells = [titled(host), f"{layout.name}: `{layout.mechanism}`"]
    unguarded: set[str] = set()
    for state in driver.STATES:
        plain, guarded = outcomes(environment, layout, state)
        unguarded.update(plain.ran)
        cells.append(str(guarded))
        if (plain.ran, guarded.ran, sorted(guarded.kinds)) != layout.outcome(state):
            problems.append(f"{host.name}, {layout.name}, {state}: {plain} / {guarded}")
    cells.append(", ".join(driver.NAMES[word] for word in sorted(unguarded - {"INTACT"})))
    return _row(cells)


def exit_row_of(
    host: Host, layout: Layout, environment: driver.Environment, problems: list[str]
) -> str:
    """Return the end of a run with a changed byte and ``--on-refusal exit``."""
    with tempfile.TemporaryDirectory() as folder:
        done = driver.run_to_exit(environment, layout, Path(folder))
    problem = done.problem_of_exit(layout)
    if problem:
        problems.append(f"{host.name}, {layout.name}, exit: {problem}\n{done.output}")
    return _row((titled(host), layout.name, str(done.status), f"`{done.lines[-1]}`"))


def titled(host: Host) -> str:
    """Return the host and its version."""
    return f"{host.title} {host.version}".strip()


def outcomes(
    environment: driver.Environment, layout: Layout, state: str
) -> tuple[driver.Outcome, driver.Outcome]:
    """Run one state without the guard and with it."""
    with tempfile.TemporaryDirectory() as folder:
        return tuple(  # type: ignore[return-value]
            driver.run(environment, layout, state, Path(folder, str(guarded)), guarded=guarded)
            for guarded in (False, True)
        )


def write(page: Path, begin: str, lines: list[str]) -> None:
    """Replace the table in the page that follows ``begin``."""
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(END)
    page.write_text(before + begin + "\n" + "\n".join(lines) + "\n\n" + END + after)


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
