"""Help, examples, completion, and what a terminal decides."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import codegenie
from codegenie.cli import cli
from codegenie.cli.lazy import LazyGroup
from tests.fixtures.command_line import in_process
from tests.fixtures.environments import Environment, clean_environment
from tests.fixtures.signers import make_key
from tests.fixtures.trees import Application

SCRIPTS = Path(sys.executable).parent


def _commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    pending: list[tuple[tuple[str, ...], click.Command]] = [((), cli)]
    while pending:
        words, command = pending.pop()
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                pending.append(((*words, name), found))


COMMANDS = dict(sorted(_commands()))
each_command = pytest.mark.parametrize(
    "words", COMMANDS, ids=[" ".join(words) or "codegenie" for words in COMMANDS]
)


def examples(text: str) -> list[str]:
    """Return the lines below "Examples:", with continued lines joined."""
    _, _, rest = text.partition("  Examples:\n")
    block, _, _ = rest.partition("\n\n")
    return [line.strip() for line in block.replace("\\\n", "").splitlines()]


@each_command
def test_help_shows_examples_as_they_are_typed(tmp_path: Path, words: tuple[str, ...]) -> None:
    shown = in_process(tmp_path, *words, "--help")
    assert (shown.status, shown.stderr) == (0, "")
    assert max(map(len, shown.stdout.splitlines())) <= 80
    found = examples(shown.stdout)
    itself = " ".join(("codegenie", *words))
    assert any(itself in line for line in found)
    for line in found:
        if not line.startswith("codegenie "):
            (line,) = (word for word in shlex.split(line) if word.startswith("codegenie "))
        program, *arguments = shlex.split(line)
        assert program == "codegenie"
        assert in_process(tmp_path, *_help_instead(arguments)).status == 0, line


def _help_instead(arguments: list[str]) -> list[str]:
    """Return the command of an example, with every option that it shows, asked for its help."""
    command: click.Command = cli
    rest = list(arguments)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None
        command = found
    options = [option for param in command.params for option in (*param.opts,)]
    assert all(word in options for word in rest if word.startswith("-")), arguments
    return [*arguments, "--help"]


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line
            for words, command in COMMANDS.items()
            if words[:1] != ("guard",)
            for line in examples(click.Context(command).get_help())
            if line.startswith("codegenie ")
        }
        - {
            "codegenie guard status",  # starts an interpreter: the tests of activation do that
            "codegenie plugins verify --watch",  # does not end
            # needs the identity of a job, and the network
            "codegenie plugins sign --as ci --sigstore --application shop",
        }
    ),
)
def test_an_example_runs(tmp_path: Path, line: str) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[:2] != ["plugins", "new"]:
        for root in ("plugins", "examples/plugins"):
            assert in_process(tmp_path, "plugins", "new", "hello", root).status == 0
            assert in_process(tmp_path, "plugins", "lock", root).status == 0
    if arguments[0] == "trust" or arguments[:2] == ["plugins", "sign"] or "--trust" in arguments:
        _prepare_signers(tmp_path, exists=arguments[1] != "init")
    if arguments[:2] == ["plugins", "load"]:
        command = [sys.executable, "-m", "codegenie", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(), capture_output=True, timeout=60
        )
        assert done.returncode == 0, done
    else:
        assert in_process(tmp_path, *arguments).status == 0


def _prepare_signers(folder: Path, *, exists: bool) -> None:
    """Make the keys of the examples, a policy that one of them is in, and its signature."""
    for name in ("alice", "old", "id_ed25519"):
        make_key(folder, name)
    sign = ("plugins", "sign", "--as", "bob", "--key", "id_ed25519", "--application", "shop")
    if exists:
        trust = ("trust", "init", "trust.json", "--application", "shop")
        bob = ("trust", "add", "trust.json", "bob", "--ssh", "id_ed25519.pub")
        for arguments in (trust, bob, sign):
            assert in_process(folder, *arguments).status == 0


@each_command
def test_a_group_says_of_a_command_what_the_command_says(words: tuple[str, ...]) -> None:
    command = COMMANDS[words]
    if isinstance(command, LazyGroup):
        for name, (_, line) in command.commands_at.items():
            assert COMMANDS[(*words, name)].get_short_help_str(limit=200) == line


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["plugins", "--help"]])
def test_help_needs_no_heavy_module(tmp_path: Path, arguments: list[str]) -> None:
    script = (
        "import sys\n"
        "from codegenie.cli import main\n"
        f"sys.argv = ['codegenie', *{arguments!r}]\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print(sorted({'pydantic', 'yaml', 'rich', 'json'} & sys.modules.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "[]", done


def test_the_version_is_the_one_there_is(tmp_path: Path) -> None:
    shown = in_process(tmp_path, "--version")
    assert (shown.status, shown.stdout) == (0, f"codegenie, version {codegenie.__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["plugins", "nonsense"], ["completion", "x"]])
def test_an_unknown_word_is_wrong_usage(tmp_path: Path, arguments: list[str]) -> None:
    shown = in_process(tmp_path, *arguments)
    assert (shown.status, shown.stdout) == (2, "")
    assert "Error: " in shown.stderr


# --- completion ---------------------------------------------------------------------------------

PATH = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"{shell} is not installed here")


def type_in(
    application: Application, shell: list[str], setup: str, typed: str, wanted: str
) -> None:
    """Type into an interactive shell, and wait until it shows what it should have made of it."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(application.folder)
        # A wide terminal: what is typed must not be broken into lines.
        variables = {"TERM": "xterm", "COLUMNS": "200", "PATH": PATH, "HOME": os.devnull}
        os.execvpe(shell[0], shell, {**clean_environment(), **variables})
    try:
        os.write(terminal, f"{setup}; echo REA''DY\n".encode())
        seen = _read_until(terminal, b"READY", b"")
        os.write(terminal, typed.encode())
        _read_until(terminal, wanted.encode(), seen.partition(b"READY")[2])
    finally:
        os.close(terminal)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 9)
        os.waitpid(child, 0)


def _read_until(terminal: int, wanted: bytes, seen: bytes) -> bytes:
    end = time.monotonic() + 60
    while wanted not in seen:
        assert time.monotonic() < end, f"{wanted!r} is not in {seen!r}"
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)
    return seen


@needs("bash")
def test_bash_completes_commands_options_and_ids(application: Application) -> None:
    application.add_plugin("beta-long-name")
    setup = 'eval "$(codegenie completion bash)"'
    type_in(
        application,
        ["bash", "--norc", "--noprofile", "-i"],
        setup,
        "codegenie plu\tloc\t--che\tplug\t bet\t",
        "codegenie plugins lock --check plugins/ beta-long-name",
    )


@needs("zsh")
def test_zsh_completes_commands_and_ids(application: Application) -> None:
    application.add_plugin("beta-long-name")
    setup = 'autoload -U compinit; compinit -D; eval "$(codegenie completion zsh)"'
    typed = "codegenie plu\tloc\tplugins bet\t"
    type_in(application, ["zsh", "-f", "-i"], setup, typed, "a-long-name")


@needs("fish")
def test_fish_completes_commands_and_ids(application: Application) -> None:
    application.add_plugin("beta-long-name")
    script = (
        "codegenie completion fish | source\n"
        "complete -C 'codegenie plugins lo'\n"
        "complete -C 'codegenie plugins lock plugins '\n"
    )
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=application.folder,
        env={**clean_environment(), "PATH": PATH},
        capture_output=True,
        text=True,
        timeout=60,
    )
    words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert sorted(words) == ["alpha", "beta-long-name", "load", "lock"], done


def complete(
    application: Application, typed: str, incomplete: str, python: str = sys.executable
) -> list[str]:
    """Return the completions that the program offers to the script of bash."""
    words = ["codegenie", *shlex.split(typed), incomplete]
    done = subprocess.run(
        [python, "-m", "codegenie"],
        cwd=application.folder,
        env={
            **clean_environment(),
            "_CODEGENIE_COMPLETE": "bash_complete",
            "COMP_WORDS": shlex.join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_ids_are_those_that_are_there_or_locked_and_not_typed_yet(application: Application) -> None:
    application.lock({"alpha": "0" * 64, "gone": "0" * 64})
    application.add_plugin("beta")
    (application.root / "No-Plugin").mkdir()
    assert complete(application, "plugins lock plugins", "") == [
        *("No-Plugin", "alpha", "beta", "gone")
    ]
    assert complete(application, "plugins lock plugins alpha", "b") == ["beta"]
    assert complete(application, "plugins lock nowhere", "") == []
    application.lock_path.write_text("[")
    assert complete(application, "plugins lock plugins", "a") == ["alpha"]


def test_ids_and_folders_are_those_of_the_configuration(application: Application) -> None:
    application.root.rename(application.folder / "nodes")
    lock = application.folder / "locks" / "nodes.lock"
    lock.parent.mkdir()
    lock.write_text('{"gone": "%s"}' % ("0" * 64))
    configured = application.folder / "codegenie.toml"
    configured.write_text('[[folder]]\nroot = "nodes"\nlock = "locks/nodes.lock"\n')
    assert complete(application, "plugins lock", "") == ["nodes"]
    assert complete(application, "plugins verify", "") == ["nodes"]
    assert complete(application, "plugins lock", "lo") == ["lo"]  # bash: any folder
    assert complete(application, "plugins lock nodes", "") == ["alpha", "gone"]
    assert complete(application, "plugins lock nodes --lock none", "") == ["alpha"]
    configured.write_text(configured.read_text() + 'others = "leave"\npackage = ""\n')
    assert complete(application, "plugins lock nodes", "") == ["gone"]
    configured.write_text("[")
    assert complete(application, "plugins lock nodes", "") == ["alpha"]


def test_ids_are_those_of_the_activated_lock(application: Application) -> None:
    environment = Environment(application.folder.parent / "env")
    tools = sysconfig.get_path("purelib")
    (environment.site / "tools.pth").write_text(f"{tools}\n")
    lock = application.folder / "nodes.lock"
    lock.write_text('{"gone": "%s"}' % ("0" * 64))
    folder = {"root": str(application.root), "lock": str(lock), "package": None, "others": "leave"}
    environment.activate(application.root, folders=[folder])
    assert complete(application, "plugins lock", "", environment.python) == ["plugins"]
    assert complete(application, "plugins lock plugins", "", environment.python) == ["gone"]


# --- terminals ----------------------------------------------------------------------------------


def on_a_terminal(application: Application, *arguments: str, **variables: str) -> str:
    """Return the output of a command on a terminal, without carriage returns."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(application.folder)
        environment = {**clean_environment(), "TERM": "xterm", **variables}
        environment.setdefault("COLUMNS", "80")
        os.execve(sys.executable, [sys.executable, "-m", "codegenie", *arguments], environment)
    seen = b""
    with contextlib.suppress(OSError):  # a terminal reports this when its last user has closed it
        while data := os.read(terminal, 4096):
            seen += data
    os.close(terminal)
    os.waitpid(child, 0)
    return seen.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", ["list", "diff"])
def test_colour_is_for_terminals_that_did_not_decline_it(
    application: Application, command: str
) -> None:
    application.write_sidecar()
    application.write("alpha/helper.py", "changed")
    assert "\x1b[" in on_a_terminal(application, "plugins", command, NO_COLOR="")
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_a_terminal(application, "plugins", command, **variables)
        assert "\x1b" not in shown
        assert "alpha" in shown
    assert "\x1b" not in in_process(application.folder, "plugins", command).stdout
    assert "\x1b" not in in_process(application.folder, "plugins", command, "--json").stdout


@pytest.mark.parametrize("columns", [30, 40, 60])
def test_a_narrow_terminal_breaks_no_line(application: Application, columns: int) -> None:
    long_name = "a-plugin-with-a-rather-long-name-for-40-columns"
    application.add_plugin(long_name)
    # No row of the table, nor its summary, which is the terminal's to wrap, is cut off.
    shown = on_a_terminal(
        application, "plugins", "list", COLUMNS=str(columns), NO_COLOR="1"
    ).partition("not all of them")[0]
    assert max(map(len, shown.splitlines())) <= columns
    folded = "".join(line.split("  ")[0] for line in shown.splitlines())
    assert "alpha" in folded
    assert long_name in folded
    for command in ("lock", "verify") if columns >= 40 else ():
        text = on_a_terminal(application, "plugins", command, "--help", COLUMNS=str(columns))
        prose, _, rest = text.partition("  Examples:\n")
        options = rest.partition("Options:\n")[2]
        assert max(map(len, (prose + options).splitlines())) <= columns
