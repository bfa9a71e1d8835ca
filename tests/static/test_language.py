"""The prose of the source, of the tests and of the pages gets no harder to read."""

from __future__ import annotations

import pytest

from tests.static.language import (
    GROUPS,
    PATTERNS,
    Passage,
    docstring_hits,
    of_code,
    of_page,
    passages,
    sentence_hits,
)

# How many may be left. These numbers only fall: lower them when you rewrite something.
SENTENCES = {"src": 0, "tests": 13, "pages": 1}
DOCSTRINGS = {"src": 12, "tests": 160, "pages": 0}

PLANTED = {
    "a clause as a noun": (
        "What the hook returns.",
        "Whether the lock is valid.",
        "Whoever came first decides.",
        "Reads the lock. Where it is depends on the settings.",
    ),
    "an actor without a name": (
        "Open the file that nobody locked.",
        "Refuse a link that somebody else made.",
        "The code that stands between the lock and the loader.",
    ),
    "files that lie or stand": (
        "Hash the files that lie in the folder.",
        "Another finder stands before the guard.",
    ),
    "code that asks or tells": (
        "The finder is asked for a spec.",
        "The hook judges the file.",
        "An error tells the caller.",
    ),
    "an old word": (
        "Read it anew.",
        "The folder is not read, nor is the lock.",
        "Put the other finder in its place.",
        "Compare the text as the lock has it.",
        "It shall not pass.",
    ),
}
PLAIN = (
    "Return what the hook returned.",
    "Return True if the lock is valid.",
    "What to do after a refusal.",
    "Who signed this lock?",
    "How to pin the guard: set the variable.",
    "The function replaces the first, shallow copy.",
    "A stand-in for the real server.",
    "The standard library is understood.",
    "The exception has it as a field.",
    "Rely on the lock: a relied-upon digest underlies it.",
    "The command asked the user to confirm.",
    "So do not edit the lock by hand.",
)


@pytest.mark.parametrize("group", GROUPS)
def test_sentences_to_rewrite_get_no_more(group: str) -> None:
    _at_most(SENTENCES[group], sentence_hits(passages(group)), group)


@pytest.mark.parametrize("group", GROUPS)
def test_docstrings_without_verb_get_no_more(group: str) -> None:
    _at_most(DOCSTRINGS[group], docstring_hits(passages(group)), group)


def _at_most(limit: int, found: list[str], group: str) -> None:
    print(f"{group}: {len(found)} of at most {limit}, {limit - len(found)} below the limit")
    assert len(found) <= limit, (
        f"{len(found)} in {group}, at most {limit} may be left. Rewrite what you added "
        "(docs/contributing/style.md):\n" + "\n".join(found)
    )


@pytest.mark.parametrize("construction", PATTERNS)
def test_each_pattern_finds_planted_sentences(construction: str) -> None:
    for sentence in PLANTED[construction]:
        assert construction in Passage("planted", sentence).constructions(), sentence


@pytest.mark.parametrize("sentence", PLAIN)
def test_plain_sentences_pass(sentence: str) -> None:
    assert not Passage("planted", sentence).constructions()


CODE = '''
"""Whoever reads this module.

Return to sender.
"""

def function():
    """The value of it.

    The second paragraph is free to begin like this.
    """
    raise Error("the file stands before the lock")  # a comment: for want
    # of a better word

def mended():
    """Return the value."""
    run("import sys\\nfor it in sys.path: print('whoever it is', it)")

class Value:
    """A value, which is a noun."""

    @property
    def size(self):
        """The size in bytes."""
'''


def test_docstrings_messages_and_comments_are_read() -> None:
    found = list(of_code(CODE, "planted.py"))
    assert [hit.split(": ")[:2] for hit in sentence_hits(found)] == [
        ["planted.py:2", "a clause as a noun, an actor without a name"],
        ["planted.py:12", "files that lie or stand"],
        ["planted.py:12", "an old word"],
    ]
    assert docstring_hits(found) == ["planted.py:8: no verb first: The value of it."]


PAGE = """# Title

A sentence. Nobody reads
the second one.

```console
$ nobody
```

- An item.
- It shall be found.
"""


def test_sentences_of_pages_are_read_without_code_blocks() -> None:
    found = sentence_hits(of_page(PAGE, "page.md"))
    assert [hit.split(": ")[0] for hit in found] == ["page.md:3", "page.md:11"]


def test_each_group_is_read() -> None:
    assert all(len(passages(group)) > 1000 for group in GROUPS)
