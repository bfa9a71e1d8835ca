"""An attacker who rewrites the lock as well, where a policy is pinned.

Each payload runs under the guard without a policy: the lock is the attacker's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attacks import packs
from tests.attacks.attack import (
    EVIL,
    IMPORT,
    PAYLOAD,
    Attack,
    Closed,
    Expected,
    Ignored,
    Refused,
    untouched,
)
from tests.fixtures.signers import (
    DAY,
    SoftKey,
    armoured,
    at,
    policy_of,
    statement_of,
    wire,
)
from tests.fixtures.trees import Application

Prepare = Callable[[Application], None]

ALICE, BOB, CAROL, MALLORY = (SoftKey(name) for name in ("alice", "bob", "carol", "mallory"))
POLICY = policy_of({"alice": ALICE})
OLD = int(time.time()) - 9 * DAY

# A key that only a library can verify, and a signature that claims to be by it.
ECDSA = wire(b"ecdsa-sha2-nistp256") + wire(b"nistp256") + wire(b"\4" + bytes(64))


LIBRARY_POLICY = policy_of(
    {"dave": {"ssh": f"ecdsa-sha2-nistp256 {base64.b64encode(ECDSA).decode()}"}, "alice": ALICE}
)


def untrusted(says: str) -> Refused:
    return Refused("untrusted_lock", plugin="<lockfile>", says=says)


UNSIGNED = untrusted("0 of 1 needed signers")


def pinned(policy: bytes = POLICY, **more: Any) -> dict[str, Any]:
    """Return the settings of a guard that pins a policy."""
    digest = hashlib.sha256(policy).hexdigest()
    return {"trust": {"policy": "trust.json", "sha256": digest, **more}}


def write_policy(policy: bytes = POLICY) -> Prepare:
    def prepare(application: Application) -> None:
        path = application.folder / "trust.json"
        if path.is_symlink() or path.exists():
            path.unlink()
        path.write_bytes(policy)

    return prepare


def statement_at(application: Application) -> Path:
    return application.root / "PLUGINS.statement.json"


def signature_at(application: Application, name: str = "alice") -> Path:
    folder = application.root / "PLUGINS.signatures"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.sig"


def sign(
    application: Application, /, *keys: SoftKey, said: bytes | None = None, **changes: Any
) -> bytes:
    """Write a statement about the present lock, with a signature of each key."""
    said = statement_of(application.lock_path.read_bytes(), **changes) if said is None else said
    statement_at(application).write_bytes(said)
    for name, key in zip(("alice", "bob", "carol"), keys or (ALICE,), strict=False):
        signature_at(application, name).write_bytes(key.sign(said))
    return said


def rewrite(application: Application) -> None:
    """Put the payload into the plugin, and lock it."""
    application.write("alpha/helper.py", EVIL)
    application.lock()


def forge(then: Callable[[Application], object] = untouched, *, policy: bytes = POLICY) -> Prepare:
    """Prepare a release that Alice has signed, then the rewritten lock, and then the rest."""

    def prepare(application: Application) -> None:
        write_policy(policy)(application)
        sign(application)
        rewrite(application)
        then(application)

    return prepare


def signed(*keys: SoftKey, policy: bytes = POLICY, **changes: Any) -> Prepare:
    """Prepare a rewritten lock with a statement and signatures of its own."""
    return forge(lambda application: sign(application, *keys, **changes), policy=policy)


def said(change: Callable[[bytes], bytes]) -> Prepare:
    """Prepare a statement that Alice has signed, with a defect that a reader may overlook."""

    def then(application: Application) -> None:
        sign(application, said=change(statement_of(application.lock_path.read_bytes())))

    return forge(then)


def signature(change: Callable[[bytes], bytes], key: SoftKey = ALICE) -> Prepare:
    """Prepare a signature of the rewritten lock that is changed."""

    def then(application: Application) -> None:
        data = sign(application)
        signature_at(application).write_bytes(change(key.sign(data)))

    return forge(then)


def instead(path: Callable[[Application], Path], how: str) -> Prepare:
    """Prepare a FIFO, a link or a file without end in the place of a file."""

    def then(application: Application) -> None:
        sign(application)
        file = path(application)
        kept = file.read_bytes()
        file.unlink()
        if how == "fifo":
            os.mkfifo(file)
        elif how == "link":
            (application.folder / "kept").write_bytes(kept)
            file.symlink_to(application.folder / "kept")
        else:
            file.write_bytes(kept)
            os.truncate(file, 1 << 40)

    return forge(then)


def flipped(data: bytes) -> bytes:
    lines = data.split(b"\n")
    lines[-3] = lines[-3].swapcase()
    return b"\n".join(lines)


def unsigned(application: Application) -> None:
    sign(application)
    signature_at(application).unlink()


def seventeen(application: Application) -> None:
    data = sign(application)
    for number in range(16):
        signature_at(application, f"{number:02}").write_bytes(MALLORY.sign(data))


def of_a_zero_hash(application: Application) -> None:
    """Write a signature by Alice's key that counts only where hashes decode to 0."""
    sign(application)
    value = wire(b"ssh-ed25519") + wire((1).to_bytes(32, "little") + bytes(32))
    key = base64.b64decode(ALICE.public.split()[1])
    fields = [key, b"codegenie-plugins-v1", b"", b"sha512", value]
    blob = b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(map(wire, fields))
    signature_at(application).write_bytes(armoured(blob))


def by_newline(application: Application) -> None:
    """Write the name of a signature so that a message seems to count it."""
    data = sign(application, MALLORY)
    signature_at(application, "x\nsigners 1 of 1\x1b[2J").write_bytes(MALLORY.sign(data))


def stale_statement(application: Application) -> None:
    """Leave the statement and the signature of a release that has another lock."""
    sign(application, said=statement_of(b'{\n  "alpha": "' + b"0" * 64 + b'"\n}\n'))


def edited_statement(application: Application) -> None:
    data = statement_at(application).read_bytes()
    honest = json.loads(data)["subject"][0]["digest"]["sha256"].encode()
    now = hashlib.sha256(application.lock_path.read_bytes()).hexdigest().encode()
    statement_at(application).write_bytes(data.replace(honest, now))


def other_lock(application: Application) -> None:
    """Keep the signed lock, and write the lock of the payload elsewhere."""
    other = application.folder / "evil"
    other.mkdir()
    (other / "PLUGINS.lock").write_bytes(application.lock_path.read_bytes())
    application.lock_path.write_text("{}")
    sign(application)


def sign_other_lock(application: Application) -> None:
    """Put a signed lock where the environment says that the lock is."""
    sign(application)
    shutil.rmtree(application.folder / "evil")
    shutil.copytree(application.root, application.folder / "evil")


def copied_statement(application: Application) -> None:
    """Put the genuine statement and its signature beside the lock of the payload."""
    other_lock(application)
    evil = application.folder / "evil"
    shutil.copy(statement_at(application), evil)
    shutil.copytree(application.root / "PLUGINS.signatures", evil / "PLUGINS.signatures")


def second_folder(*, signs: bool) -> Prepare:
    """Prepare a second folder whose lock is rewritten; Alice signed it as its first release."""

    def prepare(application: Application) -> None:
        write_policy()(application)
        sign(application)
        second = Application(application.folder, "integrations")
        sign(second)
        rewrite(second)
        if signs:
            sign(second)

    return prepare


def revoked_statement(application: Application) -> None:
    sign(application, said=REVOKED)


def hostile_bundle(application: Application) -> None:
    """Write a Sigstore bundle that has a key twice and is nested deeply."""
    unsigned(application)
    bundle = b'{"mediaType": "a", "mediaType": "b", "x": ' + b"[" * 9000 + b"]" * 9000 + b"}"
    (application.root / "PLUGINS.signatures" / "ci.sigstore.json").write_bytes(bundle)


def name_left_out(application: Application) -> None:
    """Remove a unit from the lock of a shared folder: a lock's names are all that is guarded."""
    write_policy()(application)
    sign(application)
    shared = Application(application.folder, "shared")
    sign(shared)
    shared.write("alpha/__init__.py", PAYLOAD)
    shared.lock_path.write_text("{}")


def own_policy(application: Application) -> None:
    sign(application, MALLORY)
    write_policy(policy_of({"alice": MALLORY}))(application)


def of_a_library(application: Application) -> None:
    sign(application)
    fields = [ECDSA, b"codegenie-plugins-v1", b"", b"sha512", wire(b"ecdsa-sha2-nistp256")]
    blob = b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(map(wire, fields))
    signature_at(application).write_bytes(armoured(blob))


def planted(application: Application) -> None:
    """Modules of the names that a verifier might import, which accept everything."""
    accept = (
        "class InvalidSignature(Exception): pass\n"
        "def __getattr__(name):\n"
        "    if name[:2] == '__': raise AttributeError(name)\n"
        "    return lambda *a, **k: True\n"
    )
    folder = application.folder / "planted"
    folder.mkdir()
    for name in ("cryptography", "sigstore", "nacl", "hashlib", "base64", "binascii", "json"):
        (folder / f"{name}.py").write_text(accept)
    (folder / "planted.pth").write_text("import sys; sys.modules.pop('hashlib', None)\n")
    with zipfile.ZipFile(application.folder / "planted.zip", "w") as archive:
        for path in folder.glob("*.py"):
            archive.write(path, path.name)
    sign(application, MALLORY)


def forged_pack(application: Application) -> None:
    """Keep the signed lock and the sources, and write a pack that holds the payload."""
    write_policy()(application)
    packs.write(application, {**packs.honest(application), "helper.py": packs.entry()})
    sign(application)


def pack_of_an_older_statement(application: Application) -> None:
    """Write a pack with the payload that only an older statement names."""
    write_policy()(application)
    folder = packs.write(application, {**packs.honest(application), "helper.py": packs.entry()})
    digest = hashlib.sha256((folder / "alpha.index").read_bytes()).hexdigest()
    lock = hashlib.sha256(application.lock_path.read_bytes()).hexdigest()
    name = f"PLUGINS.bytecode/{folder.name}/alpha.index"
    older = sign(application, subjects={"PLUGINS.lock": lock, name: digest})
    (application.folder / "older.json").write_bytes(older)
    sign(application, sequence=2)


# The lock is exchanged after its bytes were read, before anything is parsed. Without a policy the
# statement is never opened, so the lock is exchanged before it is read.
SWAPPED = """
import os, sys
evil = open('evil.lock', 'rb').read()
def swap(event, args):
    if event == 'open' and isinstance(args[0], str) and not swapped:
        trusts = {'codegenie.trust.evidence', 'codegenie._enforce.pinned_lock'} & {*sys.modules}
        if args[0].endswith('PLUGINS.statement.json' if trusts else 'PLUGINS.lock'):
            swapped.append(1)
            with open('plugins/PLUGINS.lock', 'wb') as lock:
                lock.write(evil)
swapped = []
sys.addaudithook(swap)
import plugins.alpha.api
"""


def swapped(application: Application) -> None:
    write_policy()(application)
    sign(application)
    honest = application.lock_path.read_bytes()
    rewrite(application)
    application.lock_path.rename(application.folder / "evil.lock")
    application.lock_path.write_bytes(honest)


REPLACED = """
import builtins, hashlib, sys
always = lambda *a, **k: True
genuine = hashlib.sha512
class Fake:
    def __init__(self, data=b''): self.data = data
    def update(self, data): self.data += data
    def digest(self): return genuine(b'').digest()
    def hexdigest(self): return genuine(b'').hexdigest()
builtins.pow = lambda *a: 1
hashlib.sha512 = hashlib.new = Fake
for name in ('_hashlib', '_sha2', '_sha512'):
    try:
        module = __import__(name)
    except ImportError:
        continue
    for function in ('openssl_sha512', 'sha512'):
        if hasattr(module, function):
            setattr(module, function, Fake)
import plugins.alpha.api
"""

# A verifier may compare, decode, or start a program.
REPLACED_VERIFIERS = """
import base64, binascii, hmac, operator, subprocess, sys, types
accept = lambda *a, **k: True
hmac.compare_digest = operator.eq = operator._compare_digest = accept
base64.b64decode = binascii.a2b_base64 = lambda *a, **k: b''
subprocess.run = lambda *a, **k: types.SimpleNamespace(returncode=0, stdout=b'', stderr=b'')
for name in 'cryptography', 'nacl', 'nacl.signing', 'sigstore', 'sigstore.verify':
    module = sys.modules[name] = types.ModuleType(name)
    module.verify = module.Verifier = module.VerifyKey = accept
import plugins.alpha.api
"""

LOWERED = f"""
import codegenie.plugins.guard as guard
trust = {pinned()["trust"]!r}
for lower in (
    lambda: guard.install(trust=trust),
    lambda: guard.install(trust={{**trust, 'floor': 1}}),
    lambda: guard.pin(folders=[{{'root': 'plugins', 'floor': 1}}], trust=trust),
):
    try:
        lower()
    except (RuntimeError, ValueError):
        pass
import plugins.alpha.api
"""

SECOND = "import integrations.alpha.api"

ON_THE_PATH = "import sys\nsys.path.insert(0, {!r})\nimport plugins.alpha.api\n"

BY_SITE = "import site\nsite.addsitedir('planted')\nimport plugins.alpha.api\n"

SHARED = """
import sys
import codegenie.plugins.guard
codegenie.plugins.guard.add('shared', package='', others='leave')
sys.path.insert(0, 'shared')
import alpha
"""

# For every key, R = 1 and S = 0 is a signature of a message whose hash is 0.
REPLACED_INT = """
import builtins
genuine = int
class Kind(type):
    def __instancecheck__(cls, value): return isinstance(value, genuine)
class Fake(genuine, metaclass=Kind):
    @classmethod
    def from_bytes(cls, data, byteorder='big', **more):
        return genuine.from_bytes(data, byteorder, **more) if len(data) != 64 else 0
builtins.int = Fake
import plugins.alpha.api
"""

TURNED_BACK = f"""
import datetime, time
time.time = lambda: {OLD}
time.time_ns = lambda: {OLD} * 10**9
time.gmtime = lambda *a: time.struct_time((2000, 1, 1, 0, 0, 0, 5, 1, 0))
import plugins.alpha.api
"""

ACCEPTING = """
from pathlib import Path
from codegenie.plugins.loader import load_plugins
from codegenie.result import Ok
class Accepts:
    def verify(self, plugin_dir, expected):
        return Ok(None)
load_plugins(Path('plugins'), Path('plugins/PLUGINS.lock'), verifier=Accepts()).unwrap()
import plugins.alpha.api
"""

IN_A_CHILD = """
import os, sys, threading
pid = os.fork()
if pid:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
raised = []
def load():
    try:
        import plugins.alpha.api
    except BaseException as error:
        raised.append(error)
thread = threading.Thread(target=load)
thread.start(); thread.join()
if raised:
    raise raised[0]
"""


def attack(
    name: str,
    does: str,
    prepare: Prepare,
    expected: Expected = UNSIGNED,
    *,
    policy: bytes = POLICY,
    pin: dict[str, Any] | None = None,
    option: dict[str, Any] | None = None,
    script: str = IMPORT,
    restore: Prepare | None = None,
    **more: Any,
) -> Attack:
    def sign_again(application: Application) -> None:
        write_policy(policy)(application)
        keys = (ALICE, BOB) if b'"threshold": 2' in policy else (ALICE,)
        sign(application, *keys, sequence=9, expires=int(time.time()) + DAY)

    return Attack(
        f"trust/{name}",
        does,
        expected,
        script,
        prepare,
        settings={**pinned(policy, **(pin or {})), **(option or {})},
        restore=restore or sign_again,
        **more,
    )


def defective(name: str, does: str, policy: bytes, says: str, *keys: SoftKey) -> Attack:
    """Return an attack by a policy that was pinned, and that no reader may accept."""

    def another_policy(application: Application) -> None:
        write_policy()(application)
        sign(application)

    return attack(
        name,
        does,
        signed(*keys, policy=policy),
        untrusted(says),
        policy=policy,
        restore=another_policy,
        repaired=pinned(),
    )


def honest_lock() -> bytes:
    """Return the lock of the plugin as it is."""
    with tempfile.TemporaryDirectory() as folder:
        return Application(Path(folder)).lock_path.read_bytes()


def installed(release: bytes, then: Callable[[Application], object] = untouched) -> Prepare:
    """Prepare a release whose statement the installation has pinned, and then the rest."""

    def prepare(application: Application) -> None:
        write_policy()(application)
        statement_at(application).write_bytes(release)
        then(application)

    return prepare


def pinned_statement(release: bytes) -> dict[str, Any]:
    """Return the settings of a guard that pins the statement of a release."""
    return {"at": "install", "statement": hashlib.sha256(release).hexdigest()}


def sign_another(application: Application) -> None:
    """Rewrite the lock, and let Alice sign it: her signature counts at an installation only."""
    rewrite(application)
    sign(application)


def rewrite_alone(application: Application) -> None:
    """Rewrite the lock, and remove the statement."""
    rewrite(application)
    statement_at(application).unlink()


def swap_in_place(application: Application) -> None:
    swapped(application)
    statement_at(application).write_bytes(HONEST)


def forge_in_place(application: Application) -> None:
    packs.write(application, {**packs.honest(application), "helper.py": packs.entry()})


def rewritten_lock() -> bytes:
    """Return the lock of the payload."""
    with tempfile.TemporaryDirectory() as folder:
        application = Application(Path(folder))
        rewrite(application)
        return application.lock_path.read_bytes()


def policy_attack(
    name: str, does: str, policy: bytes, says: str, prepare: Prepare | None = None
) -> Attack:
    """Return an attack that a policy stops which says more than the one of the others."""
    return attack(name, does, prepare or signed(policy=policy), untrusted(says), policy=policy)


NEEDS_TWO = policy_of({"alice": ALICE, "bob": BOB, "carol": CAROL}, threshold=2)
TWO_NAMES = policy_of({"alice": ALICE, "bob": ALICE}, threshold=2)
NOT_YET = policy_of({"mallory": {"ssh": MALLORY.public, "valid_after": at(OLD + 99 * DAY)}})
TWICE = policy_of({"alice": MALLORY}).replace(
    b'"signers": {', b'"signers": {"alice": {"ssh": "%s"}, ' % ALICE.public.encode()
)
DEEP = POLICY.replace(b'"signers": {', b'"x": ' + b"[" * 9 + b"]" * 9 + b', "signers": {')
ONE_IS_REVOKED = policy_of({"alice": ALICE, "mallory": MALLORY}, revoked=[MALLORY.fingerprint])
ONE_IS_OVER = policy_of(
    {"alice": ALICE, "mallory": {"ssh": MALLORY.public, "valid_before": at(OLD)}}
)
EXPIRES = policy_of({"alice": ALICE}, expiry="required")
REVOKED = statement_of(rewritten_lock(), issued=OLD)

# Releases whose statement an installation has pinned: the honest one, and a bad one that is over.
HONEST = statement_of(honest_lock(), issued=OLD)
OVER = statement_of(rewritten_lock(), issued=OLD - DAY, expires=OLD + DAY)
ONE_IS_RECALLED = policy_of({"alice": ALICE}, revoked=[hashlib.sha256(REVOKED).hexdigest()])
IDENTITY = {
    **dict.fromkeys(("issuer", "identity", "source_repository"), "https://ci.example"),
    "source_repository_id": "1",
    "source_ref": "refs/heads/main",
    "trusted_root": "trusted_root.json",
    "trusted_root_sha256": "0" * 64,
}
BY_A_JOB = policy_of({"alice": ALICE, "ci": {"sigstore": IDENTITY}})

ATTACKS = (
    attack("rewritten-lock", "Plugin and lock are rewritten.", forge(), untrusted("another lock")),
    attack(
        "statement-of-another-lock",
        "Statement and signature are those of another release.",
        forge(stale_statement),
        untrusted("another lock"),
    ),
    attack(
        "statement-edited",
        "The signed statement is edited to name the rewritten lock.",
        forge(edited_statement),
    ),
    attack(
        "no-statement",
        "The statement is removed.",
        forge(lambda application: statement_at(application).unlink()),
        untrusted("the statement does not exist"),
    ),
    attack(
        "no-signature",
        "A statement names the rewritten lock, and is not signed.",
        forge(unsigned),
    ),
    attack("flipped-bits", "A signature is changed.", signature(flipped)),
    attack("unknown-key", "The attacker signs with a key of their own.", signed(MALLORY)),
    attack(
        "wrong-namespace",
        "Alice has signed these bytes for another purpose.",
        forge(
            lambda application: signature_at(application).write_bytes(
                ALICE.sign(sign(application), namespace="git")
            )
        ),
    ),
    attack(
        "two-signatures-in-a-file",
        "A second armoured block follows the attacker's.",
        signature(lambda data: data + data),
    ),
    attack(
        "text-around-a-signature",
        "Text is before the armoured block.",
        signature(lambda data: b"signed by alice\n" + data),
    ),
    attack(
        "seventeenth",
        "Sixteen signatures are added to a good one.",
        forge(seventeen),
        untrusted("more than 16"),
    ),
    attack(
        "older-statement",
        "A statement that the installed guard has left behind is replayed.",
        signed(sequence=3),
        untrusted("number 4 was seen"),
        pin={"floor": 4},
    ),
    attack(
        "same-number",
        "A statement with other content has the number of the one that was seen.",
        signed(sequence=4),
        untrusted("of another statement"),
        pin={"floor": 4, "statement": "0" * 64},
    ),
    attack(
        "expired",
        "A statement that has expired is replayed.",
        signed(issued=OLD, expires=OLD + DAY),
        untrusted("expired"),
    ),
    attack(
        "from-the-future",
        "A statement is dated after the present time, to outlive its maximum age.",
        signed(issued=int(time.time()) + 9 * DAY),
        untrusted("from the future"),
    ),
    attack(
        "turned-back-clock",
        "The application's clock is turned back to the time of an expired statement.",
        signed(issued=OLD - DAY, expires=OLD + DAY),
        untrusted("expired"),
        script=TURNED_BACK,
    ),
    attack(
        "lowered-floor",
        "The application tries to pin a lower floor than the activation file.",
        signed(sequence=3),
        untrusted("number 4 was seen"),
        pin={"floor": 4},
        pinned=True,
        script=LOWERED,
    ),
    attack(
        "second-folder-rewritten",
        "The lock of a folder is rewritten that was added after the policy was pinned.",
        second_folder(signs=False),
        untrusted("another lock"),
        script=SECOND,
        folders=({"root": "integrations", "package": "integrations"},),
    ),
    attack(
        "second-folder-replayed",
        "An old release of a folder is restored that was added with a floor of its own.",
        second_folder(signs=True),
        untrusted("number 2 was seen"),
        script=SECOND,
        folders=({"root": "integrations", "package": "integrations", "floor": 2},),
    ),
    attack(
        "another-application",
        "The lock of another application by the same signer.",
        signed(application="other"),
        untrusted("is for 'other'"),
    ),
    policy_attack(
        "no-expiry",
        "A statement that never expires, where each must expire.",
        EXPIRES,
        "does not say when it expires",
    ),
    policy_attack(
        "too-old",
        "A statement is older than the policy allows.",
        policy_of({"alice": ALICE}, max_age_days=5),
        "older than 5 days",
        signed(issued=OLD, policy=policy_of({"alice": ALICE}, max_age_days=5)),
    ),
    policy_attack(
        "revoked-key",
        "The stolen key signs, which the policy revokes.",
        ONE_IS_REVOKED,
        "0 of 1 needed signers",
        signed(MALLORY, policy=ONE_IS_REVOKED),
    ),
    policy_attack(
        "key-out-of-time",
        "An old key signs, whose time is over.",
        ONE_IS_OVER,
        "0 of 1 needed signers",
        signed(MALLORY, policy=ONE_IS_OVER),
    ),
    policy_attack(
        "revoked-statement",
        "A genuine statement about a bad release is replayed, which the policy revokes.",
        ONE_IS_RECALLED,
        "is revoked",
        forge(revoked_statement, policy=ONE_IS_RECALLED),
    ),
    defective(
        "key-not-yet-valid",
        "A key signs before its time, in a field that the policy does not have.",
        NOT_YET,
        "unknown key 'valid_after'",
        MALLORY,
    ),
    defective(
        "one-key-under-two-names",
        "The policy needs two signers, and names one key twice.",
        TWO_NAMES,
        "'alice' and 'bob' are the same",
        *(ALICE, ALICE),
    ),
    defective(
        "policy-duplicate-key",
        "The policy names Alice twice; a reviewer reads the first key, and a parser the last.",
        TWICE,
        "'alice' twice",
        MALLORY,
    ),
    defective(
        "policy-byte-order-mark",
        "The policy begins with a byte order mark.",
        b"\xef\xbb\xbf" + POLICY,
        "byte order mark",
    ),
    defective("policy-deep", "The policy is nested deeply.", DEEP, "nested more than"),
    attack(
        "one-signer-twice",
        "One of two needed signers, of three, signs twice.",
        forge(
            lambda application: signature_at(application, "bob").write_bytes(
                ALICE.sign(sign(application))
            ),
            policy=NEEDS_TWO,
        ),
        untrusted("1 of 2 needed signers"),
        policy=NEEDS_TWO,
    ),
    attack(
        "one-of-two",
        "The key of one of two needed signers is stolen.",
        signed(ALICE, policy=NEEDS_TWO),
        untrusted("1 of 2 needed signers"),
        policy=NEEDS_TWO,
    ),
    attack(
        "policy-edited",
        "The attacker's key is written into the policy.",
        forge(own_policy),
        untrusted("not the one that was pinned"),
    ),
    attack(
        "policy-gone",
        "The policy is removed.",
        forge(lambda application: (application.folder / "trust.json").unlink()),
        untrusted("the policy does not exist"),
    ),
    *(
        attack(
            f"{what}-{how}",
            f"{what.capitalize()}: a {how} is there instead of a regular file of its size.",
            instead(path, how),
            expected,
        )
        for what, path, expected in (
            (
                "policy",
                lambda application: application.folder / "trust.json",
                untrusted("the policy "),
            ),
            ("statement", statement_at, untrusted("the statement ")),
            ("signature", signature_at, UNSIGNED),
        )
        for how in ("fifo", "link", "oversize")
    ),
    attack(
        "statement-duplicate-key",
        "A signed statement names two digests for one lock.",
        said(lambda data: data.replace(b'"digest": {', b'"digest": {"sha256": "0",', 1)),
        untrusted("'sha256' twice"),
    ),
    attack(
        "statement-byte-order-mark",
        "A signed statement begins with a byte order mark.",
        said(lambda data: b"\xef\xbb\xbf" + data),
        untrusted("byte order mark"),
    ),
    attack(
        "statement-deep",
        "A signed statement is nested deeply.",
        said(
            lambda data: data.replace(
                b'"predicate": {', b'"x": ' + b"[" * 9 + b"]" * 9 + b', "predicate": {'
            )
        ),
        untrusted("nested more than"),
    ),
    attack(
        "signature-byte-order-mark",
        "A signature begins with a byte order mark.",
        signature(lambda data: b"\xef\xbb\xbf" + data),
    ),
    policy_attack(
        "sigstore-bundle",
        "A hostile Sigstore bundle is beside the lock, for an identity of the policy.",
        BY_A_JOB,
        "0 of 1 needed signers",
        forge(hostile_bundle, policy=BY_A_JOB),
    ),
    attack(
        "swapped-lock",
        "The lock is exchanged between the check of its signers and its parsing.",
        swapped,
        Refused("integrity_mismatch", tree_as_it_is=True),
        script=SWAPPED,
    ),
    attack(
        "pinned-lock-rewritten",
        "The lock is rewritten beside the statement that the installation has pinned.",
        installed(HONEST, rewrite),
        untrusted("about another lock"),
        pin=pinned_statement(HONEST),
        restore=installed(HONEST),
    ),
    attack(
        "pinned-statement-replaced",
        "A signer vouches for another lock than that of the statement that was pinned.",
        installed(HONEST, sign_another),
        untrusted("not the one that was pinned"),
        pin=pinned_statement(HONEST),
        restore=installed(HONEST),
    ),
    attack(
        "pinned-statement-gone",
        "The lock is rewritten, and the statement that was pinned is removed.",
        installed(HONEST, rewrite_alone),
        untrusted("the statement does not exist"),
        pin=pinned_statement(HONEST),
        restore=installed(HONEST),
    ),
    attack(
        "pinned-statement-over",
        "The release of the statement that was pinned is bad, and its time is over.",
        forge(lambda application: statement_at(application).write_bytes(OVER)),
        untrusted("expired"),
        pin=pinned_statement(OVER),
        repaired=pinned(),
    ),
    attack(
        "pinned-turned-back-clock",
        "The application's clock is turned back to the time of a statement that is over.",
        forge(lambda application: statement_at(application).write_bytes(OVER)),
        untrusted("expired"),
        pin=pinned_statement(OVER),
        script=TURNED_BACK,
        repaired=pinned(),
    ),
    attack(
        "pinned-swapped-lock",
        "The lock is exchanged while the statement that was pinned is opened.",
        swap_in_place,
        Refused("integrity_mismatch", tree_as_it_is=True),
        pin=pinned_statement(HONEST),
        script=SWAPPED,
        restore=installed(HONEST),
    ),
    attack(
        "pinned-forged-pack",
        "A pack holds the payload; the statement that was pinned does not name it.",
        installed(HONEST, forge_in_place),
        Ignored(),
        pin=pinned_statement(HONEST),
    ),
    attack(
        "another-lock",
        "The environment names the lock of the attacker.",
        forge(other_lock),
        untrusted("does not exist"),
        environment={"CODEGENIE_PLUGINS_LOCK": "evil/PLUGINS.lock"},
        lock="evil/PLUGINS.lock",
        restore=sign_other_lock,
    ),
    attack(
        "lock-option",
        "The application names the lock of the attacker, with a copy of the genuine statement.",
        forge(copied_statement),
        untrusted("another lock"),
        option={"lock": "evil/PLUGINS.lock"},
        lock="evil/PLUGINS.lock",
        restore=sign_other_lock,
    ),
    attack(
        "environment",
        "The environment names another folder and another lock, and sets the audit mode.",
        forge(),
        untrusted("another lock"),
        pinned=True,
        environment={
            "CODEGENIE_PLUGINS_ROOT": "evil",
            "CODEGENIE_PLUGINS_LOCK": "evil/PLUGINS.lock",
            "CODEGENIE_GUARD_MODE": "audit",
            "CODEGENIE_GUARD_ON_REFUSAL": "raise",
        },
    ),
    attack(
        "activation-edited",
        "The digest of the policy is removed from the activation file.",
        forge(),
        Closed("the pinned trust settings have no 'sha256'"),
        pin={"sha256": ""},
        pinned=True,
        repaired=pinned(),
    ),
    policy_attack(
        "missing-library",
        "A signature is of a kind that only a library can verify.",
        LIBRARY_POLICY,
        "0 of 1 needed signers",
        forge(of_a_library, policy=LIBRARY_POLICY),
    ),
    attack(
        "planted-libraries",
        "Libraries that accept everything come first on sys.path.",
        forge(planted),
        script=ON_THE_PATH.format("planted"),
    ),
    attack(
        "planted-in-a-zip",
        "Libraries that accept everything are in a zip file on sys.path.",
        forge(planted),
        script=ON_THE_PATH.format("planted.zip"),
    ),
    attack(
        "planted-by-site",
        "A .pth file adds libraries that accept everything.",
        forge(planted),
        script=BY_SITE,
    ),
    attack(
        "replaced-verifiers",
        "The application replaces functions that verifiers use, so that they accept everything.",
        signed(MALLORY),
        script=REPLACED_VERIFIERS,
    ),
    attack(
        "replaced-primitives",
        "The application replaces pow and every SHA-512.",
        signed(MALLORY),
        Closed("no SHA-512 of this interpreter is what it claims to be"),
        script=REPLACED,
    ),
    attack(
        "name-left-out",
        "A unit of a shared folder is removed from the lock, so that its name is not guarded.",
        name_left_out,
        Closed("is not trusted: the statement is about another lock", raised="ValueError"),
        script=SHARED,
    ),
    attack(
        "name-of-a-signature",
        "The name of a signature file is written to look like an accepted signature.",
        forge(by_newline),
    ),
    attack(
        "replaced-int",
        "The application replaces int by a type whose from_bytes returns 0 for a hash.",
        forge(of_a_zero_hash),
        script=REPLACED_INT,
    ),
    attack(
        "accepting-verifier",
        "A verifier of load_plugins accepts everything.",
        forge(),
        untrusted("another lock"),
        script=ACCEPTING,
    ),
    attack(
        "in-a-child",
        "The import is in a thread of a forked child.",
        forge(),
        untrusted("another lock"),
        script=IN_A_CHILD,
    ),
    attack(
        "forged-pack",
        "A pack holds the payload; lock and sources are the signed ones.",
        forged_pack,
        Ignored(),
    ),
    attack(
        "pack-of-an-older-statement",
        "A pack holds the payload, and an older statement names it.",
        pack_of_an_older_statement,
        Ignored(),
    ),
)
