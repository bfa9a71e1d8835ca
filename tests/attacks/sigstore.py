"""An attacker with a Sigstore identity of their own, at an installation that verifies bundles.

The script does what ``guard install --trust-at install`` does: it verifies the lock, and pins the
statement. Each payload runs under the guard without a policy: the lock is the attacker's own.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.attacks.attack import Attack, Closed, Need
from tests.attacks.trust import (
    pinned,
    rewrite,
    sign,
    statement_at,
    write_policy,
)
from tests.fixtures.signers import policy_of, statement_of
from tests.fixtures.trees import Application

if TYPE_CHECKING:
    from tests.fixtures.private_sigstore import PrivateSigstore

LIBRARIES = Need(
    "the extra sigstore, which make trust installs",
    all(importlib.util.find_spec(name) for name in ("cryptography", "sigstore")),
)

INSTALL = """
import codegenie.plugins.guard as guard
if guard.status().trust is not None:
    from codegenie.authoring import policies
    checked = policies.check('trust.json', 'plugins/PLUGINS.lock', at_start=False)
    if checked.verdict.is_err():
        raise ValueError(*checked.verdict.error.signatures)
    statement = checked.verdict.unwrap().statement_sha256
    pin = {'policy': 'trust.json', 'sha256': checked.sha256, 'at': 'install'}
    guard.install(trust={**pin, 'statement': statement})
import plugins.alpha.api
"""

Bundle = dict[str, Any]
SERVICES = ("authority", "ct_log", "log")


def forge(
    identity: dict[str, Any] | None = None,
    services: Sequence[str] = (),
    change: Callable[[Bundle], None] | None = None,
    then: Callable[[Path, PrivateSigstore], Path | None] | None = None,
) -> Callable[[Application], None]:
    """Prepare a rewritten lock with a bundle by an identity that the policy does not name.

    Args:
        identity: fields of the attacker's certificate.
        services: the services whose keys are the attacker's own.
        change: removes or changes something in the bundle.
        then: attacks the trusted root, given the application's folder and the attacker's instance.
            May return the trusted root that the policy names.
    """

    def prepare(application: Application) -> None:
        # Needs a library, so an import at the top would end every run without it.
        from tests.fixtures.private_sigstore import Identity, PrivateSigstore

        genuine, evil = PrivateSigstore(), PrivateSigstore()
        root = genuine.write_trusted_root(application.folder / "trusted_root.json")
        fields = Identity().in_a_policy(root)
        other_root = then(application.folder, evil) if then else None
        fields = Identity().in_a_policy(other_root) if other_root else fields
        write_policy(policy_of({"ci": {"sigstore": fields}}))(application)
        rewrite(application)
        keys = {name: getattr(evil, name) for name in services}
        said = statement_of(application.lock_path.read_bytes())
        statement_at(application).write_bytes(said)
        signer = dataclasses.replace(Identity(), **(identity or {}))
        bundle = dataclasses.replace(genuine, **keys).sign(said, signer)
        if change is not None:
            change(bundle)
        folder = application.root / "PLUGINS.signatures"
        folder.mkdir()
        (folder / "ci.sigstore.json").write_text(json.dumps(bundle))

    return prepare


def replaced_root(folder: Path, evil: PrivateSigstore) -> None:
    """Replace the file that the policy names by its digest."""
    evil.write_trusted_root(folder / "trusted_root.json")


def poisoned_home(folder: Path, evil: PrivateSigstore) -> Path:
    """Write the trusted root of the attacker where the library's offline mode looks for it."""
    store = importlib.util.find_spec("sigstore")
    assert store is not None
    assert store.origin is not None
    instance = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
    public = Path(store.origin).parent / "_store" / instance
    for place in (".cache/sigstore-python/tuf", ".local/share/sigstore-python/tuf"):
        shutil.copytree(public, folder / "home" / place / instance)
        evil.write_trusted_root(folder / "home" / place / instance / "trusted_root.json")
    return public / "trusted_root.json"


def without_time(bundle: Bundle) -> None:
    bundle["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "0"


def deep(bundle: Bundle) -> None:
    nested: list[Any] = []
    for _ in range(20):
        nested = [nested]
    bundle["verificationMaterial"]["x"] = nested


def repaired(application: Application) -> None:
    """Pin a policy that names Alice's key, and sign with it."""
    write_policy()(application)
    sign(application)


def attack(
    name: str, does: str, prepare: Callable[[Application], None], says: str, **more: Any
) -> Attack:
    return Attack(
        f"sigstore/{name}",
        does,
        Closed(says, raised="ValueError"),
        INSTALL,
        prepare,
        settings=pinned(),
        repaired=pinned(),
        restore=repaired,
        needs=LIBRARIES,
        **more,
    )


WORKFLOW = "https://github.com/acme/shop/.github/workflows/"

ATTACKS = (
    attack(
        "another-issuer",
        "Another issuer vouches for a name of the same spelling.",
        forge({"issuer": "https://gitlab.com"}),
        "OIDCIssuerV2 does not match",
    ),
    attack(
        "another-workflow",
        "Another workflow of the same repository signs.",
        forge({"identity": f"{WORKFLOW}test.yml@refs/heads/main"}),
        "do not match",
    ),
    attack(
        "another-branch",
        "The workflow signs on another branch.",
        forge({"identity": f"{WORKFLOW}sign.yml@refs/heads/main2"}),
        "do not match",
    ),
    attack(
        "another-ref",
        "A shared workflow signs for a pull request.",
        forge({"source_ref": "refs/pull/7/merge"}),
        "OIDCSourceRepositoryRef does not match",
    ),
    attack(
        "another-repository",
        "A shared workflow signs for another repository.",
        forge({"source_repository": "https://github.com/evil/shop"}),
        "URI does not match",
    ),
    attack(
        "recreated-repository",
        "A new repository has the name of a deleted one.",
        forge({"source_repository_id": "831701"}),
        "Identifier does not match",
    ),
    attack(
        "no-time",
        "The log says nothing about the time of the signature.",
        forge(change=without_time),
        "not enough sources of verified time",
    ),
    attack("deep", "The bundle is nested deeply.", forge(change=deep), "nested more than"),
    attack(
        "other-log",
        "A log with another key has the entry.",
        forge(services=["log"]),
        "invalid log entry",
    ),
    attack(
        "other-ct-log",
        "A log of certificates with another key has the certificate.",
        forge(services=["ct_log"]),
        "failed to verify SCT",
    ),
    attack(
        "another-instance",
        "Another instance signs for the same identity, as staging does for production.",
        forge(services=SERVICES),
        "certificate chain",
    ),
    attack(
        "replaced-root",
        "The trusted root is replaced by that of the attacker's instance.",
        forge(services=SERVICES, then=replaced_root),
        "trusted root is not the one in the policy",
    ),
    attack(
        "poisoned-home",
        "The library's cache in the home folder has the trusted root of the attacker.",
        forge(services=SERVICES, then=poisoned_home),
        "certificate chain",
        environment={"HOME": "home"},
    ),
)
