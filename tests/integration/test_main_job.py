"""The main job: a locked plugin runs, a changed one does not."""

from __future__ import annotations

from tests.fixtures.trees import Application


def test_a_locked_plugin_runs(application: Application) -> None:
    outcome = application.run("import plugins.alpha.api as api; print(api.answer())")
    assert (outcome.status, outcome.stdout) == (0, "42\n"), outcome
    assert outcome.executed == ("plugins.alpha.api", "plugins.alpha.helper")


def test_a_changed_byte_anywhere_is_refused_before_a_line_runs(application: Application) -> None:
    application.write("alpha/helper.py", "VALUE = 43\n")

    unguarded = application.run("import plugins.alpha.api", guarded=False)
    assert unguarded.executed == ("plugins.alpha.api",), unguarded

    guarded = application.run("import plugins.alpha.api", report=True)
    assert guarded.refusal["rejection"]["kind"] == "integrity_mismatch"
    assert guarded.executed == ()

    application.lock()
    assert application.run("import plugins.alpha.api").status == 0
