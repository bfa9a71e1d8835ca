"""A refusal that an application lets through, as a person sees it."""

from __future__ import annotations

import math
import sys

import pytest

from tests.fixtures.trees import Application

COLUMNS, LINES = 80, 20

FORMS = {
    "the package": ("import plugins", "plugins"),
    "a plugin": ("import plugins.alpha", "plugins.alpha"),
    "a module": ("import plugins.alpha.api", "plugins.alpha.api"),
    "from": ("from plugins.alpha import api", "plugins.alpha"),
}


def lines_on_a_terminal(text: str) -> int:
    return sum(max(1, math.ceil(len(line) / COLUMNS)) for line in text.splitlines())


def change(application: Application, files: int = 1) -> None:
    for number in range(files):
        application.write(f"alpha/file{number}.py", "")
    application.lock()
    application.write_sidecar()
    for number in range(files):
        application.write(f"alpha/file{number}.py", "changed = True\n")


@pytest.mark.parametrize("files", [1, 5, 40])
@pytest.mark.parametrize("scope", ["all", "plugin"])
@pytest.mark.parametrize(("code", "asked"), FORMS.values(), ids=FORMS.keys())
def test_it_ends_in_twenty_lines_that_say_what_to_type(
    application: Application, code: str, asked: str, scope: str, files: int
) -> None:
    change(application, files)
    if scope == "plugin" and asked == "plugins":
        pytest.skip("the package itself is imported where plugins are verified one by one")
    (application.folder / "app.py").write_text(
        f"import codegenie.plugins.guard as guard\nguard.install(scope={scope!r})\n{code}\n"
    )
    outcome = application.run_file("app.py")
    assert outcome.status == 1
    said = outcome.stderr.replace(str(application.root), "/srv/plugins")
    assert said.startswith("Traceback (most recent call last):"), said
    assert lines_on_a_terminal(said) <= LINES, said
    assert "codegenie/" not in said, said
    assert f"the plugin guard refused to import {asked!r}" in said
    ends = [line.split()[0] for line in said.splitlines()[-4:]]
    assert ends == ["fix", "review", "accept", "help"]


def test_an_exit_shows_the_application_and_ends_with_the_command(application: Application) -> None:
    """Replace standard error and drop every exception, as hosts do."""
    (application.folder / "host.py").write_text(
        "import contextlib, io, sys\n"
        "def load(name):\n"
        "    try:\n"
        "        with contextlib.redirect_stderr(io.StringIO()):\n"
        "            __import__(name)\n"
        "    except BaseException:\n"
        "        pass\n"
    )
    (application.folder / "app.py").write_text(
        "import codegenie.plugins.guard as guard\nguard.install(on_refusal='exit')\n"
        "import host, sys\nprint('begun')\n"
        "def deeper(depth):\n"
        "    deeper(depth - 1) if depth else host.load('plugins.alpha.api')\n"
        "deeper(30)\n"
    )
    for files in (1, 5, 40):
        change(application, files)
        both = ["sh", "-c", '"$0" app.py 2>&1', sys.executable]
        outcome = application.start(both)
        assert outcome.status == 4, outcome
        begun, _, said = outcome.stdout.partition("\n")
        assert begun == "begun", outcome
        said = said.replace(str(application.folder), "/srv")
        lines = said.splitlines()
        assert lines_on_a_terminal(said) <= LINES, said
        assert lines[0] == "Traceback (most recent call last):"
        frames = [line for line in lines if line.startswith("  File ")]
        assert frames[-1] == '  File "/srv/host.py", line 5, in load', said
        assert lines[len(frames) + 1] == (
            "the plugin guard refused to import 'plugins.alpha.api'"
        ), said
        assert lines[-1] == (
            "codegenie: plugin 'alpha' is refused, so this process ends; "
            "run: codegenie plugins diff /srv/plugins"
        )


def test_a_module_that_changes_later_shows_no_frame_of_the_guard(application: Application) -> None:
    outcome = application.run(
        "import plugins.alpha\n"
        "open('plugins/alpha/helper.py', 'a').write('#')\nimport plugins.alpha.helper"
    )
    assert "the plugin guard refused to import 'plugins.alpha.helper'" in outcome.stderr
    said = outcome.stderr.replace(str(application.root), "/srv/plugins")
    assert "codegenie/" not in said, outcome
    assert lines_on_a_terminal(said) <= LINES, outcome


def test_code_that_goes_around_shows_no_frame_of_the_guard(application: Application) -> None:
    application.write("alpha/helper.py", "changed = True\n")
    outcome = application.run("import runpy; runpy.run_path('plugins/alpha/helper.py')")
    assert outcome.status == 1, outcome
    said = outcome.stderr.replace(str(application.root), "/srv/plugins")
    assert "codegenie/" not in said, outcome
    assert lines_on_a_terminal(said) <= LINES, outcome


def test_configured_logging_gets_the_record(application: Application) -> None:
    application.write("alpha/helper.py", "changed = True\n")
    outcome = application.run(
        "import logging; logging.basicConfig(format='RECORD %(message)s')\nimport plugins.alpha"
    )
    assert "RECORD refused plugins: plugin 'alpha'" in outcome.stderr, outcome


def test_audit_mode_reports_where_no_logging_is_configured(application: Application) -> None:
    application.write(
        "alpha/helper.py", application.plugin.joinpath("helper.py").read_bytes() + b"#"
    )
    outcome = application.run(
        "import plugins.alpha.api", environment={"CODEGENIE_GUARD_MODE": "audit"}
    )
    assert outcome.status == 0, outcome
    assert "would refuse plugins: plugin 'alpha'" in outcome.stderr
