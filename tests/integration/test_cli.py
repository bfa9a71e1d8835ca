"""The command line as its users type it: statuses, both streams, JSON, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.command_line import in_process
from tests.fixtures.environments import Result
from tests.fixtures.trees import Application, clean_environment, oracle


def codegenie(application: Application, *arguments: str) -> Result:
    variables = clean_environment()
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-m", "codegenie", *arguments],
        cwd=application.folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Result(done.returncode, done.stdout, done.stderr)


COMMANDS = ("lock", "verify", "list", "diff", "load")


REGISTERS = (
    "from codegenie.plugins.registry import register_plugin\n"
    "class Alpha:\n    name = 'alpha'\nregister_plugin(Alpha())\n"
)


@pytest.fixture(scope="module")
def written_by_lock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files that ``plugins lock`` writes for the plugin of each test."""
    application = Application(tmp_path_factory.mktemp("locked"))
    application.write("alpha/api.py", REGISTERS)
    assert codegenie(application, "plugins", "lock").status == 0
    return {path.name: path.read_bytes() for path in application.root.glob("PLUGINS.*")}


@pytest.fixture(autouse=True)
def locked(application: Application, written_by_lock: dict[str, bytes]) -> None:
    application.write("alpha/api.py", REGISTERS)
    for name, data in written_by_lock.items():
        application.write(name, data)


def snapshot(application: Application) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in application.root.iterdir() if p.is_file()}


# --- lock ---------------------------------------------------------------------------------------


def test_lock_writes_what_the_contract_describes(application: Application) -> None:
    text = application.lock_path.read_text()
    assert text == json.dumps({"alpha": oracle(application.plugin)}, indent=2) + "\n"
    sidecar = (application.root / "PLUGINS.sha256").read_text()
    done = subprocess.run(
        ["sha256sum", "-c", "PLUGINS.sha256"], cwd=application.root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(sidecar.splitlines()) == 3


def test_lock_reports_what_changed_and_keeps_the_mode(application: Application) -> None:
    application.lock_path.chmod(0o640)
    application.write("alpha/helper.py", "VALUE = 1\n")
    application.add_plugin("beta")
    result = codegenie(application, "plugins", "lock", "--json")
    assert result.status == 0
    document = result.document
    assert (document["added"], document["changed"], document["removed"]) == (
        ["beta"],
        ["alpha"],
        [],
    )
    assert document["written"] is True
    assert document["plugins"] == json.loads(application.lock_path.read_text())
    assert stat.S_IMODE(application.lock_path.stat().st_mode) == 0o640


def test_lock_check_writes_nothing_and_exits_4_when_it_would(application: Application) -> None:
    assert codegenie(application, "plugins", "lock", "--check").status == 0
    application.write("alpha/helper.py", "VALUE = 1\n")
    before = snapshot(application)
    result = codegenie(application, "plugins", "lock", "--check")
    assert (result.status, result.stdout) == (4, "~ alpha\n")
    assert "codegenie plugins lock" in result.stderr
    assert snapshot(application) == before


def test_lock_check_notices_a_lost_sidecar_and_another_form(application: Application) -> None:
    (application.root / "PLUGINS.sha256").unlink()
    assert codegenie(application, "plugins", "lock", "--check").status == 4
    assert codegenie(application, "plugins", "lock").status == 0
    application.lock_path.write_text(application.lock_path.read_text().replace("  ", "    "))
    assert codegenie(application, "plugins", "lock", "--check").status == 4


@pytest.mark.parametrize(
    ("break_it", "kind", "evidence"),
    [
        (
            lambda a: a.write("alpha/plugin.yaml", "scope: [1"),
            "schema_violation",
            "not plain YAML",
        ),
        (lambda a: a.write("alpha/plugin.yaml", "scope: x"), "schema_violation", "is required"),
        (lambda a: a.write("Alpha/api.py", ""), "unhashable_tree", "are one name on file systems"),
        (lambda a: a.write("stray.pyc", ""), "unlocked_plugin", "stray.pyc"),
        (lambda a: (a.plugin / "l").symlink_to("x"), "symlink_escape", "alpha/l"),
        (lambda a: os.mkfifo(a.plugin / "pipe"), "unhashable_tree", "is a FIFO"),
    ],
    ids=["no YAML", "fields missing", "two of one name", "bytecode", "link", "fifo"],
)
def test_lock_refuses_what_a_guard_would_and_writes_nothing(
    application: Application, break_it: Any, kind: str, evidence: str
) -> None:
    break_it(application)
    before = snapshot(application)
    result = codegenie(application, "plugins", "lock", "--json")
    assert result.status == 4
    assert [r["kind"] for r in result.document["rejections"]] == [kind]
    assert evidence in result.stderr
    assert "nothing was written" in result.stderr
    assert snapshot(application) == before


def test_lock_replaces_a_malformed_lock_and_leaves_a_link_alone(application: Application) -> None:
    application.lock_path.write_text("[")
    assert codegenie(application, "plugins", "lock").status == 0
    target = application.folder / "elsewhere.lock"
    application.lock_path.rename(target)
    application.lock_path.symlink_to(target)
    before = target.read_bytes()
    application.write("alpha/helper.py", "VALUE = 1\n")
    result = codegenie(application, "plugins", "lock")
    assert result.status == 4
    assert "symbolic link" in result.stderr
    assert target.read_bytes() == before
    assert application.lock_path.is_symlink()


def test_lock_elsewhere(application: Application) -> None:
    elsewhere = str(application.folder / "my.lock")
    assert codegenie(application, "plugins", "lock", "--lock", elsewhere).status == 0
    assert codegenie(application, "plugins", "verify", "--lock", elsewhere).status == 0
    assert Path(elsewhere).read_bytes() == application.lock_path.read_bytes()


# --- lock of some plugins -----------------------------------------------------------------------


def test_lock_of_some_plugins_leaves_the_others_as_they_are(application: Application) -> None:
    application.add_plugin("alpha-two")
    application.add_plugin("beta")
    assert in_process(application.folder, "plugins", "lock").status == 0
    for plugin in ("alpha", "alpha-two", "beta"):
        application.write(f"{plugin}/helper.py", "changed")
    before = json.loads(application.lock_path.read_text())
    sidecar = (application.root / "PLUGINS.sha256").read_text().splitlines()
    result = in_process(application.folder, "plugins", "lock", "plugins", "alpha", "--json")
    assert (result.status, result.document["changed"]) == (0, ["alpha"])
    after = json.loads(application.lock_path.read_text())
    assert after == {**before, "alpha": oracle(application.plugin)} == result.document["plugins"]
    changed = set(sidecar) ^ set((application.root / "PLUGINS.sha256").read_text().splitlines())
    assert [line.partition("  ")[2] for line in changed] == ["alpha/helper.py"] * 2

    # One by one gives the same lock as all at once.
    for plugin in ("beta", "alpha-two"):
        assert in_process(application.folder, "plugins", "lock", "plugins", plugin).status == 0
    assert in_process(application.folder, "plugins", "lock", "--check").status == 0


def test_lock_of_a_plugin_whose_folder_is_gone_removes_its_entry(application: Application) -> None:
    application.add_plugin("beta")
    assert in_process(application.folder, "plugins", "lock").status == 0
    shutil.rmtree(application.plugin)
    shutil.rmtree(application.root / "beta")
    result = in_process(application.folder, "plugins", "lock", "plugins", "alpha")
    assert (result.status, result.stdout) == (0, "- alpha\n")
    assert list(json.loads(application.lock_path.read_text())) == ["beta"]
    assert " alpha/" not in (application.root / "PLUGINS.sha256").read_text()


def test_lock_of_some_plugins_mends_a_sidecar_that_was_cut_off(application: Application) -> None:
    application.add_plugin("beta")
    assert in_process(application.folder, "plugins", "lock").status == 0
    sidecar = application.root / "PLUGINS.sha256"
    whole = sidecar.read_bytes()
    sidecar.write_bytes(whole.removesuffix(b"\n"))
    result = in_process(application.folder, "plugins", "lock", "plugins", "alpha")
    assert (result.status, sidecar.read_bytes()) == (0, whole)
    assert result.stderr == "2 plugins pinned in plugins/PLUGINS.lock\n"
    shutil.rmtree(application.root / "beta")
    application.write("alpha/helper.py", "changed")
    result = in_process(application.folder, "plugins", "lock")
    assert result.stderr == "1 plugin pinned in plugins/PLUGINS.lock: 1 changed, 1 removed\n"


def test_lock_check_of_some_plugins_asks_about_them_only(application: Application) -> None:
    application.add_plugin("beta")
    before = snapshot(application)
    assert (
        in_process(application.folder, "plugins", "lock", "--check", "plugins", "alpha").status == 0
    )
    result = in_process(
        application.folder, "plugins", "lock", "--check", "plugins", "beta", "alpha"
    )
    assert (result.status, result.stdout) == (4, "+ beta\n")
    assert "codegenie plugins lock plugins beta alpha" in result.stderr
    assert snapshot(application) == before


def test_lock_of_some_plugins_minds_their_own_faults_only(application: Application) -> None:
    application.add_plugin("beta", {"plugin.yaml": "scope: x"})
    application.write("alpha/helper.py", "changed")
    assert in_process(application.folder, "plugins", "lock", "plugins", "alpha").status == 0
    before = snapshot(application)
    result = in_process(application.folder, "plugins", "lock", "plugins", "beta", "--json")
    assert result.status == 4
    assert [r["kind"] for r in result.document["rejections"]] == ["schema_violation"]
    assert snapshot(application) == before


@pytest.mark.parametrize("name", ["gamma", "Alpha", "alpha/", "../plugins", "", "PLUGINS.lock"])
def test_lock_of_what_is_no_plugin_is_wrong_usage(application: Application, name: str) -> None:
    application.write("alpha/helper.py", "changed")
    before = snapshot(application)
    result = in_process(application.folder, "plugins", "lock", "plugins", "alpha", name)
    assert (result.status, result.stdout) == (2, "")
    assert repr(name) in result.stderr
    assert snapshot(application) == before


def test_lock_of_some_plugins_never_forgets_what_it_cannot_read(application: Application) -> None:
    application.lock_path.write_text("[")
    before = snapshot(application)
    result = in_process(application.folder, "plugins", "lock", "plugins", "alpha", "--json")
    assert result.status == 4
    assert [r["kind"] for r in result.document["rejections"]] == ["lock_file_malformed"]
    assert snapshot(application) == before
    application.lock_path.unlink()
    assert in_process(application.folder, "plugins", "lock", "plugins", "alpha").status == 0
    assert json.loads(application.lock_path.read_text()) == {"alpha": oracle(application.plugin)}


# --- verify, list, diff, load -------------------------------------------------------------------


def test_verify_prints_the_digest_of_every_plugin(application: Application) -> None:
    result = codegenie(application, "plugins", "verify")
    assert (result.status, result.stdout) == (0, f"{oracle(application.plugin)}  alpha\n")
    assert "1 plugin verified, 3 files" in result.stderr
    document = codegenie(application, "plugins", "verify", "--json").document
    assert document["verified"] == [
        {"plugin": "alpha", "version": "1.0", "files": 3, "digest": oracle(application.plugin)}
    ]


def test_verify_reports_every_rejection(application: Application) -> None:
    application.add_plugin("beta")
    application.write("alpha/helper.py", "changed")
    (application.root / "gamma").mkdir()
    locked = json.loads(application.lock_path.read_text())
    application.lock({**locked, "zeta": "0" * 64})
    result = codegenie(application, "plugins", "verify", "--json")
    assert result.status == 4
    assert [(r["plugin"], r["kind"]) for r in result.document["rejections"]] == [
        ("alpha", "integrity_mismatch"),
        ("beta", "unlocked_plugin"),
        ("gamma", "unlocked_plugin"),
        ("zeta", "missing_plugin_directory"),
    ]
    for part in ("changed   helper.py", "'beta'", "'gamma'", "'zeta'"):
        assert part in result.stderr
    summary = "0 plugins verified, 0 files, 4 rejected, against plugins/PLUGINS.lock"
    assert result.stderr.splitlines()[-1] == summary


def test_list_shows_what_is_locked_and_what_drifted(application: Application) -> None:
    application.add_plugin("beta")
    application.add_plugin("gamma", {"plugin.yaml": "scope: x"})
    states = {
        row["plugin"]: row["state"]
        for row in codegenie(application, "plugins", "list", "--json").document["plugins"]
    }
    assert states == {"alpha": "locked", "beta": "not locked", "gamma": "schema_violation"}
    application.write("alpha/helper.py", "changed")
    result = codegenie(application, "plugins", "list")
    assert result.status == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    size = sum(path.stat().st_size for path in application.plugin.iterdir())
    digest = oracle(application.plugin)[:12]
    assert rows[0] == ["plugin", "version", "files", "size", "digest", "state"]
    assert rows[1] == ["alpha", "1.0", "3", str(size), "bytes", digest, "drifted"]
    assert rows[3] == ["gamma", "-", "-", "-", "-", "schema_violation"]
    assert result.stderr.splitlines()[-1] == (
        "3 plugins, 1 drifted, 1 not locked, 1 schema_violation"
    )


def test_diff_names_the_files(application: Application) -> None:
    assert codegenie(application, "plugins", "diff").status == 0
    application.write("alpha/helper.py", "changed")
    application.write("alpha/new.py", "")
    (application.plugin / "plugin.yaml").write_text("")
    (application.plugin / "api.py").unlink()
    application.add_plugin("beta")
    result = codegenie(application, "plugins", "diff")
    assert result.status == 4
    assert result.stdout.splitlines() == [
        "~ alpha/helper.py",
        "~ alpha/plugin.yaml",
        "+ alpha/new.py",
        "- alpha/api.py",
        "+ beta/api.py",
        "+ beta/helper.py",
        "+ beta/plugin.yaml",
    ]
    summary = "2 plugins differ from plugins/PLUGINS.lock: 2 files changed, 4 files added, 1 file"
    assert result.stderr.splitlines()[-1] == f"{summary} removed"


def test_diff_says_so_when_the_files_are_not_known(application: Application) -> None:
    (application.root / "PLUGINS.sha256").unlink()
    application.write("alpha/helper.py", "changed")
    result = codegenie(application, "plugins", "diff")
    assert (result.status, result.stdout) == (4, "? alpha\n")
    assert "PLUGINS.sha256 is missing or does not match the lock" in result.stderr


def test_load_runs_the_four_gates(application: Application) -> None:
    result = codegenie(application, "plugins", "load", "--json")
    assert (result.status, result.document["loaded"]) == (0, ["alpha"])
    assert result.document["registered"] == ["alpha"]
    application.write("alpha/helper.py", "changed")
    result = codegenie(application, "plugins", "load", "--json")
    assert (result.status, result.document["loaded"]) == (4, [])
    assert result.document["rejections"][0]["kind"] == "integrity_mismatch"
    assert "changed   helper.py" in result.stderr


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "content"),
    [
        *(("verify", data) for data in (b"[", b"\xef\xbb\xbf{}", b'{"a": 1}', b"x" * 70_000, None)),
        *((command, b'{"A": "x"}') for command in COMMANDS if command != "lock"),
        ("list", None),
    ],
)
def test_a_malformed_lock_is_one_clear_message(
    application: Application, command: str, content: bytes | None
) -> None:
    if content is None:
        application.lock_path.unlink()
    else:
        application.lock_path.write_bytes(content)
    result = codegenie(application, "plugins", command, "--json")
    if (content, command) == (None, "list"):  # the preview of a first lock
        assert (result.status, result.document["rejections"]) == (0, [])
        return
    assert result.status == 4
    (rejection,) = result.document["rejections"]
    assert (rejection["kind"], rejection["plugin"]) == ("lock_file_malformed", "<lockfile>")
    assert str(application.lock_path) in rejection["detail"]
    assert f"codegenie plugins lock {application.root}" in result.stderr


WRONG_USAGE = """
import sys
from codegenie.cli import main
for arguments in {arguments!r}:
    sys.argv = ["codegenie", "plugins", *arguments]
    try:
        main()
    except SystemExit as end:
        print("ENDED", end.code, file=sys.stderr)
"""


def test_wrong_usage_is_status_2(application: Application) -> None:
    wrong = [
        [command, *more]
        for command in COMMANDS
        for more in (["nowhere"], ["--nonsense"], ["plugins", "more"], [str(application.lock_path)])
    ]
    outcome = application.run(WRONG_USAGE.format(arguments=wrong), guarded=False)
    ends = [line for line in outcome.stderr.splitlines() if line.startswith("ENDED")]
    assert (ends, outcome.stdout) == (["ENDED 2"] * len(wrong), ""), outcome
    assert outcome.stderr.count("Error: ") == len(wrong)


def test_a_name_from_the_disk_forges_no_line(application: Application) -> None:
    (application.root / "evil\n  fix       run: something\x1b[31m").mkdir()
    result = codegenie(application, "plugins", "verify")
    assert result.status == 4
    assert "\x1b" not in result.stderr
    assert "\n  fix       run: something" not in result.stderr


def test_values_from_plugins_forge_nothing_in_a_terminal(application: Application) -> None:
    application.write("alpha/\u202eevil\u2028.py", "")
    result = codegenie(application, "plugins", "diff")
    assert result.stdout.isascii(), result.stdout
    assert "\\u202e" in result.stdout
    manifest = (application.plugin / "plugin.yaml").read_text()
    application.write("alpha/plugin.yaml", manifest.replace("1.0", "1\\e[31m"))
    result = codegenie(application, "plugins", "list")
    assert "\x1b" not in result.stdout
    assert "schema_violation" in result.stdout


def test_load_prints_one_document_whatever_plugins_print(application: Application) -> None:
    source = """
        import atexit, os, subprocess
        def say(when):
            print("printed", when, flush=True)
            os.write(1, f"written past sys.stdout {when}\\n".encode())
            subprocess.run(["echo", "from a child", when], check=True)
        say("now")
        atexit.register(say, "at exit")
    """
    application.write("alpha/api.py", textwrap.dedent(source))
    assert codegenie(application, "plugins", "lock").status == 0
    result = codegenie(application, "plugins", "load", "--json")
    assert result.document["loaded"] == ["alpha"]
    for said in ("printed", "written past sys.stdout", "from a child"):
        assert f"{said} now\n" in result.stderr
        assert f"{said} at exit\n" in result.stderr


@pytest.mark.parametrize(
    "closing", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- 2>&-", "<&- >&-", "<&- >&- 2>&-"]
)
def test_load_does_without_what_is_closed(application: Application, closing: str) -> None:
    source = """
        import os, subprocess
        print("printed")
        for descriptor in range(3):
            try:
                os.write(descriptor, b"written")
            except OSError:
                pass
        subprocess.run(["echo", "from a child"])
    """
    application.write("alpha/api.py", textwrap.dedent(source))
    assert codegenie(application, "plugins", "lock").status == 0
    command = [sys.executable, "-m", "codegenie", "plugins", "load", "--json"]
    outcome = application.start(["sh", "-c", f'"$@" {closing}', "sh", *command])
    assert outcome.status == 0, outcome
    if ">&-" in closing.split():
        assert outcome.stdout == ""
    else:
        assert json.loads(outcome.stdout)["loaded"] == ["alpha"]


def test_a_plugin_that_closes_standard_output_closes_its_own(application: Application) -> None:
    application.write("alpha/api.py", "import sys\nsys.stdout.close()\n")
    assert codegenie(application, "plugins", "lock").status == 0
    result = codegenie(application, "plugins", "load", "--json")
    assert (result.status, result.document["loaded"]) == (0, ["alpha"])
    assert result.stderr == "1 plugin loaded, 0 registered\n"


def test_load_tells_whether_they_pass_whatever_the_environment_says(
    application: Application,
) -> None:
    application.write("alpha/helper.py", "changed")
    command = [sys.executable, "-m", "codegenie", "plugins", "load", "--json"]
    for variables in ({"CODEGENIE_GUARD_MODE": "audit"}, {"CODEGENIE_GUARD_ON_REFUSAL": "exit"}):
        outcome = application.start(command, environment=variables)
        assert outcome.status == 4
        assert json.loads(outcome.stdout)["rejections"][0]["kind"] == "integrity_mismatch"


@pytest.mark.parametrize("lock", ["nowhere/PLUGINS.lock", "link.lock"])
def test_a_lock_that_cannot_be_written_leaves_everything_as_it_was(
    application: Application, lock: str
) -> None:
    (application.folder / "link.lock").symlink_to(application.folder / "target")
    application.write("alpha/helper.py", "changed")
    before = snapshot(application)
    result = codegenie(application, "plugins", "lock", "--lock", lock)
    assert result.status == 4
    assert result.stderr.startswith("the lock cannot be written: ")
    assert "nothing was written" in result.stderr
    assert snapshot(application) == before
    assert not (application.folder / "target").exists()


def test_a_sidecar_that_cannot_be_written_is_said_to_be_it(application: Application) -> None:
    (application.root / "PLUGINS.sha256").unlink()
    (application.root / "PLUGINS.sha256").mkdir()
    application.write("alpha/helper.py", "changed")
    result = codegenie(application, "plugins", "lock")
    assert result.status == 4
    assert result.stderr.startswith("the lock was written, but ")
    assert "PLUGINS.sha256 cannot be" in result.stderr
    assert "nothing was written" not in result.stderr
    assert json.loads(application.lock_path.read_text()) == {"alpha": oracle(application.plugin)}


# --- guard status -------------------------------------------------------------------------------


def test_guard_status_tells_the_truth(application: Application) -> None:
    result = codegenie(application, "guard", "status", "--json")
    assert result.status == 1
    assert result.document["guard"] == {"active": False}
    assert result.document["executable"] == sys.executable

    # Stands for an interpreter whose start imports the guard.
    wrapper = application.folder / "python"
    wrapper.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "import codegenie.plugins.guard\n$2"\n'
    )
    wrapper.chmod(0o755)
    result = codegenie(application, "guard", "status", "--json", "--python", str(wrapper))
    assert result.document["guard"]["active"] is True, result
    assert result.document["guard"]["mode"] == "enforce"
    # It enforces, but which folder it guards is not known before the first import of a plugin.
    (folder,) = result.document["folders"]
    assert (result.status, folder["root"]) == (1, None)
    assert folder["problem"] == "not known before the first import"


@pytest.mark.parametrize(
    "answer", ["codegenie-guard-status:{}", "codegenie-guard-status:{[", "\\377\\376"]
)
def test_guard_status_of_what_answers_nonsense(application: Application, answer: str) -> None:
    fake = application.folder / "python"
    fake.write_text(f"#!/bin/sh\nprintf '{answer}\\n'\n")
    fake.chmod(0o755)
    result = codegenie(application, "guard", "status", "--python", str(fake))
    assert (result.status, result.stdout) == (2, "")
    assert str(fake) in result.stderr


@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/false", "/bin/true"])
def test_guard_status_of_what_is_no_interpreter(application: Application, python: str) -> None:
    result = codegenie(application, "guard", "status", "--python", python)
    assert (result.status, result.stdout) == (2, "")
    assert python in result.stderr


@pytest.mark.parametrize("command", ["lock --check", "diff", "list"])
def test_what_to_type_names_the_lock(application: Application, command: str) -> None:
    (application.folder / "my lock").write_text("{}")
    arguments = [*command.split(), "--lock", "my lock"]
    found = in_process(application.folder, "plugins", *arguments)
    again = next(line for line in found.stderr.splitlines() if "run: codegenie" in line)
    assert again.endswith(" plugins --lock 'my lock'")


def test_a_plugin_that_is_refused_was_not_removed(application: Application) -> None:
    application.write("alpha/plugin.yaml", "scope: x")
    found = in_process(application.folder, "plugins", "lock")
    assert (found.status, found.stdout) == (4, "")
    found = in_process(application.folder, "plugins", "lock", "--check", "--json")
    assert found.document["removed"] == []


def test_diff_explains_stray_bytecode_as_what_it_is(application: Application) -> None:
    (application.root / "stray.pyc").write_text("")
    found = in_process(application.folder, "plugins", "diff")
    assert (found.status, found.stdout) == (4, "")
    assert "is missing or does not match" not in found.stderr
    assert "is bytecode in the plugin folder" in found.stderr
