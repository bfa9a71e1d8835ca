"""Find the units of installed distributions: their entries at the top of ``site-packages``.

``RECORD`` says which entries belong to a distribution, as the installer has written it. The digests
come from the walk and never from ``RECORD``, which an attacker can write as well.
"""

from __future__ import annotations

import csv
import re
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path, PurePosixPath

from codegenie.integrity.walk import BYTECODE_FOLDER, BYTECODE_SUFFIX
from codegenie.parsers import safe_json
from codegenie.text import printable

DIST_INFO = ".dist-info"
START_SUFFIXES = (".pth", ".start")
"""Files that the interpreter executes at every start, before any guard."""


class NotLockable(Exception):
    """A distribution that cannot be locked, or was not found. The text is one sentence."""


@dataclass(frozen=True)
class Installed:
    """The units of one distribution.

    Attributes:
        name: the name in its metadata.
        units: its entries at the top of the folder, sorted, with its ``.dist-info``.
        shared: folders without ``__init__.py``: namespaces that other distributions may share.
        outside: files outside of the folder (scripts, data), which no lock of it covers.
    """

    name: str
    units: Sequence[str]
    shared: Sequence[str]
    outside: Sequence[str]


def is_site_packages(root: str) -> bool:
    """Return True if a folder has the name of those that installers share."""
    return Path(root).name in ("site-packages", "dist-packages")


def is_lock_of_distributions(root: str, units: Iterable[str]) -> bool:
    """Return True if a lock names a ``.dist-info``, and its folder is shared with what it leaves.

    Threat: ``pip install --target`` puts a ``.dist-info`` into a plugin folder as well. An entry
    that is added to that folder would then not be reported. Rule: only the folders of installers
    are shared, by their name.
    """
    return is_site_packages(root) and any(unit.endswith(DIST_INFO) for unit in units)


def names_in(units: Iterable[str]) -> Sequence[str]:
    """Return the names of the distributions whose ``.dist-info`` a lock names."""
    found = (unit.removesuffix(DIST_INFO) for unit in units if unit.endswith(DIST_INFO))
    return sorted(name.rpartition("-")[0] for name in found)


def is_installed(root: str, name: str) -> bool:
    """Return True if the folder ``root`` has a ``.dist-info`` of this name."""
    return bool(_dist_infos(root, name))


def folder_of(names: Sequence[str]) -> str:
    """Return the folder of this interpreter's environment that holds all of the distributions.

    Raises:
        NotLockable: there is none.
    """
    paths = sysconfig.get_paths()
    for root in dict.fromkeys((paths["purelib"], paths["platlib"])):
        if all(_dist_infos(root, name) for name in names):
            return root
    raise NotLockable(
        f"{', '.join(names)} is not installed in {paths['purelib']}; give the folder as ROOT"
    )


def find(root: str, name: str) -> Installed:
    """Return the units of the distribution ``name`` in the folder ``root``.

    Raises:
        NotLockable: it is not there or there twice, is an editable install or an egg, has a file
            that runs at every start, or its metadata cannot be read.
    """
    try:
        return _find(root, name)
    except (OSError, TypeError, ValueError, csv.Error) as error:
        wrong = f"{name} has metadata that cannot be read ({error})"
        raise NotLockable(f"{wrong}; install it again with pip") from None


def _find(root: str, name: str) -> Installed:
    found = _dist_infos(root, name)
    if len(found) != 1:
        where = f"in {root}"
        raise NotLockable(
            f"{name} is installed twice {where}: {', '.join(found)}; install it again"
            if found
            else f"{name} is not installed {where}, or as an egg or without {DIST_INFO}"
        )
    (dist_info,) = found
    distribution = Distribution.at(Path(root, dist_info))
    _refuse_editable(distribution, name)
    units = {dist_info}
    outside = []
    for path in _recorded(distribution, name):
        top = path.parts[0]
        if top == ".." or PurePosixPath(path).is_absolute():
            outside.append(printable(str(path)))
        elif len(path.parts) == 1 and top.endswith(START_SUFFIXES):
            raise NotLockable(
                f"{name} has {top}, whose lines run at every start before the guard can check them"
            )
        elif top != BYTECODE_FOLDER and not top.endswith(BYTECODE_SUFFIX):
            units.add(top)
    shared = [
        unit
        for unit in sorted(units - {dist_info})
        if Path(root, unit).is_dir() and not Path(root, unit, "__init__.py").exists()
    ]
    return Installed(distribution.name, sorted(units), shared, outside)


def _recorded(distribution: Distribution, name: str) -> list[PurePosixPath]:
    """Return the files of a distribution, as ``RECORD`` lists them.

    Raises:
        NotLockable: there is no ``RECORD``.
    """
    if distribution.files is None:
        raise NotLockable(f"{name} has no RECORD of its files; install it again with pip")
    return [path for path in distribution.files if path.parts]


def _dist_infos(root: str, name: str) -> list[str]:
    """Return the ``.dist-info`` folders of a distribution, by the name in their metadata."""
    try:
        entries = sorted(entry.name for entry in Path(root).iterdir())
    except OSError:
        return []
    wanted = _normalized(name)
    return [
        entry
        for entry in entries
        if entry.endswith(DIST_INFO)
        and _normalized(entry.removesuffix(DIST_INFO).rpartition("-")[0]) == wanted
    ]


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _refuse_editable(distribution: Distribution, name: str) -> None:
    """Refuse a distribution whose code is elsewhere (PEP 610)."""
    text = distribution.read_text("direct_url.json")
    try:
        origin = safe_json.parse(text.encode(), max_depth=8) if text else {}
    except ValueError:
        origin = {}
    folder = origin.get("dir_info") if isinstance(origin, dict) else None
    if isinstance(origin, dict) and isinstance(folder, dict) and folder.get("editable"):
        raise NotLockable(
            f"{name} is an editable install, whose code is in {origin.get('url')}; guard that "
            "folder, or install the distribution without -e"
        )
