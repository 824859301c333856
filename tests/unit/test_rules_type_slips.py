"""Types of events of which Twilio may have more than we name: what is only a slip of the pen."""

from pathlib import Path

import pytest

from ringback.rules.files.load import load_rules
from ringback.rules.language.complaints import slip_of

RULE = "version: 1\nrules: [{name: a, on: ON, if: IF, do: [{notify: x}]}]\n"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("conference.participant-jion", "conference.participant-join"),
        ("conference.participant-leaves", "conference.participant-leave"),
        ("stream.stream-stoped", "stream.stream-stopped"),
        ("conversation.onmessageadded", "conversation.onMessageAdded"),
        ("siprec.siprec_started", "siprec.siprec-started"),
    ],
)
def test_a_slip_of_the_pen_is_named(tmp_path: Path, written: str, meant: str) -> None:
    path = tmp_path / "rules.yaml"
    for text in (
        RULE.replace("ON", written).replace("IF", "'true'"),
        RULE.replace("ON", "conference.*").replace("IF", f"\"event.type == '{written}'\""),
    ):
        path.write_text(text)
        (problem,) = load_rules([path]).problems
        assert problem.hint == f"did you mean {meant!r}?"


@pytest.mark.parametrize(
    "type_",
    [
        "conference.participant-join", "conference.participant-unmute", "conference.*",
        "conference.participant-promoted", "stream.stream-paused", "pay.payment-card-number",
        "com.twilio.anything.at-all", "conversation.onConversationStateUpdated",
    ],
)  # fmt: skip
def test_what_twilio_may_come_to_send_is_none(tmp_path: Path, type_: str) -> None:
    (tmp_path / "rules.yaml").write_text(RULE.replace("ON", type_).replace("IF", "'true'"))
    assert load_rules([tmp_path / "rules.yaml"]).problems == []


@pytest.mark.parametrize(
    ("word", "slip"),
    [("abcd", ""), ("abdc", "abcd"), ("abc", "abcd"), ("abcde", "abcd"), ("abxd", "abcd"),
     ("bcd", "abcd"), ("ABCD", "abcd"), ("abxy", ""), ("badc", ""), ("", "")],
)  # fmt: skip
def test_one_letter_or_two_that_changed_places_make_a_slip(word: str, slip: str) -> None:
    assert slip_of(word, ["abcd"]) == slip
