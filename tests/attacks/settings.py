"""The set-up changes under the guard: what it meant earlier, or in another folder, must not count."""

from __future__ import annotations

import shutil

from tests.attacks.attack import EVIL, Attack, Refused
from tests.fixtures.trees import Application

MISMATCH = Refused("integrity_mismatch")


def changed(application: Application) -> None:
    application.write("alpha/helper.py", EVIL)


def lock_outside(application: Application) -> None:
    """The lock is out of the plugins' reach, so that no folder on the path has one."""
    application.lock_path.rename(application.folder / "outside.lock")
    changed(application)


def approved_elsewhere(application: Application) -> None:
    """The plugin is changed, and a lock in another folder approves it."""
    changed(application)
    shutil.copytree(application.root, application.folder / "uploads" / "plugins")
    valid = application.lock_path.read_bytes()
    application.lock()
    application.lock_path.rename(application.folder / "uploads" / "plugins" / "PLUGINS.lock")
    application.lock_path.write_bytes(valid)


def rewritten(application: Application) -> None:
    """The lock in the folder approves the change; the one that is out of reach does not."""
    shutil.copy(application.lock_path, application.folder / "outside.lock")
    changed(application)
    application.lock()


AUDIT_FIRST = """
import os, sys
guard = sys.modules.get('codegenie.plugins.guard')
try:
    import plugins  # a library looks whether there are plugins; no root is known yet
except ImportError:
    pass
"""
FROM_THE_START = {
    "CODEGENIE_PLUGINS_ROOT": "plugins",
    "CODEGENIE_PLUGINS_LOCK": "plugins/PLUGINS.lock",
}
RELOADED = """
    for name in [n for n in sys.modules if n.partition('.')[0] == 'codegenie']:
        del sys.modules[name]
    import codegenie.plugins.guard
"""

# As another thread would, at that moment.
ENFORCED_DURING_THE_REPORT = """
import os, sys
guard = sys.modules.get('codegenie.plugins.guard')
enforced = []
def enforce(event, arguments):
    if event == 'codegenie.plugins.refused' and not enforced:
        enforced.append(event)
        guard.install(root='plugins', lock='outside.lock', mode='enforce')
        try:
            exec(compile('1', 'plugins/alpha/api.py', 'exec'))  # the guard decides by the new mode
        except ImportError:
            pass
if guard:
    sys.addaudithook(enforce)
try:
    import plugins
except ImportError:
    pass
assert enforced or not guard
import plugins.alpha.api
"""

ATTACKS = (
    Attack(
        "settings/audit-then-enforce",
        "Audit mode let everything through without a root, before a root is enforced.",
        MISMATCH,
        AUDIT_FIRST
        + "if guard:\n    guard.install(root='plugins', lock='outside.lock', mode='enforce')\n"
        "import plugins.alpha.api",
        lock_outside,
        settings={"mode": "audit"},
        lock="outside.lock",
    ),
    Attack(
        "settings/audit-then-enforce-without-a-root",
        "The same, and no root is given.",
        Refused("lock_file_malformed", plugin="<lockfile>"),
        AUDIT_FIRST + "if guard:\n    guard.install(mode='enforce')\nimport plugins.alpha.api",
        lock_outside,
        settings={"mode": "audit"},
    ),
    Attack(
        "settings/enforced-during-a-report",
        "Audit mode reports that there is no root, and enforcing is switched on before it has ended.",
        MISMATCH,
        ENFORCED_DURING_THE_REPORT,
        lock_outside,
        settings={"mode": "audit"},
        lock="outside.lock",
    ),
    Attack(
        "settings/audit-then-pinned",
        "The same, and the set-up is pinned.",
        MISMATCH,
        AUDIT_FIRST
        + "if guard:\n    guard.pin(folders=[{'root': 'plugins', 'lock': 'outside.lock'}])\nimport plugins.alpha.api",
        lock_outside,
        settings={"mode": "audit"},
        lock="outside.lock",
    ),
    Attack(
        "settings/audit-then-enforce-by-the-environment",
        "The same, and the environment says the mode and the root.",
        MISMATCH,
        AUDIT_FIRST
        + "os.environ['CODEGENIE_GUARD_MODE'] = 'enforce'\n"
        + "os.environ['CODEGENIE_PLUGINS_ROOT'] = 'plugins'\n"
        + "os.environ['CODEGENIE_PLUGINS_LOCK'] = 'outside.lock'\n"
        + "import runpy; runpy.run_path('plugins/alpha/helper.py')",
        lock_outside,
        environment={"CODEGENIE_GUARD_MODE": "audit"},
        lock="outside.lock",
    ),
    Attack(
        "settings/lock-after-chdir",
        "A relative lock in the environment, and the working folder changes to one with another.",
        MISMATCH,
        "import os, sys; sys.path[0] = os.getcwd(); os.chdir('uploads')\nimport plugins.alpha.api",
        approved_elsewhere,
        environment=FROM_THE_START,
    ),
    Attack(
        "settings/guard-again-after-chdir",
        "The same, and all of the guard is imported again there.",
        MISMATCH,
        "import os, sys; sys.path[0] = os.getcwd(); os.chdir('uploads')\n"
        f"if 'codegenie' in sys.modules:{RELOADED}"
        "import plugins.alpha.api",
        approved_elsewhere,
        environment=FROM_THE_START,
    ),
    Attack(
        "settings/lock-of-the-environment",
        "The environment names a lock that is out of reach, and the application the folder.",
        MISMATCH,
        prepare=rewritten,
        settings={"root": "plugins"},
        environment={"CODEGENIE_PLUGINS_LOCK": "outside.lock"},
        lock="outside.lock",
    ),
)
