"""Sort licence texts into families. The families are data: ``data/families.json``."""

import json
from importlib.resources import files


class Families:
    """Words that give a licence family away, in the order in which they are tried."""

    def __init__(self, words: dict[str, list[str]]) -> None:
        self._words = words

    @classmethod
    def from_package(cls, package: str) -> "Families":
        text = files(package).joinpath("data", "families.json").read_text(encoding="utf-8")
        return cls(json.loads(text))

    def of(self, licenses: list[str]) -> str:
        described = " ".join(licenses).lower()
        for family, words in self._words.items():
            if any(word in described for word in words):
                return family
        return "not stated" if not described else "other"
