"""Importing this module installs the plugin guard.

Start-up path: nothing is imported but ``codegenie``, nothing is read, no plugin file is touched.
All of that waits for the first guarded import.
"""

import sys

from codegenie.plugins import _finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Literal

    from codegenie.plugins._enforce.refusal import Refusal

_CHOICES = {
    "scope": ("all", "plugin"),
    "mode": ("enforce", "audit"),
    "on_refusal": ("raise", "exit"),
}


class GuardStatus:
    """What the guard of this interpreter is doing. ``root`` and ``lock`` are ``None`` until known.

    ``verified`` is ``{plugin: tree digest}``; ``refused`` holds the latest refusal per plugin and
    kind, as plain records with ``kind``, ``plugin`` and ``evidence``.
    """

    __slots__ = (
        "active",
        "lock",
        "mode",
        "on_refusal",
        "refused",
        "root",
        "scope",
        "verified",
    )

    def __init__(self) -> None:
        self.active = False
        self.root: str | None = None
        self.lock: str | None = None
        self.scope = "all"
        self.mode = "enforce"
        self.on_refusal = "raise"
        self.verified: dict[str, str] = {}
        self.refused: tuple[Refusal, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The same as plain data, for JSON."""
        return {
            "active": self.active,
            "root": self.root,
            "lock": self.lock,
            "scope": self.scope,
            "mode": self.mode,
            "on_refusal": self.on_refusal,
            "verified": dict(self.verified),
            "refused": [{"kind": r.kind, "plugin": r.plugin, **r.evidence} for r in self.refused],
        }

    def __repr__(self) -> str:
        return f"GuardStatus({self.as_dict()!r})"


def install(
    *,
    root: "str | os.PathLike[str] | None" = None,
    lock: "str | os.PathLike[str] | None" = None,
    scope: "Literal['all', 'plugin'] | None" = None,
    mode: "Literal['enforce', 'audit'] | None" = None,
    on_refusal: "Literal['raise', 'exit'] | None" = None,
) -> None:
    """Put the guard first on ``sys.meta_path``, and refine its set-up.

    What is not given stays as an earlier call set it, else as the environment says, else at the
    first choice of each type. Relative paths are taken from the present working directory.

    Raises:
        GuardTooLate: plugin code was loaded without the guard. Nothing is installed.
        GuardSettled: the guard has decided already, by another set-up.
        ValueError: a setting has a value it cannot have.
    """
    given = {"scope": scope, "mode": mode, "on_refusal": on_refusal}
    requested: dict[str, str] = {}
    for setting, value in given.items():
        if value is not None:
            if value not in _CHOICES[setting]:
                allowed = " or ".join(repr(choice) for choice in _CHOICES[setting])
                raise ValueError(f"{setting} must be {allowed}, not {value!r}")
            requested[setting] = value
    for setting, path in (("root", root), ("lock", lock)):
        if path is not None:
            import os

            if not os.fspath(path):
                raise ValueError(f"{setting} must be a path, not an empty one")
            requested[setting] = os.path.abspath(os.fsdecode(path))

    finder = _finder.installed()
    if finder is None:
        unguarded = _finder.unguarded_modules()
        if unguarded:
            from codegenie.plugins._enforce.refusal import GuardTooLate

            raise GuardTooLate(unguarded)
        finder = _finder.GuardFinder()
    enforcer = finder.settled_enforcer()
    if enforcer is not None:
        enforcer.settle(requested)
    finder.requested.update(requested)
    _finder.put_first(finder)


def status() -> GuardStatus:
    """What is active, by which set-up, what was verified and what was refused."""
    result = GuardStatus()
    finder = _finder.installed()
    if finder is None:
        return result
    result.active = bool(sys.meta_path) and sys.meta_path[0] is finder
    for setting, value in finder.requested.items():
        setattr(result, setting, value)
    enforcer = finder.settled_enforcer()
    if enforcer is None:
        from codegenie.plugins._enforce.settings import resolve

        found = resolve(finder.requested)
        result.mode, result.on_refusal = found.mode, found.on_refusal
    else:
        result.mode, result.on_refusal = enforcer.mode, enforcer.on_refusal
        if enforcer.settings is not None:
            result.root, result.lock = enforcer.settings.root, enforcer.settings.lock
            result.scope = enforcer.settings.scope
        result.verified = {p: tree.digest for p, tree in enforcer.verified.items()}
        result.refused = tuple(enforcer.refused.values())
    return result


install()
