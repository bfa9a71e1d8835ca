"""Support ``pkg_resources`` for a verified module, and for a folder of verified modules.

It chooses by a type: a provider of resources by that of the module's loader, a search for
distributions by that of the folder's finder. Loaded only if a program uses ``pkg_resources``
(``codegenie._start.finder.register``).
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from typing import Any

_known: list[tuple[object, type]] = []
"""The module ``pkg_resources``, and a class of ours that was registered with it."""


_USED = (
    "NullProvider",
    "find_on_path",
    "file_ns_handler",
    "get_provider",
    "register_finder",
    "register_loader_type",
    "register_namespace_handler",
)


def register(kind: type) -> None:
    """Register a class of loaders or of finders. Nothing is done while ``pkg_resources`` does not
    have all that is used here, because it is being imported."""
    pkg_resources: Any = sys.modules.get("pkg_resources")
    if not all(hasattr(pkg_resources, name) for name in _USED):
        return
    if any(known is pkg_resources and registered is kind for known, registered in _known):
        return
    _known.append((pkg_resources, kind))
    if hasattr(kind, "exec_module"):
        pkg_resources.register_loader_type(kind, _provider(pkg_resources.NullProvider))
    elif hasattr(kind, "iter_modules"):
        # The finder of a folder: as CPython's own. Metadata is data, and read by its path.
        pkg_resources.register_finder(kind, pkg_resources.find_on_path)
        pkg_resources.register_namespace_handler(kind, pkg_resources.file_ns_handler)


def _provider(base: "Any") -> type:
    class VerifiedProvider(base):  # type: ignore[misc]
        """Answers from the verified tree. Its base reads files by the loader's ``get_data``."""

        def _has(self, path: str) -> bool:
            entry = self._entry(path)
            return entry.is_file() or entry.is_dir()

        def _isdir(self, path: str) -> bool:
            return self._entry(path).is_dir()

        def _listdir(self, path: str) -> list[str]:
            return [entry.name for entry in self._entry(path).iterdir()]

        def _entry(self, path: str) -> "Traversable":
            below = path[len(self.module_path) :].strip("/")
            folder: Traversable = self.loader.get_resource_reader(self.loader.name).files()
            return folder.joinpath(below) if below else folder

    return VerifiedProvider
