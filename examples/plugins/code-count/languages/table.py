"""The table of languages, from ``data/languages.json``."""

import json
import pkgutil
from typing import NamedTuple


class Language(NamedTuple):
    name: str
    comment: str


def by_suffix() -> dict[str, Language]:
    package = __package__.rpartition(".")[0]
    data = pkgutil.get_data(package, "data/languages.json")
    return {
        suffix: Language(name, entry["comment"])
        for name, entry in json.loads(data or b"{}").items()
        for suffix in entry["suffixes"]
    }
