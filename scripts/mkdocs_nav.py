"""A hook of MkDocs: the records in ``docs/decisions`` enter the navigation by themselves.

Every page must be in the navigation, and a new record should need no second file to be edited.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SECTION = "Decisions"
FOLDER = "decisions"


def on_config(config: Any) -> Any:
    """Fill the section of the records, in the order of their numbers."""
    records = sorted((Path(config["docs_dir"]) / FOLDER).glob("*.md"))
    _section(config["nav"])[SECTION] = [f"{FOLDER}/{record.name}" for record in records]
    return config


def _section(nav: list[Any]) -> dict[str, Any]:
    for entry in nav:
        if isinstance(entry, dict):
            for title, content in entry.items():
                if title == SECTION:
                    return entry
                if isinstance(content, list) and content:
                    try:
                        return _section(content)
                    except LookupError:
                        continue
    raise LookupError(f"mkdocs.yml has no section {SECTION!r}")
