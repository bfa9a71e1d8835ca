"""Tell code, comment and blank lines apart. Line comments only: a docstring is code."""

from typing import NamedTuple

from .languages import Language


class Lines(NamedTuple):
    code: int = 0
    comment: int = 0
    blank: int = 0
    files: int = 0

    def __add__(self, other: "Lines") -> "Lines":  # type: ignore[override]
        return Lines(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def count(text: str, language: Language) -> Lines:
    code = comment = blank = 0
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped:
            blank += 1
        elif language.comment and stripped.startswith(language.comment):
            comment += 1
        else:
            code += 1
    return Lines(code, comment, blank, 1)
