"""Dotted names to plugins and candidate paths, in the order in which CPython would look.

CPython: ``FileFinder.find_spec`` in ``Lib/importlib/_bootstrap_external.py`` tries a package before
a module, and extension suffixes before source. Bytecode suffixes are left out on purpose: a
``.pyc`` is never a candidate.
"""

from _frozen_importlib_external import SOURCE_SUFFIXES
from _imp import extension_suffixes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_EXTENSION_SUFFIXES = tuple(extension_suffixes())
SUFFIXES = (*_EXTENSION_SUFFIXES, *SOURCE_SUFFIXES)


def split(fullname: str) -> tuple[str, str | None]:
    """``plugins.x.a.b`` is plugin ``x`` and the path ``a/b``; ``plugins.x`` has the path ``""``.

    The path is ``None`` for a name that no file can have (an empty part, a slash): such names reach
    a finder through ``importlib.import_module``.
    """
    parts = fullname.split(".")
    plugin, rest = parts[1], parts[2:]
    if any(not part or "/" in part for part in rest):
        return plugin, None
    return plugin, "/".join(rest)


def candidates(path: str) -> "Iterator[tuple[str, bool]]":
    """The files that can be the module at ``path``, best first, and whether each is a package."""
    folder = f"{path}/" if path else ""
    for suffix in SUFFIXES:
        yield f"{folder}__init__{suffix}", True
    if path:
        for suffix in SUFFIXES:
            yield f"{path}{suffix}", False


def is_extension(path: str) -> bool:
    """Whether a candidate is machine code."""
    return path.endswith(_EXTENSION_SUFFIXES)
