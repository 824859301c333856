"""Likeness of texts: what a gateway may have made of one, and what is another one."""

import pytest

from ringback.twilio.likeness import ALIKE, differing, likeness

OURS = (
    "Your table for four is booked for Friday at 19:30. See the menu at "
    "https://example.org/menu/winter and tell us if you need a high chair. Ça va?"
)


@pytest.mark.parametrize(
    "theirs",
    [
        OURS[:20],
        OURS[:70],
        OURS[:140] + "...",
        OURS[60:],
        OURS + " Reply STOP to unsubscribe.",
        "ACME: " + OURS,
        "[ACME] " + OURS + " Txt STOP 2 end",
        OURS.replace("https://example.org/menu/winter", "https://twil.io/x7Gh"),
        OURS.replace("https://example.org/menu/winter", "twil.io/x7Gh"),
        OURS.replace(" ", "\u00a0").replace(".", ".\n"),
        OURS.upper(),
        OURS.replace("Ça", "?a"),
        OURS.replace("19:30", "**:**"),
        OURS.replace("Friday at 19:30", "Friday, 7:30 pm"),
        "?" * len(OURS),
    ],
)
def test_a_text_that_was_changed_is_like_itself(theirs: str) -> None:
    assert likeness(OURS, theirs) >= ALIKE


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (OURS, "Your code is 481516. It is good for ten minutes; give it to nobody."),
        (OURS, "Your parcel is on its way: https://example.org/track/4711. It comes on Friday."),
        (OURS, "Hello!"),
        ("Yes", "No, sorry"),
        ("👍", "Your code is 481516."),
        ("Thank you, we shall call you back.", "We are closed until Monday."),
    ],
)
def test_another_text_is_not_like_ours(ours: str, theirs: str) -> None:
    assert likeness(ours, theirs) < ALIKE


def test_a_short_answer_with_words_behind_it_is_like_itself() -> None:
    assert likeness("Yes", "Yes Reply STOP to end") >= ALIKE
    assert likeness("👍", "👍 Reply STOP to end") >= ALIKE


def test_what_differs_is_shown_in_one_short_line() -> None:
    ours, theirs = differing(OURS, OURS[:90])
    assert max(len(ours), len(theirs)) <= 42
    assert (ours[0], theirs[0]) == ("…", "…")
    assert ours != theirs
    assert differing("one\ntwo", "one two three") == ("one two", "one two three")
