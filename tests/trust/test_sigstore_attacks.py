"""Attacks on Sigstore signatures. Each works against a looser policy, and is refused by ours.

The looser check is the library itself with one requirement less, or none: it shows that the attack
material is good in every other way.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier

from codegenie.result import Err, Ok
from codegenie.trust import library_process, sigstore_bundles, vouching
from codegenie.trust.policy import Signer
from tests.fixtures.private_sigstore import Identity, PrivateSigstore, a_minute_ago
from tests.trust.conftest import Instance, RealBundle, public_trusted_root

ISOLATED = library_process.verifiers()[vouching.SIGSTORE]


class AnyIdentity:
    """The policy of a careless operator."""

    def verify(self, cert: Any) -> None:
        pass


def accepted_by_a_looser_check(data: bytes, bundle: bytes, root: Path) -> None:
    """Verify a bundle of any identity."""
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
    verifier.verify_artifact(data, Bundle.from_json(bundle), AnyIdentity())


def reason(data: bytes, bundle: bytes, signer: Signer) -> str:
    """Return why a bundle is refused."""
    verdict = sigstore_bundles.verify_signature(data, bundle, signer)
    assert isinstance(verdict, Err), "accepted"
    return verdict.error


def test_bundle_of_the_policys_identity_is_accepted(instance: Instance) -> None:
    bundle = instance.bundle()
    verdict = sigstore_bundles.verify_signature(instance.statement, bundle, instance.signer())
    assert verdict == Ok(None)
    assert ISOLATED(instance.statement, bundle, instance.signer()) == Ok(None)


WORKFLOW = "https://github.com/acme/shop/.github/workflows/"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"issuer": "https://gitlab.com"}, "OIDCIssuerV2 does not match"),
        ({"issuer": ""}, "does not contain OIDCIssuerV2"),
        ({"identity": f"{WORKFLOW}test.yml@refs/heads/main"}, "do not match"),
        ({"identity": f"{WORKFLOW}sign.yml@refs/heads/evil"}, "do not match"),
        ({"identity": f"{WORKFLOW}sign.yml@refs/heads/main2"}, "do not match"),
        ({"identity": "alice@acme.example"}, "do not match"),
        ({"source_ref": "refs/pull/7/merge"}, "OIDCSourceRepositoryRef does not match"),
        ({"source_ref": ""}, "does not contain OIDCSourceRepositoryRef"),
        ({"source_repository": "https://github.com/evil/shop"}, "URI does not match"),
        ({"source_repository": "https://github.com/acme/shop2"}, "URI does not match"),
        ({"source_repository": ""}, "does not contain OIDCSourceRepositoryURI"),
        ({"source_repository_id": "831701"}, "Identifier does not match"),
        ({"source_repository_id": ""}, "does not contain OIDCSourceRepositoryIdentifier"),
        ({"more_names": ("https://github.com/evil/x",)}, "exactly one identity"),
    ],
    ids=lambda value: next(iter(value.items()))[0] if isinstance(value, dict) else "",
)
def test_another_identity_is_refused(
    instance: Instance, changed: dict[str, Any], says: str
) -> None:
    bundle = instance.bundle(dataclasses.replace(Identity(), **changed))
    accepted_by_a_looser_check(instance.statement, bundle, instance.root)
    assert says in reason(instance.statement, bundle, instance.signer())


def test_recreated_repository_has_another_id(instance: Instance) -> None:
    """Refuse a new repository under the name of a deleted one: all else is the same."""
    bundle = instance.bundle(dataclasses.replace(Identity(), source_repository_id="999"))
    without_the_id = instance.signer(source_repository_id="999")
    verdict = sigstore_bundles.verify_signature(instance.statement, bundle, without_the_id)
    assert verdict == Ok(None)
    assert "Identifier" in reason(instance.statement, bundle, instance.signer())


@pytest.mark.parametrize("service", ["authority", "ct_log", "log"])
def test_services_with_other_keys_are_refused(instance: Instance, service: str) -> None:
    other = dataclasses.replace(instance.sigstore, **{service: getattr(PrivateSigstore(), service)})
    bundle = json.dumps(other.sign(instance.statement)).encode()
    root = other.write_trusted_root(instance.root.with_name("other.json"))
    accepted_by_a_looser_check(instance.statement, bundle, root)
    assert reason(instance.statement, bundle, instance.signer())


def test_changed_trusted_root_is_refused(instance: Instance) -> None:
    signer = instance.signer()
    other = PrivateSigstore()
    bundle = json.dumps(other.sign(instance.statement)).encode()
    other.write_trusted_root(instance.root)
    accepted_by_a_looser_check(instance.statement, bundle, instance.root)
    assert "trusted root is not the one in the policy" in reason(instance.statement, bundle, signer)


@pytest.mark.parametrize("how", ["missing", "link", "fifo", "folder"])
def test_trusted_root_that_is_no_file_is_refused(
    instance: Instance, tmp_path: Path, how: str
) -> None:
    signer, bundle = instance.signer(), instance.bundle()
    instance.root.rename(tmp_path / "elsewhere")
    if how == "link":
        instance.root.symlink_to(tmp_path / "elsewhere")
    elif how == "fifo":
        os.mkfifo(instance.root)
    elif how == "folder":
        instance.root.mkdir()
    assert "its trusted root" in reason(instance.statement, bundle, signer)


def entry_of(document: dict[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = document["verificationMaterial"]["tlogEntries"][0]
    return entry


def without_promise(document: dict[str, Any]) -> None:
    del entry_of(document)["inclusionPromise"]


def without_time(document: dict[str, Any]) -> None:
    entry_of(document)["integratedTime"] = "0"


def with_another_time(document: dict[str, Any]) -> None:
    entry = entry_of(document)
    entry["integratedTime"] = str(int(entry["integratedTime"]) + 1)


def without_proof(document: dict[str, Any]) -> None:
    del entry_of(document)["inclusionProof"]


def without_checkpoint(document: dict[str, Any]) -> None:
    del entry_of(document)["inclusionProof"]["checkpoint"]


def with_another_leaf(document: dict[str, Any]) -> None:
    entry = entry_of(document)
    body = json.loads(base64.b64decode(entry["canonicalizedBody"]))
    body["spec"]["data"]["hash"]["value"] = "0" * 64
    entry["canonicalizedBody"] = base64.b64encode(json.dumps(body).encode()).decode()


def without_entry(document: dict[str, Any]) -> None:
    document["verificationMaterial"]["tlogEntries"] = []


def with_two_entries(document: dict[str, Any]) -> None:
    document["verificationMaterial"]["tlogEntries"] *= 2


def without_certificate(document: dict[str, Any]) -> None:
    del document["verificationMaterial"]["certificate"]


def with_a_bare_key(document: dict[str, Any]) -> None:
    without_certificate(document)
    document["verificationMaterial"]["publicKey"] = {"hint": "mine"}


def of_an_old_version(document: dict[str, Any]) -> None:
    document["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"


def with_an_unknown_field(document: dict[str, Any]) -> None:
    document["dsseEnvelope"] = {}


def with_a_flipped_signature(document: dict[str, Any]) -> None:
    signature = bytearray(base64.b64decode(document["messageSignature"]["signature"]))
    signature[-1] ^= 1
    document["messageSignature"]["signature"] = base64.b64encode(signature).decode()


@pytest.mark.parametrize(
    "change",
    [
        without_promise,
        without_time,
        with_another_time,
        without_proof,
        without_checkpoint,
        with_another_leaf,
        without_entry,
        with_two_entries,
        without_certificate,
        with_a_bare_key,
        of_an_old_version,
        with_an_unknown_field,
        with_a_flipped_signature,
    ],
)
def test_incomplete_or_changed_bundle_is_refused(
    instance: Instance, change: Callable[[dict[str, Any]], None]
) -> None:
    document = instance.sigstore.sign(instance.statement)
    accepted_by_a_looser_check(instance.statement, json.dumps(document).encode(), instance.root)
    change(document)
    assert reason(instance.statement, json.dumps(document).encode(), instance.signer())


def test_bundle_logged_after_its_certificate_is_refused(instance: Instance) -> None:
    """Refuse the key of an old job: the log writes the time."""
    long_ago = a_minute_ago() - datetime.timedelta(days=9)
    genuine = instance.bundle(when=long_ago)
    accepted_by_a_looser_check(instance.statement, genuine, instance.root)
    late = instance.bundle(when=long_ago, logged=a_minute_ago())
    assert reason(instance.statement, late, instance.signer())


def test_bundle_over_another_statement_is_refused(instance: Instance) -> None:
    other = instance.statement.replace(b'"sequence": 1', b'"sequence": 2')
    assert other != instance.statement
    accepted_by_a_looser_check(instance.statement, instance.bundle(), instance.root)
    assert "digest mismatch" in reason(other, instance.bundle(), instance.signer())


def test_envelope_with_the_statement_is_refused(instance: Instance) -> None:
    """Refuse an envelope, even if the library accepts it and its payload is the statement."""
    document = instance.sigstore.sign_envelope(instance.statement)
    bundle = json.dumps(document).encode()
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(instance.root)))
    accepted = verifier.verify_dsse(Bundle.from_json(bundle), AnyIdentity())
    assert accepted[1] == instance.statement
    assert "DSSE" in reason(instance.statement, bundle, instance.signer())


def test_key_given_twice_is_refused(instance: Instance) -> None:
    """Refuse two values of one key: the library takes the last, another reader the first."""
    bundle = instance.bundle()
    twice = b'{"mediaType": "application/x", ' + bundle[1:]
    accepted_by_a_looser_check(instance.statement, twice, instance.root)
    assert "mediaType" in reason(instance.statement, twice, instance.signer())


def as_blob(document: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return the bytes that an envelope's signature covers, and the bundle as one over them."""
    envelope = document["dsseEnvelope"]
    kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    signature = {"signature": envelope["signatures"][0]["sig"]}
    rest = {name: value for name, value in document.items() if name != "dsseEnvelope"}
    return signed, json.dumps({**rest, "messageSignature": signature}).encode()


def names_of(document: dict[str, Any], root: Path) -> dict[str, str]:
    """Return a policy's fields for the identity of a real bundle, as far as it has them."""
    certificate = x509.load_der_x509_certificate(
        base64.b64decode(document["verificationMaterial"]["certificate"]["rawBytes"])
    )
    fields = Identity().in_a_policy(root)
    numbers = {"8": "issuer", "12": "source_repository", "14": "source_ref"}
    numbers["15"] = "source_repository_id"
    for extension in certificate.extensions:
        number = extension.oid.dotted_string.removeprefix("1.3.6.1.4.1.57264.1.")
        if number in numbers:
            fields[numbers[number]] = extension.value.value[2:].decode()
    (name,) = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    fields["identity"] = name.value
    return fields


def test_real_bundles_made_for_something_else_are_refused(
    real_bundles: list[RealBundle], instance: Instance
) -> None:
    """Even a policy that trusts their very identity refuses them, in each form."""
    assert len(real_bundles) > 10
    assert {bundle.instance for bundle in real_bundles} == {"sigstore", "sigstage"}
    issuers = set()
    for real in real_bundles:
        root = public_trusted_root(real.instance)
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
        verifier.verify_dsse(Bundle.from_json(real.data), AnyIdentity())
        fields = names_of(real.document, root)
        issuers.add(fields["issuer"])
        signer = Signer("them", sigstore=fields)
        payload = base64.b64decode(real.document["dsseEnvelope"]["payload"])
        signed, blob = as_blob(real.document)
        for data in (instance.statement, payload, signed):
            assert "DSSE" in reason(data, real.data, signer)
            assert reason(data, blob, signer)
    assert len(issuers) >= 4, issuers


def test_staging_is_not_production(real_bundles: list[RealBundle]) -> None:
    """Accept no staging bundle under the production root: staging certifies any identity."""
    staging = [bundle for bundle in real_bundles if bundle.instance == "sigstage"]
    assert staging
    roots = {name: public_trusted_root(name) for name in ("sigstore", "sigstage")}
    for real in staging:
        signed, blob = as_blob(real.document)
        reasons = {
            name: reason(signed, blob, Signer("x", sigstore=names_of(real.document, root)))
            for name, root in roots.items()
        }
        assert "certificate chain" in reasons["sigstore"]
        assert "certificate chain" not in reasons["sigstage"]


POISONED = """\
import json, sys
from pathlib import Path
from sigstore.models import Bundle
from sigstore.verify import Verifier, policy
data, bundle, identity = (Path(name).read_bytes() for name in sys.argv[1:])
Verifier.production(offline=True).verify_artifact(
    data, Bundle.from_json(bundle), policy.Identity(identity=identity.decode())
)
"""


def test_poisoned_home_is_not_read(instance: Instance, tmp_path: Path) -> None:
    """Ignore the cache, from which the library's own offline mode takes any trusted root."""
    home, evil = tmp_path / "home", PrivateSigstore()
    name = public_trusted_root("sigstore").parent.name
    cache = home / ".cache" / "sigstore-python" / "tuf" / name
    kept = home / ".local" / "share" / "sigstore-python" / "tuf" / name
    brought = public_trusted_root("sigstore").parent
    for folder in (cache, kept):
        folder.mkdir(parents=True)
        for file in brought.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        evil.write_trusted_root(folder / "trusted_root.json")
    bundle = json.dumps(evil.sign(instance.statement)).encode()
    files = {"data": instance.statement, "bundle": bundle, "who": Identity().identity.encode()}
    for label, content in files.items():
        (tmp_path / label).write_bytes(content)
    environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", POISONED, *(str(tmp_path / label) for label in files)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    fields = Identity().in_a_policy(public_trusted_root("sigstore"))
    asked = f"{ASK}print(verdict.error)"
    document = json.dumps([files["data"].decode(), bundle.decode(), fields])
    done = subprocess.run(
        [sys.executable, "-c", asked],
        input=document,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "certificate chain" in done.stdout


ASK = """\
import json, sys
from codegenie.trust import library_process
from codegenie.trust.policy import Signer
data, bundle, fields = json.load(sys.stdin)
verdict = library_process.verifiers()["sigstore"](
    data.encode(), bundle.encode(), Signer("x", sigstore=fields)
)
"""

WATCHED = """\
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[:1]))))
import json
from codegenie.trust import sigstore_bundles
from codegenie.trust.policy import Signer
data, bundle, fields = json.load(sys.stdin)
del seen[:]
verdict = sigstore_bundles.verify_signature(
    data.encode(), bundle.encode(), Signer("x", sigstore=fields)
)
print(json.dumps([str(verdict), seen]))
"""


def test_verification_opens_no_socket_and_reads_no_home(instance: Instance, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    document = [instance.statement.decode(), instance.bundle().decode(), instance.signer().sigstore]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps(document),
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "NETRC": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    verdict, seen = json.loads(done.stdout)
    assert verdict == "Ok(None)"
    assert not [event for event, _ in seen if event.startswith("socket.")]
    assert not [args for event, args in seen if event == "open" and str(home) in args]
    assert any(event == "open" and str(instance.root) in args for event, args in seen)
