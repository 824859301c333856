"""Causes of failures: one for each, the set that explains most, and nothing on a usual day."""

from ringback.rules.delivery_rates import ALL, Ended, Failure, Key
from ringback.worker.watch.delivery_causes import Cause, Figures, cause_named, causes

ONE, TWO = "+15550001111", "+15550001112"
DAY = {
    ALL: Ended(9600, 400), Key("sender", ONE): Ended(4800, 200),
    Key("sender", TWO): Ended(4800, 200), Key("country", "US"): Ended(9600, 400),
    Key("class", "carrier_filtered"): Ended(0, 30),
    Key("class", "recipient_unreachable"): Ended(0, 300),
}  # fmt: skip


def failed(number: int, code: str, sender: str = ONE, rule: str = "") -> list[Failure]:
    """So many failures of a class."""
    return [Failure(f"SM{code}{n}", sender, "", rule, "US", code, 30007) for n in range(number)]


def found(failures: list[Failure], ended: int = 100, least: int = 20, **day: object) -> list[str]:
    """The names of the causes, of two senders that send as much."""
    half = Ended(ended // 2, 0)
    recent = {ALL: Ended(ended, 0), Key("sender", ONE): half, Key("sender", TWO): half,
              Key("country", "US"): Ended(ended, 0), Key("rule", "news"): half}  # fmt: skip
    return [each.cause.name for each in causes(failures, Figures(recent, day or DAY), least)]  # type: ignore[arg-type]


def test_one_sender_is_one_cause_and_not_all_and_the_country_too() -> None:
    assert found(failed(30, "carrier_filtered")) == [f"sender:{ONE}:carrier_filtered"]


def test_a_class_that_both_senders_have_is_of_all() -> None:
    both = failed(30, "carrier_filtered") + failed(30, "carrier_filtered", TWO)
    assert found(both)[0] in ("all:carrier_filtered", "country:US:carrier_filtered")
    assert len(found(both)) == 1


def test_a_rule_whose_texts_go_out_from_both() -> None:
    both = failed(20, "content_rejected", ONE, "news") + failed(20, "content_rejected", TWO, "news")
    assert found(both) == ["rule:news:content_rejected"]


def test_two_causes_at_once_are_two() -> None:
    both = failed(30, "carrier_filtered") + failed(30, "sender_unregistered", TWO)
    assert sorted(found(both)) == [
        f"sender:{ONE}:carrier_filtered", f"sender:{TWO}:sender_unregistered",
    ]  # fmt: skip


def test_what_is_usual_or_too_little_is_none() -> None:
    assert found(failed(4, "recipient_unreachable")) == []
    assert found(failed(4, "carrier_filtered")) == []  # fewer than five
    assert found(failed(30, "carrier_filtered"), ended=30, least=40) == []
    assert found(failed(30, "recipient_opted_out")) == []


def test_the_own_usual_share_of_a_sender_counts() -> None:
    """A list of old numbers fails by half every day; the same share of another sender does not."""
    day = {
        ALL: Ended(7000, 3000), Key("sender", ONE): Ended(2500, 2500),
        Key("sender", TWO): Ended(4500, 500), Key("class", "invalid_number"): Ended(0, 3000),
    }  # fmt: skip
    half = {
        ALL: Ended(75, 25),
        Key("sender", ONE): Ended(25, 25),
        Key("sender", TWO): Ended(25, 25),
    }
    for sender, expected in ((ONE, 0), (TWO, 1)):
        figures = Figures(half, day)
        assert len(causes(failed(25, "invalid_number", sender), figures, 20)) == expected


def test_names_are_read_again() -> None:
    for cause in (
        Cause(ALL, "account"), Cause(Key("sender", "whatsapp:+1555"), "account"),
        Cause(Key("rule", "shop.order"), "unknown"),
    ):  # fmt: skip
        assert cause_named(cause.name) == cause
    assert cause_named("nonsense") is None
