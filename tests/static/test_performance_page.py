"""The page on performance shows the recorded figures."""

from __future__ import annotations

from benchmarks import tables


def test_tables_hold_the_recorded_figures() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.rewritten(page), "run: python -m benchmarks.tables"


def test_page_has_each_table() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert {found[2] for found in tables.TABLE.finditer(page)} == set(tables.TABLES)


def test_another_figure_changes_the_page() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    found = next(found for found in tables.TABLE.finditer(page) if found[2] == "startup")
    changed = page[: found.start(3)] + found[3].replace("ms", "s") + page[found.end(3) :]
    assert tables.rewritten(changed) == page
