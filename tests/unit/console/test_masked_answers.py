"""Masking: no digit of a person's number is left, and nothing else is changed."""

from typing import Any

import pytest

from ringback.console.api.masked_answers import masked, masked_number

PERSON, OTHER, OURS = "+12025550142", "+442071838750", "+15550001111"
UID, SID = "evt_01KJWWNHM0X8PTG8CZ69PFZ2NA", "SM" + "12025550142" + "a" * 21
AT = "2026-05-01T12:00:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        PERSON, f"whatsapp:{PERSON}", "12025550142", "(202) 555-0142", "202.555.0142",
        f"call {PERSON}, or 202 555 0142!", "%2B12025550142", "+1 202-555-0142",
    ],
)  # fmt: skip
def test_a_number_is_masked_however_it_is_spelt(text: str) -> None:
    answer = {"sender": PERSON, "recipient": OURS, "fields": {"Body": text, PERSON: "key"}}
    shown = masked({"items": [answer | {"conversation": f"{OURS}/{PERSON}"}]})
    plain = "".join(each for each in repr(shown) if each.isalnum())
    assert "5550142" not in plain
    assert plain.count(OURS[1:]) == 2


@pytest.mark.parametrize(
    "value", [UID, SID, AT, 12025550142, None, True, "5 texts", "30003", "hours?", "1234.56 USD"]
)
def test_what_is_no_number_of_a_person_stays(value: Any) -> None:
    assert masked({"sender": PERSON, "value": value})["value"] == value


def test_two_people_can_be_told_apart() -> None:
    """By their tags, even where the digits that are shown are the same."""
    alike = "+12025559942"
    assert masked_number(PERSON) != masked_number(alike)
    assert masked_number(PERSON) == masked_number(PERSON)
    assert masked_number(PERSON).startswith("+1 202 ••• ••42 ·")
    assert masked_number(f"whatsapp:{OTHER}").startswith("whatsapp:+44 ")


def test_texts_are_hidden_where_the_settings_say_so() -> None:
    shown = masked({"text": "I am ill", "fields": {"Body": "I am ill"}}, texts=True)
    assert shown == {"text": "(8 letters)", "fields": {"Body": "(8 letters)"}}
