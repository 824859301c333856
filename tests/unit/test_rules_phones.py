"""Facts about phone numbers."""

import pytest

from ringback.rules.language import phones


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("+15551000001", "+15551000001"),
        ("+1 (555) 100-0001", "+15551000001"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+39 06 6982/1234", "+390669821234"),
        ("whatsapp:+1 555 100 0001", "whatsapp:+15551000001"),
        ("5551000001", "5551000001"),
        ("72000", "72000"),
        ("+", "+"),
        ("", ""),
        ("client:anna", "client:anna"),
        ("sip:+15551000001@example.org", "sip:+15551000001@example.org"),
        ("+1555CALLNOW", "+1555CALLNOW"),
    ],
)
def test_a_number_is_written_in_one_way(written: str, plain: str) -> None:
    assert phones.plain(written) == plain
