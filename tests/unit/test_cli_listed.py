"""Empty listings, and events without a webhook in them."""

from ringback.cli.events import listed
from ringback.cli.output import nothing


def test_nothing_fits_is_not_nothing_yet() -> None:
    """With a filter, an empty listing does not claim that nothing has ever happened."""
    assert nothing("actions", None, "", "") == "no actions yet"
    assert nothing("actions", None, "misspelt", "") == "no actions fit that"
    assert nothing("events", "", "", "", "", False) == "no events yet"


def test_an_incident_says_what_is_wrong() -> None:
    """The text of an incident or a watchdog stands where that of a message does."""
    event = {"received_at": "2026-01-01T00:00:00.000Z", "sender": "", "recipient": "",
             "error_code": 0}  # fmt: skip
    row = listed({**event, "fields": {"Key": "held", "Kind": "held", "Text": "nothing is sent"}})
    assert row["text"] == "nothing is sent"
    assert listed({**event, "fields": {"Body": "hi", "Text": "else"}})["text"] == "hi"
