"""Enforce strict mode while the interpreter shuts down.

A shutdown empties one module after the other (``finalize_modules`` in ``Python/pylifecycle.c``) and
runs ``__del__`` methods. Threat: nothing can be imported then, so no code can be compared with the
lock. Rule: no file in a guarded folder runs, only code objects that the guard has made before.

The audit hook executes this file at the first such event (``audit_hook._rules_of``), as a
module that no shutdown empties. It holds copies of the names in ``codegenie._start`` and of the
built-in functions, so this file imports nothing. Its functions have the names and the arguments of
those in ``audit_hook``.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, FrameType
    from typing import Any

    from codegenie._start import (
        FILE_NAMES,
        LIBRARY_PATH,
        LOCK_NAME,
        MODULE_SUFFIXES,
        access,
        call,
        read_link,
        stat,
    )
    from codegenie._start.finder import Claim, GuardFinder

MAX_LINKS = 40
"""The limit of the kernel, which opens no longer chain of links."""

WRITE_ONLY = 1
"""``os.O_WRONLY``, of the lowest two bits of the flags (``os.O_ACCMODE``)."""


def on_exec(finder: "GuardFinder", code: "CodeType", caller: "FrameType | None") -> None:
    """Refuse code of a guarded folder or name that the guard has not made and verified before."""
    if not finder.strict:
        return
    made = finder.made_code.get(object.__hash__(code))  # `_start.identity_of`
    if made is not None and made[0]() is code and made[1][1]:
        return
    claimed = _text_of(getattr(code, "co_filename", None))
    name, claim = _guarded_name(finder, caller)
    if claim is None and (claimed.endswith(MODULE_SUFFIXES) or access(claimed, 0)):
        claim = _claim_at(finder, claimed)
    if claim is not None:
        _refuse(finder, claim, claimed, name)


def on_open(finder: "GuardFinder", path: object, mode: object, flags: int, frame: object) -> None:
    """Refuse to read bytecode in a guarded folder."""
    named = _text_of(path)
    if named[-4:] != ".pyc" or flags & 3 == WRITE_ONLY or not finder.strict:
        return
    if _claim_at(finder, named):
        # As for a file without permission: importlib continues with the source.
        raise PermissionError(13, "the plugin guard does not let it be read", named)


def on_import(finder: "GuardFinder", name: str, path: object, frame: object) -> None:
    """Refuse an extension module in a guarded folder."""
    if path is not None:
        on_library(finder, "import", path, None)


def on_library(finder: "GuardFinder", event: str, path: object, caller: "FrameType | None") -> None:
    """Refuse a library or a script in a guarded folder."""
    if not finder.strict:
        return
    named = _text_of(path)
    if "/" in named:
        claim = _claim_at(finder, named)
        if claim is not None:
            _refuse(finder, claim, named, "")
        return
    folders = LIBRARY_PATH.replace(b";", b":").split(b":") if LIBRARY_PATH else []
    for folder in folders:
        place = f"{_text_of(folder) or '.'}/{named}"
        claim = _claim_at(finder, place) if access(place, 0) else None
        if claim is not None:
            _refuse(finder, claim, place, "")


def _refuse(finder: "GuardFinder", claim: "Claim", path: str, module: str) -> None:
    enforcer = claim.existing_enforcer()
    mode = finder.requested.get("mode") if enforcer is None else enforcer.mode
    try:
        # This also reports the refusal, as long as reporting still works.
        finder.strict_rules.refuse_at_the_end(enforcer, path, module)
    except ImportError:
        raise
    except Exception:  # noqa: S110  # modules that reporting needs are gone
        pass
    if mode != "audit":
        raise ImportError(
            f"code of the plugin folder does not run while the interpreter ends: {path}\n"
            "  fix       run it earlier, for example in a function that atexit calls"
        )


def _guarded_name(finder: "GuardFinder", caller: "FrameType | None") -> "tuple[str, Claim | None]":
    """Return the name of the guarded module as which importlib executes code, and its claim."""
    if caller is None or caller.f_code is not call.__code__ or caller.f_back is None:
        return "", None
    name: Any = getattr(caller.f_back.f_locals.get("module"), "__name__", None)
    if type(name) is str:
        for claim in finder.claims:
            if claim.claims(name):
                return name, claim
    return "", None


def _claim_at(finder: "GuardFinder", path: str) -> "Claim | None":
    for claim in finder.claims:
        try:
            root = claim.root()
        except Exception:
            root = None  # unknown, and it can no longer be resolved
        if root is not None and path.startswith(f"{root}/"):
            entry = path.removeprefix(f"{root}/").partition("/")[0]
            if claim.guards_entry(entry):
                return claim  # else a link there may lead to an entry that is guarded
        if _leads_into(path, claim, root):
            return claim
    return None


def _leads_into(path: str, claim: "Claim", root: str | None) -> bool:
    folders = [_folder_of_target(path), *_folders_of_links(path)]
    tops = [root]
    if claim.is_shared:  # only its units are guarded
        tops = [f"{root}/{unit}" for unit in claim.units or claim.first_parts]
    for top in tops:
        for folder in folders:
            try:
                if _is_below(folder, _identity(folder), top and _identity(top)):
                    return True
            except (OSError, ValueError):
                pass  # there is no such folder, or no root
    return False


def _is_below(folder: str, here: object, root: object) -> bool:
    """Return True if a folder is the root or is below it, by device and inode of each parent.

    If the root is unknown, a folder that contains a lock may be the root.
    """
    try:
        while here != root and (root or not access(f"{folder}/{LOCK_NAME}", 0)):
            folder += "/.."
            above = _identity(folder)
            if above == here:
                return False
            here = above
    except (OSError, ValueError):
        pass  # fail closed: the folder cannot be resolved
    return True


def _folder_of_target(path: str) -> str:
    """Return the folder of the file that the kernel opens by a path."""
    folder = _folder_of(path)
    try:
        for _ in range(MAX_LINKS):
            path = read_link(path)
            if path[:1] != "/":
                path = f"{folder}/{path}"
            folder = _folder_of(path)
    except (OSError, ValueError):
        pass  # it is no link
    return folder


def _folders_of_links(path: str) -> "list[str]":
    """Return the folder of each link in a path. Such a link can lead out of the guarded folder."""
    folders = []
    end = path.find("/", 1)
    while end > 0:
        try:
            read_link(path[:end])
            folders.append(_folder_of(path[:end]))
        except (OSError, ValueError):
            pass  # it is no link
        end = path.find("/", end + 1)
    return folders


def _folder_of(path: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return folder or slash or "."


def _identity(folder: str) -> "tuple[int, int]":
    status = stat(folder)
    return status.st_dev, status.st_ino


def _text_of(path: "Any") -> str:
    """Return a path as text; empty if it is no path. A sub-class cannot answer for itself."""
    if isinstance(path, bytes):
        return bytes.decode(path, *FILE_NAMES)
    if isinstance(path, str):
        return str.__str__(path)
    try:
        return _text_of(path.__fspath__())
    except Exception:
        return ""
