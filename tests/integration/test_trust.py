"""A guarded process accepts a lock only if the signers of the pinned policy vouch for it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.attacks import packs
from tests.fixtures.signers import DAY, Key, make_key, policy_of, statement_of
from tests.fixtures.trees import Application, Outcome

IMPORT = "import plugins.alpha.api as api\nprint(api.answer())"


class Signed:
    """An application whose lock is signed, and the policy that its guard pins."""

    def __init__(self, application: Application, keys: dict[str, Key]) -> None:
        self.application = application
        self.keys = keys
        self.policy = application.folder / "trust.json"
        self.settings: dict[str, Any] = {}
        self.trust(policy_of({"alice": keys["alice"]}))
        self.sign("alice")

    @property
    def root(self) -> Path:
        return self.application.root

    def trust(self, policy: bytes, **pinned: Any) -> None:
        """Write a policy and pin it."""
        self.policy.write_bytes(policy)
        digest = hashlib.sha256(policy).hexdigest()
        self.settings = {"policy": str(self.policy), "sha256": digest, **pinned}

    def sign(self, *names: str, root: Path | None = None, **changes: Any) -> bytes:
        """Write a statement about the present lock, and the signatures of these signers."""
        root = root or self.root
        said = statement_of((root / "PLUGINS.lock").read_bytes(), **changes)
        (root / "PLUGINS.statement.json").write_bytes(said)
        folder = root / "PLUGINS.signatures"
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / f"{name}.sig").write_bytes(self.keys[name].sign(said))
        return said

    def run(self, code: str = IMPORT, *, report: bool = False, **more: Any) -> Outcome:
        first = (
            "import codegenie.plugins.guard as guard\n"
            f"guard.install(trust={self.settings!r}, **{more!r})\n"
        )
        if report:
            return self.application.run(f"{first}{code}", report=True)
        return self.application.run(f"{first}{code}")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("alice", "bob", "mallory")}


@pytest.fixture
def signed(application: Application, keys: dict[str, Key]) -> Signed:
    return Signed(application, keys)


def test_a_signed_lock_is_accepted(signed: Signed) -> None:
    outcome = signed.run(IMPORT + "\nimport json\nprint(json.dumps(guard.status().trust))")
    answer, status = outcome.stdout.splitlines()
    assert answer == "42"
    shown = json.loads(status)
    assert (shown["signers"], shown["sequence"], shown["expires"]) == (["alice"], 1, None)
    assert shown["policy"] == str(signed.policy)


def rewrite(signed: Signed) -> None:
    """Change a plugin and the lock, and leave the statement."""
    signed.application.write("alpha/helper.py", "VALUE = 1\n")
    signed.application.lock()


def unsign(signed: Signed) -> None:
    (signed.root / "PLUGINS.signatures" / "alice.sig").unlink()


def remove_statement(signed: Signed) -> None:
    (signed.root / "PLUGINS.statement.json").unlink()


def edit_policy(signed: Signed) -> None:
    signed.policy.write_bytes(policy_of({"alice": signed.keys["alice"]}, max_age_days=9))


def remove_policy(signed: Signed) -> None:
    signed.policy.unlink()


def sign_as_another(signed: Signed) -> None:
    said = (signed.root / "PLUGINS.statement.json").read_bytes()
    signature = signed.root / "PLUGINS.signatures" / "alice.sig"
    signature.write_bytes(signed.keys["mallory"].sign(said))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rewrite, "is about another lock"),
        (unsign, "0 of 1 needed signers"),
        (remove_statement, "the statement does not exist"),
        (edit_policy, "the policy is not the one that was pinned"),
        (remove_policy, "the policy does not exist"),
        (sign_as_another, "0 of 1 needed signers"),
    ],
)
@pytest.mark.parametrize("scope", ["all", "plugin"])
def test_an_untrusted_lock_refuses_everything(
    signed: Signed, change: Callable[[Signed], None], says: str, scope: str
) -> None:
    change(signed)
    outcome = signed.run(report=True, scope=scope)
    rejection = outcome.refusal["rejection"]
    assert rejection["kind"] == "untrusted_lock"
    assert rejection["plugin"] == "<lockfile>"
    assert says in rejection["detail"]
    assert outcome.executed == ()


def test_the_message_lists_each_signature(signed: Signed) -> None:
    sign_as_another(signed)
    message = signed.run(report=True).refusal["message"]
    assert "signers   0 of 1 needed: none\n" in message
    assert "signature alice.sig: is by the key SHA256:" in message


def test_a_refusal_says_to_sign_the_new_lock(signed: Signed) -> None:
    signed.application.write("alpha/helper.py", "VALUE = 3\n")
    said = signed.run(report=True).refusal["message"].splitlines()
    steps = [line.split(maxsplit=1) for line in said[-4:-1]]
    assert [label for label, _ in steps] == ["review", "accept", "sign"]
    assert steps[2][1] == f"codegenie plugins sign {signed.root} --as NAME"


def test_nothing_of_an_unsigned_lock_is_parsed(signed: Signed) -> None:
    signed.application.lock_path.write_bytes(b"\xff{")
    assert signed.run(report=True).refusal["rejection"]["kind"] == "untrusted_lock"
    signed.sign("alice")
    assert signed.run(report=True).refusal["rejection"]["kind"] == "lock_file_malformed"


def test_audit_mode_reports_an_untrusted_lock(signed: Signed) -> None:
    rewrite(signed)
    outcome = signed.run(IMPORT + "\nprint([r.kind for r in guard.status().refused])", mode="audit")
    assert outcome.stdout == "1\n['untrusted_lock']\n"


def test_a_unit_is_checked_against_the_same_lock_again(signed: Signed) -> None:
    """Refuse a lock that was replaced after the first decision, even before the next unit."""
    signed.application.add_plugin("beta")
    signed.application.lock()
    signed.sign("alice")
    outcome = signed.run(
        """
import plugins.alpha.api
input_lock = open('plugins/PLUGINS.lock', 'a')
input_lock.write(' '); input_lock.close()
import plugins.beta.api
""",
        report=True,
        scope="plugin",
    )
    assert "changed after this process had accepted it" in outcome.refusal["rejection"]["detail"]
    assert "plugins.beta.api" not in outcome.executed


def test_a_repaired_lock_is_accepted_by_the_same_process(signed: Signed) -> None:
    kept = signed.application.lock_path.read_bytes()
    signed.application.lock_path.write_bytes(b"{}")
    outcome = signed.run(
        f"""
try:
    import plugins.alpha.api
except ImportError:
    open('plugins/PLUGINS.lock', 'wb').write({kept!r})
import plugins.alpha.api as api
print(api.answer())
"""
    )
    assert outcome.stdout == "42\n", outcome


def test_the_floor_and_the_expiry_are_checked_at_each_start(signed: Signed) -> None:
    now = int(time.time())
    policy = policy_of({"alice": signed.keys["alice"]})
    for changes, pinned, says in (
        ({"sequence": 2}, {"floor": 3}, "number 3 was seen"),
        ({"sequence": 3}, {"floor": 3, "statement": "0" * 64}, "of another statement"),
        ({"expires": now - 9, "issued": now - DAY}, {}, "expired"),
        ({"issued": now + DAY}, {}, "from the future"),
        ({"application": "another"}, {}, "is for 'another'"),
    ):
        signed.trust(policy, **pinned)
        signed.sign("alice", **changes)
        assert says in signed.run(report=True).refusal["rejection"]["detail"]


def test_a_clock_replaced_before_the_guard_is_not_believed(signed: Signed) -> None:
    """Refuse an expired statement, though the time was replaced before the guard could bind it."""
    now = int(time.time())
    signed.sign("alice", issued=now - 9 * DAY, expires=now - DAY)
    script = (
        f"import time\ntime.time = lambda: {now - 2 * DAY}\n"
        "import codegenie.plugins.guard as guard\n"
        f"guard.install(trust={signed.settings!r})\n{IMPORT}"
    )
    outcome = signed.application.start([sys.executable, "-c", script])
    assert "the clock of this process was replaced" in outcome.stderr, outcome
    assert outcome.executed == ()


def pin_statement(signed: Signed, **changes: Any) -> bytes:
    """Write a statement about the present lock, and pin it as an installation does."""
    said = signed.sign(**changes)
    signed.trust(b"", at="install", statement=hashlib.sha256(said).hexdigest())
    return said


LOADED = "\nimport sys\nprint(sorted(name for name in sys.modules if 'codegenie.trust' in name))"


def test_a_statement_pinned_at_the_installation_needs_no_signature(signed: Signed) -> None:
    pin_statement(signed)
    unsign(signed)
    remove_policy(signed)
    outcome = signed.run(IMPORT + LOADED)
    assert outcome.stdout == "42\n['codegenie.trust', 'codegenie.trust.pinned']\n", outcome
    rewrite(signed)
    assert "another lock" in signed.run(report=True).refusal["rejection"]["detail"]
    signed.sign("alice")
    refusal = signed.run(report=True).refusal
    assert "not the one that was pinned" in refusal["rejection"]["detail"]
    assert "install the guard again with --trust-at install" in refusal["message"]


def test_activation_with_a_pinned_statement_loads_nothing_of_trust(signed: Signed) -> None:
    pin_statement(signed)
    statement = signed.settings.pop("statement")
    folder = {"root": str(signed.root), "floor": 1, "statement": statement}
    outcome = signed.application.run(
        f"codegenie.plugins.guard.pin(folders=[{folder!r}], trust={signed.settings!r})\n"
        f"codegenie.plugins.guard.require(trust=True)\n{IMPORT}{LOADED}"
    )
    assert outcome.stdout == "42\n[]\n", outcome


def link_statement(signed: Signed) -> None:
    path = signed.root / "PLUGINS.statement.json"
    path.rename(signed.application.folder / "statement.json")
    path.symlink_to(signed.application.folder / "statement.json")


def folder_for_lock(signed: Signed) -> None:
    signed.application.lock_path.unlink()
    signed.application.lock_path.mkdir()


def empty_lock(signed: Signed) -> None:
    signed.application.lock_path.write_bytes(b"")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (rewrite, "the statement is about another lock"),
        (empty_lock, "the statement is about another lock"),
        (remove_statement, "the statement does not exist"),
        (link_statement, "the statement is a symbolic link"),
        (folder_for_lock, "the lock is a folder, not a regular file"),
        (
            lambda signed: signed.sign("alice", sequence=2),
            "the statement is not the one that was pinned",
        ),
        (lambda signed: pin_statement(signed, issued=9, expires=99), "the statement expired at"),
        (
            lambda signed: pin_statement(signed, issued=int(time.time()) + DAY),
            "the statement is from the future",
        ),
        (
            lambda signed: pin_statement(signed, subjects={"PLUGINS.lock": "0" * 64}),
            "the statement is about another lock",
        ),
        (
            lambda signed: pin_statement(signed, application=" shop"),
            "the statement application must be printable",
        ),
    ],
)
@pytest.mark.parametrize(
    "more", [{}, {"scope": "plugin"}, {"mode": "audit"}], ids=["all", "plugin", "audit"]
)
def test_a_pinned_statement_refuses_each_other_release(
    signed: Signed, change: Callable[[Signed], object], says: str, more: dict[str, Any]
) -> None:
    pin_statement(signed)
    change(signed)
    outcome = signed.run(
        "try:\n    import plugins.alpha.api\nexcept ImportError:\n    pass\n"
        "print(*{(r.kind, r.evidence['detail']) for r in guard.status().refused})",
        **more,
    )
    assert f"('untrusted_lock', '{says}" in outcome.stdout, outcome
    assert bool(outcome.executed) == ("mode" in more)


def test_another_layout_of_a_pinned_statement_is_accepted(signed: Signed) -> None:
    said = json.dumps(json.loads(pin_statement(signed))).encode()
    (signed.root / "PLUGINS.statement.json").write_bytes(said)
    signed.settings["statement"] = hashlib.sha256(said).hexdigest()
    outcome = signed.run(IMPORT + "\nprint(guard.status().trust['sequence'])")
    assert outcome.stdout == "42\n1\n", outcome


def test_status_shows_a_pinned_statement(signed: Signed) -> None:
    pin_statement(signed, sequence=5, issued=1_700_000_000, expires=4_000_000_000)
    show = "trust = guard.status().trust\nprint(trust.get('sequence'), trust.get('expires'))\n"
    outcome = signed.run(f"{show}{IMPORT}\n{show}")
    assert outcome.stdout == "None None\n42\n5 2096-10-02T07:06:40Z\n", outcome


def test_a_clock_that_was_replaced_does_not_accept_a_pinned_statement(signed: Signed) -> None:
    pin_statement(signed)
    script = (
        "import time\ngenuine = time.time\ntime.time = lambda: genuine()\n"
        "import codegenie.plugins.guard as guard\n"
        f"guard.install(trust={signed.settings!r})\n{IMPORT}"
    )
    outcome = signed.application.start([sys.executable, "-c", script])
    assert "the clock of this process was replaced" in outcome.stderr, outcome
    assert outcome.executed == ()


def test_a_release_that_is_restored_is_accepted_by_the_same_process(signed: Signed) -> None:
    pin_statement(signed)
    kept = signed.application.lock_path.read_bytes()
    outcome = signed.run(
        f"""
def load():
    try:
        import plugins.alpha.api as api
        print(api.answer())
    except ImportError as error:
        print(error.rejection.kind)
open('plugins/PLUGINS.lock', 'wb').write(b'')
load()
open('plugins/PLUGINS.lock', 'wb').write({kept!r})
load()
"""
    )
    assert outcome.stdout == "untrusted_lock\n42\n", outcome


def test_a_lock_that_changed_since_does_not_load_under_a_pinned_statement(signed: Signed) -> None:
    """Check the lock again for ``load_plugins``, though it was accepted in this process."""
    pin_statement(signed)
    load = (
        "from pathlib import Path\nfrom codegenie.plugins.loader import load_plugins\n"
        "done = load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock'))\n"
        "print(done.is_ok() or done.error.kind)\n"
    )
    change = "with open('plugins/PLUGINS.lock', 'a') as lock:\n    lock.write(' ')\n"
    outcome = signed.run(f"{IMPORT}\n{load}{change}{load}print(guard.status().trust['floor'])")
    assert outcome.stdout == "42\nTrue\nuntrusted_lock\n0\n", outcome


@pytest.mark.parametrize("more", [{"on_refusal": "exit"}, {"mode": "audit"}, {"scope": "plugin"}])
def test_words_of_a_refusal_are_loaded_where_it_cannot_wait(
    signed: Signed, more: dict[str, Any]
) -> None:
    pin_statement(signed)
    loaded = "\nimport sys\nprint('codegenie.trust.trusted_lock' in sys.modules)"
    assert signed.run(IMPORT + loaded, **more).stdout == "42\nTrue\n"


def test_a_unit_is_checked_against_the_pinned_lock_again(signed: Signed) -> None:
    signed.application.add_plugin("beta")
    signed.application.lock()
    pin_statement(signed)
    outcome = signed.run(
        "import plugins.alpha.api\n"
        "with open('plugins/PLUGINS.lock', 'a') as lock:\n    lock.write(' ')\n"
        "import plugins.beta.api",
        report=True,
        scope="plugin",
    )
    assert "changed after this process had accepted it" in outcome.refusal["rejection"]["detail"]
    assert "plugins.beta.api" not in outcome.executed


def test_each_folder_has_its_own_pinned_statement(signed: Signed) -> None:
    second = Application(signed.application.folder, "second")
    pin_statement(signed)
    said = signed.sign(root=second.root, sequence=3)
    add = ADD.format(f", statement={hashlib.sha256(said).hexdigest()!r}")
    script = f"{add}import plugins.alpha.api, second.alpha.api{LOADED}"
    outcome = signed.run(script)
    assert outcome.stdout == "['codegenie.trust', 'codegenie.trust.pinned']\n", outcome
    # The statement of one folder does not count for another.
    (second.root / "PLUGINS.statement.json").write_bytes(
        (signed.root / "PLUGINS.statement.json").read_bytes()
    )
    assert "not the one that was pinned" in signed.run(script, report=True).refusal["message"]


@pytest.mark.parametrize("named", [False, True])
def test_only_packs_of_a_pinned_statement_are_used(signed: Signed, named: bool) -> None:
    folder = packs.write(signed.application, packs.honest(signed.application))
    subjects = {"PLUGINS.lock": signed.application.lock_path, "alpha": folder / "alpha.index"}
    names = {"alpha": f"PLUGINS.bytecode/{folder.name}/alpha.index"}
    digests = {
        names.get(name, name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in subjects.items()
        if named or name not in names
    }
    pin_statement(signed, subjects=digests)
    count = IMPORT + "\nprint(guard.status().bytecode['alpha'])"
    assert f"'from_pack': {2 * named}" in signed.run(count).stdout
    packs.write(signed.application, {"helper.py": packs.entry()})
    forged = signed.run(count).stdout
    assert forged.startswith("42\n")
    assert "'from_pack': 0" in forged
    assert "the statement does not name the index" in forged


def test_only_packs_of_the_statement_are_used(signed: Signed) -> None:
    folder = packs.write(signed.application, packs.honest(signed.application))
    count = IMPORT + "\nprint(guard.status().bytecode['alpha'])"
    compiled = signed.run(count).stdout.splitlines()[1]
    assert "'from_pack': 0" in compiled
    assert "the statement does not name the index" in compiled
    digest = hashlib.sha256((folder / "alpha.index").read_bytes()).hexdigest()
    lock = hashlib.sha256(signed.application.lock_path.read_bytes()).hexdigest()
    name = f"PLUGINS.bytecode/{folder.name}/alpha.index"
    signed.sign("alice", subjects={"PLUGINS.lock": lock, name: digest})
    assert "'from_pack': 2" in signed.run(count).stdout
    packs.write(signed.application, {"helper.py": packs.entry()})
    forged = signed.run(count)
    assert forged.stdout.splitlines()[0] == "42"
    assert "'from_pack': 0" in forged.stdout


REPLACED_WHILE_OPENED = """
import os, sys
def replace(event, args):
    if event == 'open' and args[0] == 'alice.sig' and not done:
        done.append(1)
        os.rename('plugins/PLUGINS.signatures/alice.sig', 'kept')
        os.mkfifo('plugins/PLUGINS.signatures/alice.sig')
done = []
sys.addaudithook(replace)
import plugins.alpha.api
"""


def test_signature_replaced_while_it_is_opened_does_not_count(signed: Signed) -> None:
    """Refuse a FIFO that takes the place of a file between the two checks of its kind."""
    rejection = signed.run(REPLACED_WHILE_OPENED, report=True).refusal["rejection"]
    assert rejection["signatures"] == ["alice.sig: is a FIFO, not a regular file"]


def test_load_plugins_needs_the_signers_too(signed: Signed) -> None:
    load = (
        "from pathlib import Path\nfrom codegenie.plugins.loader import load_plugins\n"
        "done = load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock'))\n"
        "print(done.is_ok() or done.error.kind)"
    )
    assert signed.run(load).stdout == "True\n"
    rewrite(signed)
    outcome = signed.run(load)
    assert (outcome.stdout, outcome.executed) == ("untrusted_lock\n", ())


@pytest.mark.parametrize(
    ("trust", "says"),
    [
        ({"sha256": "0" * 64}, "the path of the policy"),
        ({"policy": "trust.json"}, "sha256"),
        ({"policy": "trust.json", "sha256": "x"}, "sha256"),
        ({"policy": "trust.json", "sha256": "0" * 64, "at": "never"}, "at"),
        ({"policy": "trust.json", "sha256": "0" * 64, "at": "install"}, "statement"),
        ({"policy": "trust.json", "sha256": "0" * 64, "floor": True}, "floor"),
        ({"policy": "trust.json", "sha256": "0" * 64, "threshold": 0}, "threshold"),
    ],
)
def test_trust_settings_that_mean_nothing_are_an_error(
    signed: Signed, trust: dict[str, Any], says: str
) -> None:
    signed.settings = trust
    outcome = signed.run()
    assert outcome.stderr.splitlines()[-1].startswith("ValueError: ")
    assert says in outcome.stderr.splitlines()[-1]


def test_a_pinned_policy_cannot_be_changed(signed: Signed) -> None:
    other = {**signed.settings, "sha256": "0" * 64}
    outcome = signed.run(
        f"{IMPORT}\n"
        f"guard.install(trust={signed.settings!r})\n"
        f"try:\n    guard.install(trust={other!r})\n"
        "except RuntimeError as error:\n    print(error.setting)"
    )
    assert outcome.stdout == "42\ntrust\n", outcome


@pytest.mark.parametrize("floor", [None, 1])
def test_a_second_pin_does_not_lower_the_floor(signed: Signed, floor: int | None) -> None:
    folder: dict[str, Any] = {"root": str(signed.root)}
    again = folder if floor is None else {**folder, "floor": floor}
    outcome = signed.application.run(
        "guard = codegenie.plugins.guard\n"
        f"guard.pin(folders=[{ {**folder, 'floor': 2}!r}], trust={signed.settings!r})\n"
        f"try:\n    guard.pin(folders=[{again!r}], trust={signed.settings!r})\n"
        "except RuntimeError as error:\n    print(error.setting)\n"
        "try:\n    import plugins.alpha\n"
        "except ImportError as error:\n    print(error.rejection.detail)"
    )
    said = "the statement has the number 1, but number 2 was seen before"
    assert outcome.stdout == f"floor\n{said}\n", outcome


@pytest.mark.parametrize("key", ["policy", "sha256"])
def test_incomplete_pinned_trust_imports_nothing(signed: Signed, key: str) -> None:
    trust = {name: value for name, value in signed.settings.items() if name == key}
    for pinned in (trust, {}):
        outcome = signed.application.run(
            f"codegenie.plugins.guard.pin(folders=[{ {'root': 'plugins'}!r}], trust={pinned!r})\n"
            "try:\n    import plugins.alpha\n"
            "except ImportError as error:\n    print('have no' in str(error))"
        )
        assert (outcome.stdout, outcome.executed) == ("True\n", ()), outcome


def test_a_policy_that_is_pinned_later_covers_the_names(signed: Signed) -> None:
    """Check the lock again whose names were read before a policy was pinned."""
    shared = Application(signed.application.folder, "shared")
    (shared.root / "PLUGINS.statement.json").write_bytes(b"{}")
    for first in (
        "guard.install(root='shared', package='', others='leave')",
        "guard.install()\nguard.add('shared', package='', others='leave')",
    ):
        outcome = signed.application.run(
            f"guard = codegenie.plugins.guard\n{first}\n"
            f"try:\n    guard.install(trust={signed.settings!r})\n"
            "except ValueError as error:\n    print('is not trusted' in str(error))"
        )
        assert outcome.stdout == "True\n", outcome


ADD = "guard.add('second', package='second'{})\n"


def test_an_added_folder_needs_its_own_signers(signed: Signed) -> None:
    second = Application(signed.application.folder, "second")

    def detail(more: str = "") -> str:
        script = ADD.format(more) + "import second.alpha.api"
        return str(signed.run(script, report=True).refusal["rejection"]["detail"])

    assert detail() == f"the statement does not exist: {second.root}/PLUGINS.statement.json"
    signed.sign("alice", root=second.root, sequence=3)
    assert signed.run(ADD.format(", floor=3") + "import second.alpha.api").status == 0
    assert "number 4 was seen" in detail(", floor=4")
    assert "of another statement" in detail(f", floor=3, statement={'0' * 64!r}")


def test_floor_of_an_added_folder_is_kept(signed: Signed) -> None:
    second = Application(signed.application.folder, "second")
    signed.sign("alice", root=second.root)
    wrong = (", floor=1", ", floor=-1", ", floor=True", ", statement='x'")
    outcome = signed.run(
        ADD.format(", floor=2")
        + ADD.format("")
        + "".join(
            f"try:\n    {ADD.format(more)}except ValueError as error:\n    print(error)\n"
            for more in wrong
        )
        + "try:\n    import second.alpha.api\n"
        "except ImportError as error:\n    print(error.rejection.detail)\n"
        f"try:\n    {ADD.format(', floor=3')}"
        "except RuntimeError as error:\n    print(type(error).__name__, error.setting)"
    )
    assert outcome.stdout.splitlines() == [
        f"{str(second.root)!r} is guarded already, with floor=2",
        "trust['floor'] must be a sequence number, not -1",
        "trust['floor'] must be a sequence number, not True",
        "trust['statement'] must be a SHA-256 digest in lower-case hex",
        "the statement has the number 1, but number 2 was seen before",
        "GuardSettled floor",
    ]


def test_a_floor_without_a_policy_is_an_error(application: Application) -> None:
    outcome = application.run("codegenie.plugins.guard.add('plugins', package='p', floor=1)")
    assert "ValueError: floor and statement need a policy" in outcome.stderr


def test_require_can_ask_for_a_policy(application: Application) -> None:
    outcome = application.run(
        "guard = codegenie.plugins.guard\nguard.pin(folders=[{'root': 'plugins'}])\nguard.require()\n"
        "try:\n    guard.require(trust=True)\nexcept RuntimeError as error:\n    print(error.detail)"
    )
    assert outcome.stdout == (
        "no trust policy is pinned, so any writer of the lock decides what may run\n"
    ), outcome


def test_stock_tools_accept_the_files(signed: Signed, tmp_path: Path) -> None:
    public = signed.keys["alice"].public
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f'alice namespaces="codegenie-plugins-v1" {public}')
    statement = signed.root / "PLUGINS.statement.json"
    command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "alice"]
    command += ["-n", "codegenie-plugins-v1", "-s", "PLUGINS.signatures/alice.sig"]
    with statement.open("rb") as opened:
        done = subprocess.run(command, stdin=opened, cwd=signed.root, capture_output=True)
    assert done.returncode == 0, done
    lines = "".join(
        f"{subject['digest']['sha256']}  {subject['name']}\n"
        for subject in json.loads(statement.read_bytes())["subject"]
    )
    subprocess.run(
        ["sha256sum", "-c"], input=lines.encode(), cwd=signed.root, check=True, capture_output=True
    )


def test_a_forked_child_keeps_the_verdict(signed: Signed) -> None:
    outcome = signed.run(
        "import os, sys, threading\nimport plugins.alpha\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        "    import plugins.alpha.api as api\n"
        "    os._exit(api.answer())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert outcome.stdout == "42\n", outcome


def test_threads_get_one_verdict(signed: Signed) -> None:
    rewrite(signed)
    outcome = signed.run(
        "import threading\n"
        "def load():\n"
        "    try:\n        import plugins.alpha.api\n"
        "    except ImportError as error:\n        print(error.rejection.kind)\n"
        "threads = [threading.Thread(target=load) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    )
    assert outcome.stdout == "untrusted_lock\n" * 8, outcome
    assert outcome.executed == ()
