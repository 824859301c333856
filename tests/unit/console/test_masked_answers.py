"""Masking: no digit of a person's number is left, and nothing else is changed."""

import re
import time
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


TYPED = [
    "9175550166", "917-555-0166", "917.555.0166", "(917) 555-0166", "917 555 0166", "917/555/0166",
    "+1-917-555-0166", "+1 (917) 555-0166", "1 917 555 0166", "917\u00a0555\u20110166", "5550166",
    "\u202a917\u200b5550166\u202c", "020 7183 0166", "0044 20 7183 0166", "01.23.45.01.66",
    "06 12 34 01 66", "98765 50166", "9 1 7 5 5 5 0 1 6 6", "917 - 555 - 0166", "917.5550166",
    "\uff19\uff11\uff17\uff15\uff15\uff15\uff10\uff11\uff16\uff16", "4111 1111 1111 0166",
]  # fmt: skip


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize(
    "text",
    ["{}", "call {}, or {}!", "failed 30003 {} at 2026-03-04 12:30", "{}: 12.50 USD", "a\\n{}\\n"],
)
def test_a_number_that_nobody_knows_is_masked_as_it_was_typed(typed: str, text: str) -> None:
    """In notes, reasons and texts; its last two digits are left, and what stands around it."""
    shown = masked({"note": text.format(typed, typed), "sender": PERSON})["note"]
    mask = r"\W?(\+\d+ )?(\d{3} )?••• ••\d\d ·[a-z]{3}\W?"
    assert re.fullmatch(mask.join(re.escape(part) for part in text.split("{}")), shown), shown


@pytest.mark.parametrize(
    "typed",
    ["Tel9175550166", "9175550166x12", "9175550166 ext 4", "9175550166pls", "tel_9175550166",
     "电话9175550166请回", "Body=%2B9175550166", "9175550166\n9175550167", "98765 30003"],
)  # fmt: skip
def test_words_may_stand_close_to_a_number(typed: str) -> None:
    shown = masked({"note": typed})["note"]
    assert "••• ••" in shown
    assert not re.search(r"\d{5}", shown)


NOT_TYPED = [
    UID, SID, AT, "evt_" + "0" * 26, "CA" + "12345678" * 4, "12345678-1234-1234-1234-123456789012",
    "2026-03-04", "2026-03-04 2026-03-05", "2026-03-04T12:00:00.000000+00:00", "20260304",
    "2026-03-04 12:00:00.123456", "04.03.2026", "3/4/2026", "20260304T120000Z", "12:00:00.123456Z",
    "30003", "30003 30005", "30003/30005", "30003 - 123 texts", "9-17", "9-17 10-18", "1,234,567",
    "1234567.89", "0.0075000", "-122.4194155", "12345.60 USD", "$12 345 678", "1.234.567,89 EUR",
    "1048576 bytes", "1234.567 ms", "192.168.100.200", "192.168.100.200:5432", "10.120.130.0/24",
    "20.71.83.87", "Chrome/120.0.6099.109 Safari/537.36", "a1234567", "ab12345678cd", "x" * 40,
    "3f9c1a7b12345678e2d4", "before=12345678", "555-016", "41 of 1,500 in 24 h", "2026-W10-3",
]  # fmt: skip


@pytest.mark.parametrize("value", NOT_TYPED)
def test_what_only_has_many_digits_stays(value: str) -> None:
    assert masked({"note": value})["note"] == value
    around = f"since {value}, seen"
    if value != "20.71.83.87" and not value.startswith("-"):  # these are numbers within a text
        assert masked({"note": around})["note"] == around


def test_our_own_number_stays_also_as_it_is_written_at_home() -> None:
    pair = {"conversation": f"+442071838751/{PERSON}"}
    for ours in ("020 7183 8751", "+44 20 7183 8751", "2071838751"):
        assert masked({**pair, "note": ours})["note"] == ours
    assert masked({**pair, "note": "020 7183 8752"})["note"] != "020 7183 8752"


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "1  ", "1.", "1,111", "1,", "$1", "$ ", "1-", "30003 ", "a_", "abc_1", "a1", "+1",
     "2026-03-", "1:1", "10.", "(", "1/0.", "z/1.0", "T", "12345678-", "11 "],
)  # fmt: skip
def test_a_long_text_takes_time_in_proportion(piece: str) -> None:
    """Eight times the text takes about eight times as long, and not sixty-four times."""

    def took(size: int) -> float:
        text = (piece * size)[:size]
        began = time.process_time()
        masked({"note": text})
        return time.process_time() - began

    short, long = min(took(2_000) for _ in range(3)), min(took(16_000) for _ in range(2))
    assert long < 32 * short + 0.01


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
