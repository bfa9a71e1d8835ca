"""One refusal, told by the exception, the log, the event log and the command line: the same files,
since when, and commands that really help when they are typed as printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.environments import Result
from tests.fixtures.trees import Application

LOCKED = 1_700_000_000  # 2023-11-14T22:13:20Z

REPORT = """
import json, logging, sys

records = []
class Collect(logging.Handler):
    def emit(self, record):
        records.append(record)
logging.getLogger("codegenie.plugins").addHandler(Collect())

import codegenie.plugins.guard as guard
guard.install(root={root!r}, lock={lock!r}, scope={scope!r})
try:
    import plugins.alpha.api
    print(json.dumps(None))
except ImportError as error:
    (record,) = records
    print(json.dumps({{"text": str(error), "message": record.getMessage(),
                       "explanation": record.explanation}}))
"""


class Place:
    """A locked application in some folder, with its lock beside the plugins or elsewhere."""

    def __init__(self, folder: Path, lock: Path | None = None, scope: str = "all") -> None:
        folder.mkdir(parents=True)
        self.application = Application(folder)
        self.application.lock_path.unlink()
        self.root = self.application.root
        self.lock = lock or self.application.lock_path
        self.scope = scope
        self.events = folder / "events.jsonl"
        self.application.write("alpha/gone.txt", "data\n")
        for path in (self.root / "alpha").iterdir():
            os.utime(path, (LOCKED - 100, LOCKED - 100))
        os.utime(self.root / "alpha", (LOCKED - 100, LOCKED - 100))
        assert self.codegenie("lock").status == 0
        os.utime(self.lock, (LOCKED, LOCKED))

    def codegenie(self, command: str, *options: str) -> Result:
        arguments = [command, str(self.root), "--lock", str(self.lock), *options]
        done = self.application.start([sys.executable, "-m", "codegenie", "plugins", *arguments])
        return Result(done.status, done.stdout, done.stderr)

    def change(self) -> None:
        """One file changes, one appears, one vanishes."""
        os.utime(self.application.write("alpha/helper.py", "VALUE = 1\n"), (LOCKED + 60,) * 2)
        os.utime(self.application.write("alpha/new.py", ""), (LOCKED + 30,) * 2)
        (self.root / "alpha" / "gone.txt").unlink()

    def attempt(self) -> Any:
        """Import the plugin in a fresh interpreter: ``None``, or the text of its refusal."""
        outcome = self.application.run(
            REPORT.format(root=str(self.root), lock=str(self.lock), scope=self.scope),
            guarded=False,
            environment={"CODEGENIE_GUARD_LOG": str(self.events)},
        )
        assert outcome.status == 0, outcome
        told = json.loads(outcome.stdout)
        assert bool(outcome.executed) is (told is None)
        return told

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as a user types it, in an unrelated folder."""
        return subprocess.run(
            ["bash", "-c", f'codegenie() {{ "$PYTHON" -m codegenie "$@"; }}\n{command}'],
            cwd="/",
            env={**os.environ, "PYTHON": sys.executable},
            capture_output=True,
            text=True,
            timeout=60,
        )


def good(place: Place) -> None:
    """The sidecar as it was written with the lock."""


def forged(place: Place) -> None:
    """The sidecar of the tree as it is now, which does not reproduce the locked digest."""
    place.application.write_sidecar()


def none(place: Place) -> None:
    (place.root / "PLUGINS.sha256").unlink()


KNOWN = [
    {"change": "changed", "path": "helper.py", "since": "2023-11-14T22:14:20Z"},
    {"change": "added", "path": "new.py", "since": "2023-11-14T22:13:50Z"},
    {"change": "removed", "path": "gone.txt", "since": None},
]
GUESSED = [
    {"change": "newer", "path": "helper.py", "since": "2023-11-14T22:14:20Z"},
    {"change": "newer", "path": "new.py", "since": "2023-11-14T22:13:50Z"},
]


@pytest.mark.parametrize(
    ("folder", "lock", "scope", "sidecar", "answer", "files"),
    [
        ("application", None, "all", good, "known", KNOWN),
        ("it's an application", None, "plugin", none, "guess", GUESSED),
        ("an $app", "loc ks/my.lock", "all", forged, "guess", GUESSED),
    ],
    ids=["sidecar", "no sidecar", "forged sidecar"],
)
def test_every_voice_tells_the_same_and_what_it_says_to_type_helps(
    tmp_path: Path,
    folder: str,
    lock: str | None,
    scope: str,
    sidecar: Any,
    answer: str,
    files: list[dict[str, Any]],
) -> None:
    if lock is not None:
        (tmp_path / lock).parent.mkdir()
    place = Place(tmp_path / folder, None if lock is None else tmp_path / lock, scope)
    place.change()
    sidecar(place)

    told = place.attempt()
    first, _, text = told["text"].partition("\n")
    assert first.startswith("the plugin guard refused to import 'plugins")
    assert told["explanation"] == text

    (event,) = (json.loads(line) for line in place.events.read_text().splitlines())
    fields = event["explanation"]
    assert (fields["differences"], fields["files"]) == (answer, files)
    assert fields["lock_written"] == "2023-11-14T22:13:20Z"
    assert fields["lock"] == str(place.lock)
    assert (event["files"] is not None) is (answer == "known")
    assert event["rejection"].keys() == {"kind", "plugin", "expected", "actual"}

    verified = place.codegenie("verify", "--json")
    assert verified.status == 4
    assert verified.document["explanations"] == [fields]
    assert verified.document["rejections"] == [event["rejection"]]
    assert f"{text}\n" in verified.stderr

    for row in files:
        assert [row["change"], row["path"], *([row["since"]] if row["since"] else [])] in [
            line.split() for line in text.splitlines()
        ]
        since = f" ({row['since']})" if row["since"] else ""
        assert f"; {row['change']}: {row['path']}{since};" in told["message"]
    assert ("a guess" in text) is ("a guess" in told["message"]) is (answer == "guess")
    for label in ("review", "accept", "help"):
        assert f"\n  {label:<9} {fields[label]}" in text
        assert f"; {label}: {fields[label]}" in told["message"]

    assert place.type(fields["review"]).returncode == 4
    assert place.attempt() == told
    accepted = place.type(fields["accept"])
    assert accepted.returncode == 0, accepted.stderr
    assert place.attempt() is None


def test_times_change_the_guess_and_nothing_else(tmp_path: Path) -> None:
    place = Place(tmp_path / "application")
    none(place)
    assert place.attempt() is None
    # Newer than the lock, in the far future, and still what was locked.
    for path in (place.root / "alpha").iterdir():
        os.utime(path, (LOCKED + 10**9, LOCKED + 10**9))
    assert place.attempt() is None
    # Changed, and the lock is newer than everything.
    place.application.write("alpha/helper.py", "VALUE = 1\n")
    for path in (place.root / "alpha").iterdir():
        os.utime(path, (0, 0))
    os.utime(place.root / "alpha", (0, 0))
    status = place.lock.stat()
    while place.lock.stat().st_ctime_ns <= (place.root / "alpha").stat().st_ctime_ns:
        os.utime(place.lock, (LOCKED, LOCKED))
    assert status.st_ino == place.lock.stat().st_ino
    told = place.attempt()
    assert "files     not known: no valid PLUGINS.sha256, nothing is newer" in told["text"]


def test_a_file_that_changes_under_a_running_process_is_dated(tmp_path: Path) -> None:
    place = Place(tmp_path / "application", tmp_path / "my.lock")
    outcome = place.application.run(
        f"""
        import os
        import codegenie.plugins.guard as guard
        guard.install(root={str(place.root)!r}, lock={str(place.lock)!r})
        import plugins.alpha
        path = plugins.alpha.__path__[0] + "/helper.py"
        with open(path, "a") as file:
            file.write("#")
        os.utime(path, ({LOCKED + 60}, {LOCKED + 60}))
        import plugins.alpha.api
        """,
        guarded=False,
    )
    # CPython names what was imported; the refusal is of what that imports.
    text = outcome.stderr.split("PluginImportRefused: ")[-1].splitlines()
    assert text[0] == "the plugin guard refused to import 'plugins.alpha.helper'"
    (changed,) = (line.split() for line in text if line.startswith("  changed "))
    assert changed == ["changed", "helper.py", "2023-11-14T22:14:20Z"]
    (locked,) = (line.split() for line in text if line.startswith("  locked "))
    assert locked == ["locked", str(place.lock), "2023-11-14T22:13:20Z"]
    assert f"  accept    codegenie plugins lock {place.root} --lock {place.lock}" in text


@pytest.mark.parametrize("command", ["verify", "list", "diff", "load"])
def test_a_lock_elsewhere_that_is_malformed_names_the_folder_it_is_for(
    tmp_path: Path, command: str
) -> None:
    place = Place(tmp_path / "application", tmp_path / "my.lock")
    place.lock.write_text("{")
    result = place.codegenie(command, "--json")
    assert result.status == 4
    (fields,) = result.document["explanations"]
    assert fields["accept"] == f"codegenie plugins lock {place.root} --lock {place.lock}"
    assert f"  accept    {fields['accept']}\n" in result.stderr
    assert fields["since"] is not None


def test_what_keeps_from_locking_names_the_lock_too(tmp_path: Path) -> None:
    place = Place(tmp_path / "application", tmp_path / "my.lock")
    (place.root / "alpha" / "link").symlink_to("/nowhere")
    result = place.codegenie("lock", "--json")
    (fields,) = result.document["explanations"]
    assert fields["location"] == f"{place.root}/alpha/link"
    assert fields["since"] is not None
    assert fields["accept"] == f"codegenie plugins lock {place.root} --lock {place.lock}"
