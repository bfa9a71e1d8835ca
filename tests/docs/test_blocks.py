"""A page that is wrong is found: each way of being wrong, planted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.blocks import matches, run, steps_of

RIGHT = """\
```python title="made/by/page.py"
print("one")
```

```sh
cd made
x=2
```

```sh
cat by/page.py; echo "$x" >&2
```

```text title="Output"
print("one")
2
```

<!-- test: status 3 -->
```sh
true
(exit 3)
```

<!-- test: skip, it never ends -->
```sh
tail -f /dev/null
```
"""


def problems(page: str, folder: Path) -> list[str]:
    """Return the problems of a page, with those of an unfinished run."""
    work, place = folder / "work", folder / "place"
    work.mkdir()
    place.mkdir()
    steps = steps_of(page)
    ran = run(steps, place, {"PATH": os.environ["PATH"]}, work)
    found = [problem for done in ran if (problem := done.problem()) is not None]
    return found + ["the shell ended"] * (len(ran) < len(steps) and not found)


def test_a_page_that_is_right(tmp_path: Path) -> None:
    assert problems(RIGHT, tmp_path) == []
    assert len(steps_of(RIGHT)) == 4


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('print("one")\n2', 'print("one")\n3'),
        ('print("one")\n2\n', "2\n"),
        ("status 3", "status 4"),
        ("(exit 3)", "true"),
        ("true\n(exit 3)", "false\n(exit 3)"),
        ("cd made\n", "cd made\nfalse\n"),
        ("cd made", "cd nowhere"),
        ("x=2", "exit 0"),
        ("made/by/page.py", "made/by/another.py"),
    ],
)
def test_a_page_that_is_wrong(right: str, wrong: str, tmp_path: Path) -> None:
    assert RIGHT.count(right) >= 1
    assert problems(RIGHT.replace(right, wrong, 1), tmp_path) != []


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a …", "a b c", True),
        ("a …", "a", False),
        ("…/plugins", "/x/y/plugins", True),
        ("a\n…\nz", "a\nz", True),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("a\n…\nz", "a\nb\nc\nz\nz2", False),
        ("a.c", "abc", False),
        ("a", "a   \n", True),
    ],
)
def test_what_an_elision_stands_for(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
