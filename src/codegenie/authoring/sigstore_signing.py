"""Sign a statement with the Sigstore identity of the running job (the extra ``sigstore``).

The job's platform gives an identity token (GitHub Actions with ``id-token: write``, GitLab in
``SIGSTORE_ID_TOKEN``). Fulcio certifies a key that lives for this one signature. The transparency
log records the signature. That log is public: it shows the identity and the statement's digest.

Signing uses the network. Verification does not: see ``codegenie.trust.sigstore_bundles``.
"""

from __future__ import annotations

from pathlib import Path

from sigstore.models import ClientTrustConfig
from sigstore.oidc import IdentityToken, detect_credential
from sigstore.sign import SigningContext

from codegenie.authoring.signing import NotSigned, Signer
from codegenie.trust import sigstore_bundles


def signer(config: str | None = None) -> Signer:
    """Return a signer for the identity of this job.

    Args:
        config: a client trust configuration in JSON, which names the services of a private
            instance; None for the public instance.
    """

    def make(data: bytes) -> bytes:
        try:
            return sign(data, config)
        except NotSigned:
            raise
        except Exception as error:  # of any library
            raise NotSigned(f"Sigstore has not signed: {_sentence(error)}") from None

    return make


def sign(data: bytes, config: str | None = None) -> bytes:
    """Return a Sigstore bundle over ``data``.

    Raises:
        NotSigned: this job has no identity token.
        Exception: of any kind; a service or the library has failed.
    """
    token = _token()
    trust = (
        ClientTrustConfig.production()
        if config is None
        else ClientTrustConfig.from_json(Path(config).read_text("utf-8"))
    )
    context = SigningContext.from_trust_config(trust)
    with context.signer(IdentityToken(token)) as job:
        bundle: str = job.sign_artifact(data).to_json()
    made = f"{bundle}\n".encode()
    # A later version of the library may write another form, which no policy would accept.
    sigstore_bundles.check_form(made)
    return made


def _token() -> str:
    """Return the identity token of this job.

    Raises:
        NotSigned: it has none. On a platform that the library knows, the library raises an error,
            which does not say what to set.
    """
    token: str | None
    try:
        token, detail = detect_credential(), ""
    except Exception as error:
        token, detail = None, f" ({_sentence(error)})"
    if token is None:
        raise NotSigned(
            "this job has no identity token: give it one (id-token: write on GitHub, "
            f"SIGSTORE_ID_TOKEN on GitLab), or sign with --key{detail}"
        )
    return token


def _sentence(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
