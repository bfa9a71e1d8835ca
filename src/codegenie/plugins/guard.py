"""Importing this module installs the plugin guard.

Start-up path: nothing is imported but ``codegenie``, nothing is read, no plugin file is touched.
All of that waits for the first guarded import.
"""

from codegenie.plugins import _audit, _finder

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
        "strict",
        "verified",
    )

    def __init__(self) -> None:
        self.active = False
        self.root: str | None = None
        self.lock: str | None = None
        self.scope = "all"
        self.mode = "enforce"
        self.on_refusal = "raise"
        self.strict = True
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
            "strict": self.strict,
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
    strict: bool | None = None,
) -> None:
    """Put the guard first on ``sys.meta_path``, and refine its set-up.

    What is not given stays as an earlier call set it, else as the environment says, else at the
    first choice of each type. Relative paths are taken from the present working directory.
    ``strict``, unless it is switched off, watches over what goes around ``sys.meta_path``, by an
    audit hook (``_audit``).

    Raises:
        GuardTooLate: plugin code was loaded without the guard. Nothing is installed.
        GuardSettled: the guard has decided already, by another set-up.
        ImportError: an audit hook of the application keeps the guard's own out.
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
        unguarded = _finder.not_served()
        if unguarded:
            from codegenie.plugins._enforce.refusal import GuardTooLate

            raise GuardTooLate(unguarded)
        finder = _finder.GuardFinder()
        _audit.add(finder)
    enforcer = finder.settled_enforcer()
    if enforcer is not None:
        enforcer.settle(requested)
        if strict is not None and strict != finder.strict and enforcer.settings is not None:
            from codegenie.plugins._enforce.refusal import GuardSettled

            raise GuardSettled("strict", finder.strict, strict)
    finder.requested.update(requested)
    if strict is not None:
        finder.strict = strict
    _finder.put_first(finder)


def status() -> GuardStatus:
    """What is active, by which set-up, what was verified and what was refused."""
    result = GuardStatus()
    finder = _finder.installed()
    if finder is None:
        return result
    result.active = _finder.is_first(finder)
    result.strict = finder.strict
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
