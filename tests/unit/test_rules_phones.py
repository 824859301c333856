"""Facts about phone numbers."""

from random import Random

import phonenumbers
import pytest

from ringback.events import spellings
from ringback.rules.language import phones


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("+15551000001", "+15551000001"),
        ("+1 (555) 100-0001", "+15551000001"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+39 06 6982/1234", "+390669821234"),
        ("whatsapp:+1 555 100 0001", "whatsapp:+15551000001"),
        ("WhatsApp:+15551000001", "whatsapp:+15551000001"),
        ("WHATSAPP: +1 415 555 0310", "whatsapp:+14155550310"),
        ("client:+15551000001", "client:+15551000001"),
        ("5551000001", "5551000001"),
        ("72000", "72000"),
        ("+", "+"),
        ("", ""),
        ("client:anna", "client:anna"),
        ("sip:+15551000001@example.org", "sip:+15551000001@example.org"),
        ("+1555CALLNOW", "+1555CALLNOW"),
        ("+4402071838750", "+442071838750"),
        ("+2250708123456", "+2250708123456"),
        ("+12055550310", "+12055550310"),
        ("tel:+1-415-555-0310", "+14155550310"),
        ("\u202a+1 (415) 555\u20110310\u202c", "+14155550310"),
        (
            "\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff13\uff11\uff10",
            "+14155550310",
        ),
        ("+1 415 555 0310 ext. 12", "+14155550310"),
        ("messenger:5551000001", "messenger:5551000001"),
    ],
)
def test_a_number_is_written_in_one_way(written: str, plain: str) -> None:
    assert phones.plain(written) == plain


@pytest.mark.parametrize(
    ("written", "region", "plain"),
    [
        ("14155550310", "US", "+14155550310"),
        ("(415) 555-0310", "US", "+14155550310"),
        ("415.555.0310", "CA", "+14155550310"),
        ("5551000001", "US", "+15551000001"),
        ("whatsapp:(415) 555-0310", "US", "whatsapp:+14155550310"),
        ("2025550142", "US", "+12025550142"),
        ("2025550142", "GB", "+442025550142"),
        ("020 7183 8750", "GB", "+442071838750"),
        ("442071838750", "GB", "+442071838750"),
        ("0171/1234567", "DE", "+491711234567"),
        ("20123456", "DK", "+4520123456"),
        ("442071838750", "US", "+442071838750"),
        ("00442071838750", "US", "+442071838750"),
        ("011442071838750", "US", "+442071838750"),
        ("14155550310", "GB", "+14155550310"),
        ("5550142", "US", "5550142"),
        ("72000", "US", "72000"),
        ("3M Shop", "US", "3M Shop"),
        ("ACME", "US", "ACME"),
        ("client:4155550310", "US", "client:4155550310"),
        ("sip:5551000001@example.org", "US", "sip:5551000001@example.org"),
        ("7378742833", "US", "7378742833"),
    ],
)
def test_a_number_without_its_country_is_one_of_the_country_beside_it(
    written: str, region: str, plain: str
) -> None:
    assert phones.plain(written, region) == plain


@pytest.mark.parametrize(
    ("written", "home", "mend"),
    [
        ("2025550142", "US", "write +12025550142"),
        ("2025550142", "GB", "write +442025550142"),
        ("2025550142", "", "its country: +12025550142 (US) or +2025550142 (EG)"),
        ("14155550310", "", "write +14155550310"),
        ("442071838750", "", "write +442071838750"),
        ("+1 (415) 555-0310", "", "write +14155550310"),
        ("5550142", "US", "write it with + and the code of its country"),
    ],
)
def test_advice_for_a_number_without_its_plus_knows_the_country(
    written: str, home: str, mend: str
) -> None:
    """2025550142 is in Washington; with a plus alone it would be in Egypt."""
    assert phones.misspelt(written)
    assert phones.mend(written, home).endswith(mend)


@pytest.mark.parametrize(
    "address", ["+14155550310", "72000", "ACME", "whatsapp:+14155550310", "client:anna", "", "MG1"]
)
def test_an_address_as_twilio_writes_it_is_not_misspelt(address: str) -> None:
    assert not phones.misspelt(address)


HIDDEN = [
    "", "+", "anonymous", "Anonymous", "Restricted", "UNAVAILABLE", "No Caller ID",
    "sip:anonymous@anonymous.invalid", "+266696687", "266696687", "+86282452253", "+7378742833",
    "7378742833", "+8656696", "+2562533", "+7748283", "+1266696687", "+10000000000", "0000000000",
]  # fmt: skip
SHOWN = [
    "+14155550310", "+17378742833", "+442071838750", "+8628245225", "whatsapp:+14155550310",
    "72000", "ACME", "client:anna", "client:private", "+15550000000", "whatsapp:+5215512345678",
]  # fmt: skip


@pytest.mark.parametrize("address", HIDDEN)
def test_a_hidden_caller_is_known_as_one_however_it_is_spelt(address: str) -> None:
    """Also on a keypad: 266696687 is ANONYMOUS, 86282452253 UNAVAILABLE."""
    assert phones.is_hidden(address)
    assert not phones.is_phone(address)


@pytest.mark.parametrize("address", SHOWN)
def test_a_caller_who_is_somebody_is_not_hidden(address: str) -> None:
    assert not phones.is_hidden(address)


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("whatsapp:+5215512345678", True),
        ("+5215512345678", True),
        ("+525512345678", True),
        ("whatsapp:+5491123456789", True),
        ("whatsapp:+551187654321", True),
        ("+5225512345678", False),
        ("+52155123456789", False),
        ("+2290197123456", True),
        ("+22997123456", True),
        ("whatsapp:+22997123456", True),
        ("+2299712345", False),
    ],
)
def test_a_person_is_one_in_each_spelling_that_a_network_may_keep(
    address: str, there: bool
) -> None:
    assert phones.is_phone(address) == there
    if not address.startswith("whatsapp:"):
        assert (phones.impossible(address) == "") == there


def test_numbers_are_possible_that_the_library_has_for_possible() -> None:
    """With numbers of every calling code and length, most of which are judged by their length."""
    rng, possible = Random(4), phonenumbers.ValidationResult.IS_POSSIBLE
    for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        for length in range(7 - len(str(code)), 16 - len(str(code))):
            address = f"+{code}" + "".join(rng.choices("0123456789", k=length))
            if phones.is_hidden(address) or address.startswith(("+10", "+11")):
                continue
            twins = [phonenumbers.parse(each) for each in spellings(address)]
            there = possible in map(phonenumbers.is_possible_number_with_reason, twins)
            assert (phones.impossible(address) == "") == there, address
