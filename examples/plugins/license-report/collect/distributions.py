"""Read the metadata of installed distributions (PEP 639 expression, classifiers, free text)."""

from importlib.metadata import distributions
from typing import NamedTuple

PREFIX = "License :: OSI Approved :: "


class Distribution(NamedTuple):
    name: str
    version: str
    licenses: list[str]


def installed() -> list[Distribution]:
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        metadata = distribution.metadata
        # Since Python 3.15, `metadata[...]` raises KeyError for a field that is missing.
        name = metadata.get("Name")
        if not name or name.lower() in found:
            continue
        expression = metadata.get("License-Expression")
        licenses = [expression] if expression else []
        classifiers = metadata.get_all("Classifier") or []
        licenses += [c.removeprefix(PREFIX) for c in classifiers if c.startswith(PREFIX)]
        text = metadata.get("License")
        if not licenses and text:
            licenses = [text.splitlines()[0]]
        found[name.lower()] = Distribution(name, distribution.version, licenses)
    return sorted(found.values(), key=lambda d: d.name.lower())
