"""The trust settings that are pinned for a guarded folder, by an activation file or by code."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

AT_START = "start"
AT_INSTALL = "install"
TIMES = (AT_START, AT_INSTALL)
"""The time at which signatures are verified: in each process, or once at the installation."""

_KEYS = ("policy", "sha256", "at", "floor", "statement")
_HEX = frozenset("0123456789abcdef")
_DIGEST_LENGTH = 64


class TrustPin:
    """The trust settings that were pinned for one guarded folder. The value never changes.

    Attributes:
        policy: the path of the policy, absolute.
        sha256: the digest of the policy, in hex.
        at: ``"start"``: signatures are verified in each process. ``"install"``: the installation
            has verified them, and ``statement`` is the only accepted statement.
        floor: the lowest accepted sequence number.
        statement: the digest of the statement that was seen at the installation, in hex; empty if
            none was. With ``"start"``, no other statement may have the number ``floor``.
    """

    __slots__ = ("at", "floor", "policy", "sha256", "statement")

    def __init__(
        self, policy: str, sha256: str, at: str = AT_START, floor: int = 0, statement: str = ""
    ) -> None:
        self.policy = policy
        self.sha256 = sha256
        self.at = at
        self.floor = floor
        self.statement = statement


def pin_of(settings: "Mapping[str, Any]") -> TrustPin:
    """Return the trust settings among all pinned settings of one guarded folder.

    Args:
        settings: ``trust`` is ``{"policy", "sha256", "at"}``; ``floor`` and ``statement`` are those
            of the folder.

    Raises:
        ValueError: a setting is missing, so nothing can be trusted.
    """
    trust = settings["trust"]
    missing = [key for key in ("policy", "sha256") if not trust.get(key)]
    if missing:
        raise ValueError(f"the pinned trust settings have no {missing[0]!r}")
    return TrustPin(
        trust["policy"],
        trust["sha256"],
        trust.get("at", AT_START),
        settings.get("floor") or 0,
        settings.get("statement") or "",
    )


def checked(trust: "Mapping[str, Any]") -> "tuple[dict[str, Any], dict[str, Any]]":
    """Return the settings that ``guard.install(trust=...)`` pins: of all folders, and of the first.

    Raises:
        ValueError: a setting is missing, unknown, or not valid.
    """
    unknown = sorted(set(trust) - set(_KEYS))
    if unknown or not trust.get("policy"):
        wrong = f"not {unknown[0]!r}" if unknown else "and needs the path of the policy"
        raise ValueError(f"trust has the keys {', '.join(_KEYS)}, {wrong}")
    at, floor, statement = (trust.get(key) for key in ("at", "floor", "statement"))
    if at not in (None, *TIMES):
        raise ValueError(f"trust['at'] must be 'start' or 'install', not {at!r}")
    if floor is not None and (type(floor) is not int or floor < 0):
        raise ValueError(f"trust['floor'] must be a sequence number, not {floor!r}")
    _check_digest("sha256", trust.get("sha256"))
    if statement or at == AT_INSTALL:
        _check_digest("statement", statement)
    policy = os.path.abspath(os.fsdecode(trust["policy"]))
    of_all = {"policy": policy, "sha256": trust["sha256"], "at": at or AT_START}
    of_folder = {"floor": floor, "statement": statement}
    return {"trust": of_all}, {key: value for key, value in of_folder.items() if value}


def _check_digest(key: str, digest: object) -> None:
    if not isinstance(digest, str) or len(digest) != _DIGEST_LENGTH or not _HEX.issuperset(digest):
        raise ValueError(f"trust[{key!r}] must be a SHA-256 digest in lower-case hex")
