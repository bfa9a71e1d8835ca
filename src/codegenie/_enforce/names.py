"""Map dotted names to plugins and candidate paths, in the order of CPython's own search.

CPython: ``FileFinder.find_spec`` in ``Lib/importlib/_bootstrap_external.py`` tries a package before
a module, and extension suffixes before source. Bytecode suffixes are left out on purpose: a
``.pyc`` is never a candidate.
"""

import sys
from _frozen_importlib_external import SOURCE_SUFFIXES
from _imp import extension_suffixes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator  # noqa: F401
    from types import FrameType

_OWN_MODULES = ("codegenie._enforce", "codegenie._start")
_EXTENSION_SUFFIXES = tuple(extension_suffixes())
SUFFIXES = (*_EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)


_IMPORT_MODULES = (
    "importlib._bootstrap",
    "importlib._bootstrap_external",
    # The names of the same modules before `importlib` is imported.
    "_frozen_importlib",
    "_frozen_importlib_external",
    "codegenie._start.finder",
    "codegenie._start.loaders",
)


def requested(module):
    # type: (str) -> str
    """Return the name that the application imports, if that import has led to ``module``.

    ``import plugins.x.api`` first imports ``plugins``, which is where the folder is verified and
    refused. The imports of the parents are the frames of importlib that follow on one another.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_OWN_MODULES):
        frame = frame.f_back
    while frame is not None and frame.f_globals.get("__name__") in _IMPORT_MODULES:
        name = frame.f_locals.get("name") if frame.f_code.co_name == "_find_and_load" else None
        if type(name) is str and name.startswith(f"{module}."):
            module = name
        frame = frame.f_back
    return module


def split(package, fullname):
    # type: (str | None, str) -> tuple[str, str | None]
    """Split ``plugins.x.a.b`` into unit ``x`` and path ``a/b``; ``plugins.x`` has path ``""``.

    Without a package, ``x.a.b`` is split in the same way. The path is ``None`` for a name that no
    file can have (an empty part, a slash): such names reach a finder through
    ``importlib.import_module``.
    """
    below = fullname[len(package) + 1 :] if package else fullname
    unit, *rest = below.split(".")
    if any(not part or "/" in part for part in rest):
        return unit, None
    return unit, "/".join(rest)


def module_of(unit):
    # type: (str) -> tuple[str, bool]
    """Return the name of the module that a unit is, and True if the unit is a folder."""
    for suffix in SUFFIXES:
        if unit.endswith(suffix) and len(unit) > len(suffix):
            return unit[: -len(suffix)], False
    return unit, True


def candidates(path, *, is_package=True):
    # type: (str, bool) -> Iterator[tuple[str, bool]]
    """Yield the possible files of the module at ``path``, best first, with True for a package.

    Args:
        is_package: False if there is no such folder, so the module cannot be a package.
    """
    if is_package:
        folder = f"{path}/" if path else ""
        for suffix in SUFFIXES:
            yield f"{folder}__init__{suffix}", True
    if path:
        for suffix in SUFFIXES:
            yield f"{path}{suffix}", False


def is_extension(path):
    # type: (str) -> bool
    """Return True if a candidate is machine code."""
    return path.endswith(_EXTENSION_SUFFIXES)
