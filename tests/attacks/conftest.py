"""How an attack is tested: it works without the guard, and with it nothing of it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.trees import Application, Outcome

Attack = Callable[[Application], None]

PAYLOAD = "import os\nwith open(os.environ['WITNESS'], 'a') as f:\n    f.write('PAYLOAD\\n')\n"


class Range:
    """An application to attack; ``payload`` is code that leaves a mark when it runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def application(self) -> Application:
        self._count += 1
        folder = self._folder / f"application{self._count}"
        folder.mkdir()
        return Application(folder)

    def works_unguarded(self, attack: Attack, script: str) -> None:
        """Without the guard the payload runs: the attack attacks something."""
        application = self.application()
        attack(application)
        outcome = application.run(script, guarded=False)
        assert "PAYLOAD" in outcome.executed, outcome

    def refused(self, attack: Attack, script: str, kind: str) -> Outcome:
        """With the guard it is refused, for the right reason, and a repaired tree imports."""
        application = self.application()
        attack(application)
        outcome = application.run(script, report=True)
        assert outcome.refusal["rejection"]["kind"] == kind, outcome
        assert "PAYLOAD" not in outcome.executed
        assert self.application().run("import plugins.alpha.api").status == 0
        return outcome

    def harmless(self, attack: Attack, script: str) -> Outcome:
        """With the guard the script goes on as if the attack had not been made."""
        application = self.application()
        attack(application)
        outcome = application.run(script)
        assert outcome.status == 0, outcome
        assert "PAYLOAD" not in outcome.executed
        assert "plugins.alpha.api" in outcome.executed
        return outcome


@pytest.fixture
def ground(tmp_path: Path) -> Range:
    return Range(tmp_path)
