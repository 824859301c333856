"""Addresses: what `check` says of those that are written out, and the settings."""

from pathlib import Path

import pytest

from ringback.config import Settings
from ringback.errors import ConfigError
from ringback.rules import addresses
from ringback.rules.files.load import load_rules


def problems(folder: Path, rule: str, more: str = "") -> list[str]:
    """What is wrong with one rule."""
    text = f"{more}rules: [{{name: a, {rule}}}]\n"
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return [f"{each.message} {each.hint}".strip() for each in load_rules(folder).problems]


def sends(step: str) -> str:
    """A rule with this step."""
    return f"on: message.received, do: [{step}]"


@pytest.mark.parametrize(
    ("step", "mend"),
    [
        ("{send: {to: '2025550142', body: x}}", "+12025550142 (US) or +2025550142 (EG)"),
        ("{send: {to: '2025550142', body: x, from: '+12125550101'}}", "write +12025550142"),
        ("{send: {to: '020 7183 8750', body: x, from: '+442079460958'}}", "write +442071838750"),
        ("{send: {to: ['+14155550310', (415) 555-0311], body: x}}", "(415) 555-0311"),
        ("{send: {to: 'whatsapp:14155550310', body: x}}", "write whatsapp:+14155550310"),
        ("{send: {to: '+14155550310', body: x, from: '12125550101'}}", "write +12125550101"),
        ("{call: {to: 442071838750, say: x}}", "write +442071838750"),
        ("{send: {to: anonymous, body: x}}", "hides their number"),
        ("{send: {to: '+266696687', body: x}}", "hides their number"),
        ("{send: {to: 'messenger:1234', body: x, from: '+12125550101'}}", "from: messenger:"),
        ("{send: {to: 'whatsapp:+14155550310', body: x, from: ACME}}", "from: whatsapp:"),
        ("{send: {to: '+14155550310', body: x, from: 'messenger:987'}}", "from: +"),
        ("{call: {to: 'whatsapp:+14155550310', say: x, from: ACME}}", "from: whatsapp:"),
    ],
)
def test_an_address_that_nothing_can_reach_is_refused_by_check(
    tmp_path: Path, step: str, mend: str
) -> None:
    (said,) = problems(tmp_path, sends(step))
    assert mend in said


@pytest.mark.parametrize(
    "step",
    [
        "{send: {to: '+1 (415) 555-0310', body: x}}",
        "{send: {to: '72000', body: x, from: '+12125550101'}}",
        "{send: {to: 'whatsapp:+14155550310', body: x, from: '+12125550101'}}",
        "{send: {to: 'whatsapp:+14155550310', body: x}}",
        "{send: {to: '+14155550310', body: x, from: 'whatsapp:+12125550101'}}",
        "{send: {to: '+14155550310', body: x, from: ACME}}",
        "{send: {to: 'messenger:123456789', body: x, from: 'messenger:987'}}",
        "{send: {to: '${{ event.body }}', body: x, from: '${{ event.to }}'}}",
        "{call: {to: 'client:anna', say: x, from: '+12125550101'}}",
        "{call: {to: 'sip:anna@example.org', say: x, from: '+12125550101'}}",
    ],
)
def test_an_address_that_can_be_reached_passes_check(tmp_path: Path, step: str) -> None:
    assert problems(tmp_path, sends(step)) == []


@pytest.mark.parametrize(
    "rule",
    [
        "from: '2025550142', on: message.received, do: [{reply: x}]",
        "from: lists.vip, on: message.received, do: [{reply: x}]",
        "on: message.received, if: event.from in lists.vip, do: [{reply: x}]",
        "on: message.received, if: \"event.from == '2025550142'\", do: [{reply: x}]",
        "on: message.received, if: \"event.to in ['(202) 555-0142']\", do: [{reply: x}]",
        "on: message.received, if: \"event.theirs != '+1 202 555 0142'\", do: [{reply: x}]",
    ],
)
def test_a_number_that_no_event_ever_has_is_refused_where_it_is_compared(
    tmp_path: Path, rule: str
) -> None:
    (said,) = problems(tmp_path, rule, "lists: {vip: ['+14155550310', '2025550142']}\n")
    assert "+12025550142" in said


def test_a_list_of_numbers_compares_by_person_and_other_lists_are_free(tmp_path: Path) -> None:
    rule = "on: message.received, if: event.body in lists.orders, do: [{reply: x}]"
    assert problems(tmp_path, rule, "lists: {orders: ['2025550142', '12345678']}\n") == []
    rule = "from: lists.vip, on: message.received, if: event.from in lists.vip, do: [{reply: x}]"
    assert problems(tmp_path, rule, "lists: {vip: ['+1 (415) 555-0310']}\n") == []
    (loaded,) = load_rules(tmp_path).rules
    assert loaded.from_ == ("+14155550310",)


@pytest.mark.parametrize(
    ("sender", "to", "ours", "pair"),
    [
        ("+12125550101", "4155550310", "", ("+12125550101", "+14155550310")),
        ("", "4155550310", "+12125550101", ("", "+14155550310")),
        ("(212) 555-0101", "4155550310", "+12125550101", ("+12125550101", "+14155550310")),
        ("72000", "020 7183 8750", "+442079460958", ("72000", "+442071838750")),
        ("MG" + "1" * 32, "(415) 555-0310", "+12125550101", ("MG" + "1" * 32, "+14155550310")),
        ("+12125550101", "whatsapp:+14155550310", "",
         ("whatsapp:+12125550101", "whatsapp:+14155550310")),
        ("whatsapp:+12125550101", "4155550310", "", ("+12125550101", "+14155550310")),
        ("whatsapp:+12125550101", "messenger:1", "", ("whatsapp:+12125550101", "messenger:1")),
        ("MG" + "1" * 32, "whatsapp:+14155550310", "",
         ("MG" + "1" * 32, "whatsapp:+14155550310")),
        ("ACME", "whatsapp:+14155550310", "", ("ACME", "whatsapp:+14155550310")),
    ],
)  # fmt: skip
def test_a_pair_is_spelt_by_the_country_and_the_channel_of_its_sides(
    sender: str, to: str, ours: str, pair: tuple[str, str]
) -> None:
    assert addresses.spelt(sender, to, ours) == pair


@pytest.mark.parametrize("sender", ["+1 (212) 555-0101", "+12125550101", " +1-212-555-0101 "])
def test_the_default_sender_is_spelt_in_one_way(tmp_path: Path, sender: str) -> None:
    assert Settings.load(tmp_path, {"RINGBACK_SENDER": sender}).sender == "+12125550101"


@pytest.mark.parametrize("sender", ["72000", "ACME", "whatsapp:+12125550101", "MG" + "1" * 32])
def test_a_default_sender_that_is_no_number_stays(tmp_path: Path, sender: str) -> None:
    assert Settings.load(tmp_path, {"RINGBACK_SENDER": sender}).sender == sender


@pytest.mark.parametrize("sender", ["2125550101", "(212) 555-0101"])
def test_a_default_sender_without_its_country_is_refused_by_name(
    tmp_path: Path, sender: str
) -> None:
    with pytest.raises(ConfigError, match=r"sender is .* which does not name its country"):
        Settings.load(tmp_path, {"RINGBACK_SENDER": sender})
