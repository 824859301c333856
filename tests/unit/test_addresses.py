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
        ("{send: {to: 'sip:bob@example.com', body: x}}", "an address for calls"),
        ("{send: {to: '', body: x}}", "is empty"),
        ("{send: {to: ['+14155550310', ' '], body: x}}", "is empty"),
        ("{call: {to: '', say: x}}", "is empty"),
        ("{send: {to: 'client:bob', body: x}}", "an address for calls"),
        ("{send: {to: ['+14155550310', 'SIPS:bob@example.com'], body: x}}", "for calls"),
        ("{send: {to: '+14155550310', body: x, from: 'client:desk'}}", "client:desk is an"),
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
        "{call: {to: 'sip:bob@example.com', say: x, from: '+12125550101'}}",
        "{call: {to: 'client:bob', say: x, from: 'client:desk'}}",
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


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("+1 (0) 415 555 0310", "+14155550310"),
        ("+1(0)4155550310", "+14155550310"),
        ("+49 (0) 30 901820", "+4930901820"),
        ("(+44) (0)20 7183 8750", "+442071838750"),
        ("+39 (0)6 6982 1234", "+390669821234"),  # there the zero belongs to the number
        ("++14155550310", "+14155550310"),
        ("(+1) 415 555 0310", "+14155550310"),
        ("[415] 555-0310", "+14155550310"),
        ("1-800-FLOWERS", "+18003569377"),
        ("+1-800-flowers", "+18003569377"),
        ("whatsapp:1-800-FLOWERS", "whatsapp:+18003569377"),
        ("+1-415_555~0310", "+14155550310"),
        ("tel:+1-415-555-0310;ext=12", "+14155550310"),
        ("tel://+14155550310", "+14155550310"),
        ("sms:+14155550310", "+14155550310"),
        ("callto:4155550310", "+14155550310"),
        ("p:+14155550310", "+14155550310"),
        ("+14155550310,,12#", "+14155550310"),
        ("+14155550310;12", "+14155550310"),
        ("24-7 Help", "24-7 Help"),
        ("client:1-800-FLOWERS", "client:1-800-FLOWERS"),
    ],
)
def test_a_number_is_read_as_its_spelling_means(written: str, meant: str) -> None:
    """Brackets, a zero for home, letters, links, exported tables, extensions."""
    assert addresses.spelt("+12125550101", written).recipient == meant


@pytest.mark.parametrize(
    ("written", "mend"),
    [
        ("+14155550310, +14155550311", "write a list: +14155550310, +14155550311"),
        ("+14155550310/+14155550311", "write a list: +14155550310, +14155550311"),
        ("4155550310 or 4155550311", "write a list: +14155550310, +14155550311"),
        ("4155550310 4155550311", "with + and the code of its country"),
        ("Bob <+14155550310>", "write +14155550310"),
        ("'+14155550310", "write +14155550310"),
        ("+1 415 555 0310 (Bob)", "write +14155550310"),
        ("+1415555031O", "in digits"),
        ("+1415*5550310", "in digits"),
        ("+abc", "in digits"),
        ("+0014155550310", "with + and the code of its country"),
    ],
)
def test_what_is_no_number_is_refused_with_the_mend(
    tmp_path: Path, written: str, mend: str
) -> None:
    """By the gate, and by `check` where it is written out."""
    pair = addresses.spelt("+12125550101", written)
    assert mend in addresses.unreachable(*pair)
    text = written.replace("'", "''")
    (said,) = problems(
        tmp_path, sends(f"{{send: {{to: '{text}', body: x, from: '+12125550101'}}}}")
    )
    assert mend in said


@pytest.mark.parametrize("sender", ["72000", "ACME", "whatsapp:+12125550101", "MG" + "1" * 32])
def test_a_default_sender_that_is_no_number_stays(tmp_path: Path, sender: str) -> None:
    assert Settings.load(tmp_path, {"RINGBACK_SENDER": sender}).sender == sender


@pytest.mark.parametrize("sender", ["2125550101", "(212) 555-0101"])
def test_a_default_sender_without_its_country_is_refused_by_name(
    tmp_path: Path, sender: str
) -> None:
    with pytest.raises(ConfigError, match=r"sender is .* which does not name its country"):
        Settings.load(tmp_path, {"RINGBACK_SENDER": sender})


@pytest.mark.parametrize(
    "written",
    ["1-800-FLOWERS", "+1-800-FLOWERS", "+1 800 FLOWERS", "1 800 FLOWERS", "(800) FLOWERS",
     "1 (800) FLOWERS", "1.800.FLOWERS", "800-FLOWERS", "+1 800 FLO WERS", "1-800-356-9377"],
)  # fmt: skip
def test_letters_for_keys_are_digits(written: str) -> None:
    assert addresses.spelt("+14155550199", written).recipient == "+18003569377"


@pytest.mark.parametrize(
    "name", ["ACME", "365 ACME", "24 7 HELP", "800 FLOWERS", "555 0100 home", "1 800 CALL US NOW"]
)
def test_a_name_and_a_number_with_a_word_beside_it_are_not_read_as_keys(name: str) -> None:
    assert addresses.spelt(name, "+14155550100").sender == name
    assert addresses.unreachable(*addresses.spelt("+14155550199", name))


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("+1 (0) 415 555 0100", ""),
        ("+1 0415 555 0100", "write +14155550100"),
        ("+1 0 415 555 0100", "write +14155550100"),
        ("+10 4155550100", "write +14155550100"),
        ("+1 0155", "behind +1 stand ten digits, the first of them 2 to 9"),
        ("whatsapp:+104155550100", "write whatsapp:+14155550100"),
    ],
)
def test_a_zero_behind_the_code_of_north_america_is_named(written: str, right: str) -> None:
    """A literal by `check`, a value by the gate; in brackets it is left away."""
    sender = "whatsapp:+14155550199" if ":" in written else "+14155550199"
    given = addresses.spelt(sender, written)
    assert addresses.unreachable(*given).endswith(right)
    assert addresses.bad_number(written, "US").endswith(right)
    if not right:
        assert given.recipient == "+14155550100"


@pytest.mark.parametrize("to", ["(415) nobody", "my number", "a@example.org", "12 ab 34 cd 56 ef"])
def test_what_is_no_address_reaches_nobody(to: str) -> None:
    assert addresses.unreachable("+14155550199", to)


@pytest.mark.parametrize("to", ["911", "12345", "client:ann", "CH" + "0" * 32, "messenger:12"])
def test_what_may_be_an_address_is_left_to_twilio(to: str) -> None:
    assert not addresses.unreachable(
        "messenger:1" if "messenger" in to else "+14155550199", to, calls=True
    )
