"""Give every command one shape: ``run`` returns an ``Outcome``, and ``render`` shows it.

The module of a command has the same parts, in this order:

- the function that click calls: arguments and help, and one call of ``finish``;
- ``run``: does the work and returns an ``Outcome``. It prints nothing but progress;
- ``render``: prints the result for a person, to standard output. Not called with ``--json``;
- ``advise``: prints messages to standard error: explanations, a summary, what to run next.

So ``--json`` prints exactly the outcome's document, and the status follows from the outcome alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from codegenie.cli import output

if TYPE_CHECKING:
    from pydantic import BaseModel


class Outcome(Protocol):
    """The result of a command: a document, and the status of the process."""

    @property
    def document(self) -> BaseModel:
        """The result as ``--json`` prints it."""

    @property
    def status(self) -> int:
        """0, or the status to end with."""


O = TypeVar("O", bound=Outcome)  # noqa: E741  # the type of a command's outcome


def finish(
    outcome: O,
    render: Callable[[O], None],
    advise: Callable[[O], None],
    *,
    as_json: bool,
    one_line: bool = False,
) -> None:
    """Print an outcome, and end with its status unless that is 0.

    Raises:
        output.Rejected: the status is not 0.
    """
    if as_json:
        output.document(outcome.document, one_line=one_line)
    else:
        render(outcome)
    advise(outcome)
    _end(outcome.status)


def finish_all(
    outcomes: Iterable[O],
    render: Callable[[O], None],
    advise: Callable[[O], None],
    *,
    as_json: bool,
) -> None:
    """Print the outcomes for several folders, each when it is there, and end with the worst status.

    With ``--json`` there is one document at the end, which holds those of the folders.

    Raises:
        output.Rejected: a status is not 0.
    """
    documents: list[Any] = []
    status = 0
    for outcome in outcomes:
        documents.append(outcome.document.model_dump(mode="json"))
        if not as_json:
            render(outcome)
        advise(outcome)
        status = max(status, outcome.status)
    if as_json:
        output.plain({"folders": documents})
    _end(status)


def _end(status: int) -> None:
    if status:
        raise output.Rejected(status)
