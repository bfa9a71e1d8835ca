"""Count code, comment and blank lines per language in a folder."""

from collections.abc import Iterator
from pathlib import Path

from codegenie.plugins.registry import register_plugin

from .counting import Lines, count
from .languages import by_suffix


class CodeCount:
    """One line per language, the longest first."""

    name = "code-count"

    def run(self, arguments: list[str]) -> Iterator[str]:
        """``arguments`` is the folder to count in."""
        languages = by_suffix()
        totals: dict[str, Lines] = {}
        for path in sorted(Path(arguments[0]).rglob("*")):
            language = languages.get(path.suffix)
            if language is not None and path.is_file():
                text = path.read_text(encoding="utf-8", errors="replace")
                totals[language.name] = totals.get(language.name, Lines()) + count(text, language)
        yield f"{'language':<12} {'files':>6} {'code':>8} {'comment':>8} {'blank':>8}"
        for name, lines in sorted(totals.items(), key=lambda item: -item[1].code):
            row = f"{lines.files:>6} {lines.code:>8} {lines.comment:>8} {lines.blank:>8}"
            yield f"{name:<12} {row}"


PLUGIN = register_plugin(CodeCount())
