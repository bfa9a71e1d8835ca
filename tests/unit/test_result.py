"""``Result``: a value or a typed failure."""

from __future__ import annotations

import pickle

import pytest

from codegenie.result import Err, Ok, Result


def test_a_success_holds_its_value() -> None:
    success: Result[int, str] = Ok(3)
    assert (success.is_ok(), success.is_err()) == (True, False)
    assert success.unwrap() == 3
    assert isinstance(success, Ok)
    with pytest.raises(RuntimeError, match=r"^unwrap_err\(\) on a success: 3$"):
        success.unwrap_err()


def test_a_failure_holds_its_evidence() -> None:
    failure: Result[int, str] = Err("no such thing")
    assert (failure.is_ok(), failure.is_err()) == (False, True)
    assert failure.unwrap_err() == "no such thing"
    assert isinstance(failure, Err)
    with pytest.raises(RuntimeError, match=r"^unwrap\(\) on a failure: 'no such thing'$"):
        failure.unwrap()


def test_a_failure_may_bring_what_unwrap_raises() -> None:
    failure: Result[int, str] = Err("no such thing", LookupError("it was there yesterday"))
    with pytest.raises(LookupError, match=r"^it was there yesterday$"):
        failure.unwrap()
    assert failure.unwrap_err() == "no such thing"
    assert failure == Err("no such thing")
    again = pickle.loads(pickle.dumps(failure))
    with pytest.raises(LookupError, match=r"^it was there yesterday$"):
        again.unwrap()


def test_both_are_taken_apart_by_match() -> None:
    def shown(result: Result[int, str]) -> str:
        match result:
            case Ok(value):
                return f"value {value}"
            case Err(error):
                return f"error {error}"

    assert shown(Ok(1)) == "value 1"
    assert shown(Err("bad")) == "error bad"


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        (Ok(1), Ok(1), True),
        (Ok(1), Ok(2), False),
        (Err(1), Err(1), True),
        (Err(1), Err(2), False),
        # The same payload on the other side is the opposite outcome.
        (Ok(1), Err(1), False),
        (Err(1), Ok(1), False),
        (Ok(1), 1, False),
        (Ok(None), None, False),
    ],
)
def test_equality_is_of_outcome_and_payload(left: object, right: object, equal: bool) -> None:
    assert (left == right) is equal
    if equal:
        assert hash(left) == hash(right)


def test_an_outcome_and_its_opposite_are_two_keys() -> None:
    assert len({Ok("x"), Err("x"), Ok("x")}) == 2


def test_representations_name_the_outcome() -> None:
    assert repr(Ok([1])) == "Ok([1])"
    assert repr(Err("why")) == "Err('why')"


@pytest.mark.parametrize("result", [Ok({"a": 1}), Err(("b", 2))])
def test_results_travel_between_processes(result: Ok[object] | Err[object]) -> None:
    assert pickle.loads(pickle.dumps(result)) == result


def test_nothing_can_be_added_to_a_result() -> None:
    with pytest.raises(AttributeError):
        Ok(1).other = 2  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        Err(1).value = 2  # type: ignore[attr-defined]


def test_the_names_can_be_subscripted_at_run_time() -> None:
    """Annotations such as ``Result[int, str]`` are evaluated in modules without postponed
    evaluation."""
    subscript = Result[int, str]
    assert isinstance(Ok(1), subscript)
    assert isinstance(Err(""), subscript)
    assert not isinstance(1, subscript)
