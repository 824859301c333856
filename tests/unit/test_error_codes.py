"""The table of Twilio's error codes, and what stands in for a code that is not in it."""

from ringback.twilio.error_codes import CLASSES, error_class, explain, listed


def test_the_classes_that_rules_lean_on() -> None:
    assert error_class(0) == ""
    assert error_class(30003) == "recipient_unreachable"
    assert error_class(30007) == "carrier_filtered"
    assert error_class(21610) == "recipient_opted_out"
    assert error_class(20429) == "rate_limited"
    assert error_class(987654) == "unknown"


def test_an_unlisted_code_falls_back_to_its_family() -> None:
    codes = {entry.code for entry in listed()}
    assert not codes & {11999, 30999, 21999}
    assert (explain(11999).error_class, explain(11999).retryable) == ("webhook_fault", "no")
    assert (explain(30999).error_class, explain(30999).retryable) == ("unknown", "later")
    assert (explain(21999).error_class, explain(21999).retryable) == ("unknown", "no")
    assert "21999" in explain(21999).remedy


def test_every_row_is_whole_and_of_a_known_class() -> None:
    rows = listed()
    assert len(rows) > 300
    assert [row.code for row in rows] == sorted({row.code for row in rows})
    for row in rows:
        assert row.error_class in CLASSES
        assert row.retryable in ("yes", "later", "no")
        assert row.title
        assert row.remedy
        assert row.url.endswith(str(row.code))
    assert {row.error_class for row in rows} == set(CLASSES)
