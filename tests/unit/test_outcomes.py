"""Outcome of an action, whatever the order in which its callbacks arrive."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback import outcomes

MESSAGE = ("queued", "sending", "sent", "delivered", "undelivered", "read")
CALL = ("initiated", "ringing", "answered", "completed", "busy", "failed")


@pytest.mark.parametrize(
    ("effect", "statuses", "end"),
    [("message", MESSAGE, "read"), ("call", CALL, "completed")],
)
def test_every_order_of_six_statuses_with_one_duplicate_folds_to_the_same(
    effect: str, statuses: tuple[str, ...], end: str
) -> None:
    """All 5,040 orders of six statuses and a repeated one end alike."""
    for repeated in statuses:
        seen = {outcomes.fold(effect, order) for order in set(permutations((*statuses, repeated)))}
        assert seen == {end}


@given(st.lists(st.sampled_from(MESSAGE), max_size=12), st.sampled_from(MESSAGE))
def test_a_further_status_never_takes_the_outcome_back(known: list[str], late: str) -> None:
    """Rank only grows."""
    before = outcomes.fold("message", known)
    after = outcomes.advance("message", before, late)
    assert outcomes.rank("message", after) >= outcomes.rank("message", before)


def test_a_late_sent_does_not_undo_delivered() -> None:
    """The case that everybody gets wrong once."""
    assert outcomes.advance("message", "delivered", "sent") == "delivered"


def test_an_unknown_status_changes_nothing() -> None:
    """Twilio may add one tomorrow."""
    assert outcomes.advance("message", "sent", "teleported") == "sent"
    assert outcomes.advance("message", "", "teleported") == ""


@pytest.mark.parametrize(
    ("effect", "outcome", "state"),
    [
        ("message", "queued", "accepted"),
        ("message", "sent", "accepted"),
        ("message", "delivered", "settled"),
        ("message", "read", "settled"),
        ("message", "undelivered", "failed"),
        ("message", "canceled", "failed"),
        ("call", "answered", "accepted"),
        ("call", "completed", "settled"),
        ("call", "no-answer", "failed"),
    ],
)
def test_an_outcome_decides_the_state(effect: str, outcome: str, state: str) -> None:
    """What is final is settled or failed, the rest is accepted."""
    assert outcomes.state_for(effect, outcome) == state
    assert outcomes.is_final(effect, outcome) is (state != "accepted")


def test_in_progress_is_answered() -> None:
    """Twilio's callback says `in-progress` for the event that it calls `answered`."""
    assert outcomes.normal_status(" In-Progress ") == "answered"
