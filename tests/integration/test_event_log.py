"""``CODEGENIE_GUARD_LOG``: a line of JSON per decision, which never gets in the way."""

from __future__ import annotations

import json
import os
import select
import socket
from pathlib import Path
from typing import Any

import pytest

from codegenie._enforce import event_log
from codegenie._enforce.event_log import MAX_LINE, EventLog
from codegenie.refusals import kinds
from codegenie.refusals.differences import Differences
from tests.fixtures.trees import Application

ATTEMPT = "try:\n    import plugins.alpha.api\nexcept ImportError:\n    print('refused')"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_passed_and_what_was_refused_is_a_line_each(application: Application) -> None:
    log = application.folder / "events.jsonl"
    environment = {"CODEGENIE_GUARD_LOG": str(log)}
    assert application.run("import plugins.alpha.api", environment=environment).status == 0
    sidecar = "".join(
        f"{__import__('hashlib').sha256(path.read_bytes()).hexdigest()}  alpha/{path.name}\n"
        for path in sorted(application.plugin.iterdir())
    )
    application.write("PLUGINS.sha256", sidecar)
    application.write("alpha/helper.py", "VALUE = 1\n")
    outcome = application.run(f"import os\n{ATTEMPT}\nprint(os.getpid())", environment=environment)
    verified, refused = lines(log)
    assert (verified["event"], verified["plugin"]) == ("verified", "alpha")
    assert refused["event"] == "refused"
    assert refused["rejection"]["kind"] == "integrity_mismatch"
    assert refused["rejection"]["expected"] == verified["digest"]
    assert refused["files"] == {"changed": ["helper.py"], "added": [], "removed": []}
    assert f"refused\n{refused['pid']}\n" == outcome.stdout
    assert refused["executable"]
    assert refused["time"].endswith("Z")


def test_only_the_user_and_the_group_may_read_a_new_log(application: Application) -> None:
    log = application.folder / "events.jsonl"
    script = "import os\nos.umask(0)\nimport plugins.alpha"
    assert application.run(script, environment={"CODEGENIE_GUARD_LOG": str(log)}).status == 0
    assert oct(log.stat().st_mode & 0o777) == "0o640"


def test_audit_mode_and_a_displaced_guard_differ(application: Application) -> None:
    log = application.folder / "events.jsonl"
    application.write("alpha/helper.py", "VALUE = 1\n")
    outcome = application.run(
        "import sys, plugins.alpha\nsys.meta_path.reverse()\nimport plugins.alpha.api",
        environment={"CODEGENIE_GUARD_LOG": str(log), "CODEGENIE_GUARD_MODE": "audit"},
    )
    assert outcome.status == 0, outcome
    assert [line["event"] for line in lines(log)] == ["would_refuse", "displaced"]


def test_a_pinned_log_wins_over_the_environment(application: Application) -> None:
    outcome = application.run(
        "import codegenie.plugins.guard as guard\n"
        "guard.pin(folders=[{'root': 'plugins'}], log='pinned.jsonl')\nimport plugins.alpha\n"
        "print(guard.status().log)",
        environment={"CODEGENIE_GUARD_LOG": "other.jsonl"},
    )
    assert outcome.stdout == f"{application.folder}/pinned.jsonl\n", outcome
    assert lines(application.folder / "pinned.jsonl")
    assert not (application.folder / "other.jsonl").exists()


def test_a_descriptor_gets_the_lines(application: Application) -> None:
    outcome = application.run("import plugins.alpha", environment={"CODEGENIE_GUARD_LOG": "fd:1"})
    assert json.loads(outcome.stdout)["event"] == "verified"


UNWRITABLE = ["/nonexistent/folder/x", "fd:99", "fd:x", "fd:-1", "fifo"]


@pytest.mark.parametrize("target", UNWRITABLE)
def test_what_cannot_be_written_is_lost_and_nothing_else(
    application: Application, target: str
) -> None:
    """A FIFO without a reader would make a plain ``open`` wait for ever."""
    os.mkfifo(application.folder / "fifo")
    outcome = application.run(
        "import plugins.alpha.api as api; print(api.answer())",
        environment={"CODEGENIE_GUARD_LOG": target},
    )
    assert (outcome.stdout, outcome.stderr) == ("42\n", ""), outcome


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "device"])
def test_only_a_file_or_a_fifo_is_written(application: Application, kind: str) -> None:
    """Lines with names of an attacker's choice, appended to a script, are commands of its shell."""
    target = application.folder / "profile"
    target.write_text("# profile\n")
    log = application.folder / "log"
    if kind == "folder":
        log.mkdir()
    elif kind != "device":
        log.symlink_to("profile" if kind == "link" else "nowhere")
    name = "/dev/full" if kind == "device" else str(log)
    outcome = application.run(
        "import plugins.alpha.api as api; print(api.answer())",
        environment={"CODEGENIE_GUARD_LOG": name},
    )
    assert outcome.stdout == "42\n", outcome
    assert target.read_text() == "# profile\n"
    assert not (application.folder / "nowhere").exists()
    (said,) = outcome.stderr.splitlines()
    assert said.startswith(f"the event log {name} is a ")
    assert said.endswith(", or fd:N")


def test_a_link_that_comes_later_is_not_written_either(tmp_path: Path) -> None:
    log = EventLog(str(tmp_path / "log"))
    log.write("verified")
    (tmp_path / "log").rename(tmp_path / "other")
    (tmp_path / "log").symlink_to("other")
    log.write("verified")
    assert len(lines(tmp_path / "other")) == 1


def test_a_link_above_the_log_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    EventLog(str(tmp_path / "link" / "log")).write("verified")
    assert len(lines(tmp_path / "real" / "log")) == 1


def test_a_fifo_with_a_reader_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        EventLog(str(tmp_path / "log")).write("verified", plugin="alpha")
        assert json.loads(os.read(reader, 1 << 20))["plugin"] == "alpha"
    finally:
        os.close(reader)


WITH_A_LIMIT = """
import os, resource
from codegenie._enforce.event_log import EventLog
descriptor = os.open("log", os.O_WRONLY | os.O_CREAT)
log = EventLog({target})
log.write("verified", plugin="alpha")
no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize("log") + 20, no_limit[1]))
log.write("verified", plugin="beta")
resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
log.write("verified", plugin="gamma")
"""


@pytest.mark.parametrize("target", ["'log'", "f'fd:{descriptor}'"], ids=["file", "descriptor"])
def test_a_line_that_does_not_fit_leaves_no_part(application: Application, target: str) -> None:
    """Let the kernel write 20 bytes of the line, and not one more, as on a full disk."""
    done = application.run(WITH_A_LIMIT.format(target=target), guarded=False)
    assert done.status == 0, done
    assert [line["plugin"] for line in lines(application.folder / "log")] == ["alpha", "gamma"]


def test_a_part_with_another_line_behind_it_is_blanked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let another process write a line before this one sees that its own line was cut."""
    path = tmp_path / "log"
    real = os.write

    def write(descriptor: int, data: bytes) -> int:
        monkeypatch.undo()
        written = real(descriptor, data[:20])
        EventLog(str(path)).write("verified", plugin="beta")
        return written

    monkeypatch.setattr(os, "write", write)
    EventLog(str(path)).write("verified", plugin="alpha")
    assert [line["plugin"] for line in lines(path)] == ["beta"]


def test_a_part_that_cannot_be_removed_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write to a stream socket, which may take a part of a line, and cannot be truncated."""
    reader, writer = socket.socketpair()
    with reader, writer:
        real = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:20]))
        log = EventLog(f"fd:{writer.fileno()}")
        log.write("verified", plugin="alpha")
        monkeypatch.undo()
        log.write("verified", plugin="beta")
        cut, last = reader.recv(1 << 20).splitlines()
    assert len(cut) == 20
    assert json.loads(last)["plugin"] == "beta"


def test_a_full_pipe_does_not_make_it_wait() -> None:
    reader, writer = os.pipe()
    try:
        log = EventLog(f"fd:{writer}")
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b"x" * 4096):
                pass
        except BlockingIOError:
            pass  # now it is full
        os.set_blocking(writer, True)
        log.write("verified", plugin="alpha")  # would wait here for ever
        os.read(reader, 1 << 20)
        log.write("verified", plugin="beta")
        assert json.loads(os.read(reader, 1 << 20))["plugin"] == "beta"
    finally:
        os.close(reader)
        os.close(writer)


def test_pipe_filled_after_the_poll_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill the pipe between the poll and the write, as another process can."""
    reader, writer = os.pipe()
    own = os.dup(writer)
    try:
        log = EventLog(f"fd:{writer}")
        really = event_log._write_line

        def fill_first(descriptor: int, line: bytes) -> None:
            while select.select([], [own], [], 0)[1]:
                os.write(own, b"x" * 4096)
            # A write that waits would be interrupted, and repeated, for ever.
            assert not os.get_blocking(descriptor)
            really(descriptor, line)

        monkeypatch.setattr(event_log, "_write_line", fill_first)
        log.write("verified", plugin="alpha")
        assert set(os.read(reader, 1 << 20)) == set(b"x")
        monkeypatch.undo()
        log.write("verified", plugin="beta")
        assert json.loads(os.read(reader, 1 << 20))["plugin"] == "beta"
        assert os.get_blocking(writer)
    finally:
        for descriptor in (reader, writer, own):
            os.close(descriptor)


def test_second_folder_does_not_open_the_log_again(application: Application) -> None:
    """Give the number of the log's descriptor to another file between two first imports."""
    Application(application.folder, "integrations")
    outcome = application.run(
        """
        import os
        import codegenie.plugins.guard as guard
        log = os.open("log", os.O_WRONLY | os.O_CREAT)
        guard.add("integrations", package="integrations")
        os.environ["CODEGENIE_GUARD_LOG"] = f"fd:{log}"
        import plugins.alpha.api
        other = os.open("database", os.O_WRONLY | os.O_CREAT)
        os.dup2(other, log)
        import integrations.alpha.api
        """
    )
    assert outcome.status == 0, outcome
    assert [line["plugin"] for line in lines(application.folder / "log")] == ["alpha"]
    assert (application.folder / "database").read_bytes() == b""


def test_a_descriptor_that_has_become_another_file_is_left_alone(tmp_path: Path) -> None:
    first, other = tmp_path / "log", tmp_path / "database"
    descriptor = os.open(first, os.O_WRONLY | os.O_CREAT)
    log = EventLog(f"fd:{descriptor}")
    log.write("verified")
    os.close(descriptor)
    again = os.open(other, os.O_WRONLY | os.O_CREAT)
    try:
        os.dup2(again, descriptor)
        log.write("verified")
    finally:
        os.close(again)
        if descriptor != again:
            os.close(descriptor)
    assert len(lines(first)) == 1
    assert other.read_bytes() == b""


def test_a_line_is_never_longer_than_a_pipe_takes_in_one_piece(tmp_path: Path) -> None:
    files = [f"{'é' * 100}/{number}.py" for number in range(200)]
    refused = kinds.INTEGRITY_MISMATCH.refusal(
        "/plugins",
        "alpha",
        expected="a" * 64,
        actual="b" * 64,
        differences=Differences(files, [], []),
    )
    EventLog(str(tmp_path / "log")).refused("refused", refused, "plugins.alpha")
    text = (tmp_path / "log").read_bytes()
    assert len(text) <= MAX_LINE
    line = json.loads(text)
    assert line["truncated"] is True
    assert line["rejection"]["expected"] == "a" * 64
    assert line["files"] is None
    assert line["explanation"]["files"] == []
    assert line["explanation"]["accept"] == "codegenie plugins lock /plugins"


def test_many_short_names_leave_the_ten_of_the_explanation(tmp_path: Path) -> None:
    refused = kinds.INTEGRITY_MISMATCH.refusal(
        "/plugins",
        "alpha",
        expected="a" * 64,
        actual="b" * 64,
        differences=Differences([f"{number:04}.py" for number in range(500)], [], []),
    )
    EventLog(str(tmp_path / "log")).refused("refused", refused, "plugins.alpha")
    (line,) = lines(tmp_path / "log")
    assert (line["truncated"], line["files"]) == (True, None)
    assert [file["path"] for file in line["explanation"]["files"]] == [
        f"{number:04}.py" for number in range(10)
    ]
    assert line["explanation"]["more_files"] == 490


@pytest.mark.parametrize("length", [1000, 5000, 100_000])
@pytest.mark.parametrize("where", ["module", "path", "root"])
def test_no_name_is_so_long_that_a_refusal_is_not_logged(
    tmp_path: Path, where: str, length: int
) -> None:
    name = "\U0001f600" * length
    refused = kinds.UNHASHABLE_TREE.refusal(
        f"/{name if where == 'root' else 'plugins'}",
        "alpha",
        offending_path=f"/plugins/alpha/{name if where == 'path' else 'pipe'}",
        detail="is a FIFO",
    )
    module = f"plugins.{name if where == 'module' else 'alpha'}"
    EventLog(str(tmp_path / "log")).refused("refused", refused, module)
    (line,) = lines(tmp_path / "log")
    assert (line["event"], line["truncated"], line["plugin"]) == ("refused", True, "alpha")
    assert (line["rejection"]["kind"], line["rejection"]["plugin"]) == ("unhashable_tree", "alpha")
    assert line["module"].startswith("plugins.")


def test_no_number_of_long_names_loses_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them takes twelve bytes a character, and there are five of them."""
    name = "\U0001f600" * 300
    monkeypatch.setattr("sys.executable", f"/{name}/python")
    refused = kinds.UNHASHABLE_TREE.refusal(
        f"/{name}", name, offending_path=f"/{name}/{name}", detail=name
    )
    EventLog(str(tmp_path / "log")).refused("refused", refused, f"plugins.{name}")
    EventLog(str(tmp_path / "log")).write("displaced", by=name * 100, removed=True)
    first, second = lines(tmp_path / "log")
    assert (first["event"], first["rejection"]["kind"]) == ("refused", "unhashable_tree")
    assert second["removed"] is True


def test_more_files_than_a_line_holds_are_not_made_into_one(tmp_path: Path) -> None:
    refused = kinds.INTEGRITY_MISMATCH.refusal(
        "/plugins",
        "alpha",
        expected="a" * 64,
        actual="b" * 64,
        differences=Differences([f"{number}.py" for number in range(2000)], [], []),
    )
    EventLog(str(tmp_path / "log")).refused("refused", refused, "plugins.alpha")
    (line,) = lines(tmp_path / "log")
    assert (line["truncated"], line["files"]) == (True, None)
    assert line["explanation"]["more_files"] == 1990


def test_a_log_that_is_rotated_is_written_anew(tmp_path: Path) -> None:
    log = EventLog(str(tmp_path / "log"))
    log.write("verified")
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.write("verified")
    assert len(lines(tmp_path / "log")) == len(lines(tmp_path / "log.1")) == 1
