"""Incidents of spending: the narrowest set that explains one, and none where all is as usual."""

from collections.abc import Mapping

import pytest

from ringback.store.deliveries.spend_counts import MINUTES, SEGMENTS, SpendKey, span_of
from ringback.worker.watch.spend_watch import Excess, excess, spend_key, spend_name

SETS = {"all": 600, "sender:+15550001111": 300, "sender:+15550001112": 300, "rule:code": 200,
        "rule:news": 400, "country:US": 540, "country:DE": 60}  # fmt: skip


def counts(measure: str = SEGMENTS, **more: int) -> dict[SpendKey, int]:
    """What the sets take, with so much more in some of them."""
    named = {name.replace("_", ":", 1): number for name, number in more.items()}
    found = {}
    for name in {**SETS, **named}:
        by, _, of = name.partition(":")
        found[SpendKey(measure, by, of)] = SETS.get(name, 0) + named.get(name, 0)
    return found


def found(
    lately: Mapping[SpendKey, int], known: SpendKey | None = None, rise: float = 3.0
) -> Excess | None:
    """What stands out against a usual week, of at least 200 segments."""
    measure = next(iter(lately)).measure
    spans = {key: {"2026-03-04T10:00": number} for key, number in lately.items()}
    return excess(spans, counts(measure), rise, 200, known)


def test_the_busiest_minutes_of_the_week_are_usual() -> None:
    assert found(counts()) is None


def test_texts_to_a_country_are_named_with_their_rule() -> None:
    best = found(counts(all=900, rule_code=900, country_DE=900, country_US=0))
    assert best == Excess(SpendKey(SEGMENTS, "country", "DE"), 960, 60, "code")


def test_a_rule_whose_texts_became_long_is_named() -> None:
    best = found(counts(all=1200, rule_code=1200, country_US=1100, country_DE=100))
    assert best == Excess(SpendKey(SEGMENTS, "rule", "code"), 1400, 200)


def test_a_country_to_which_nothing_ever_went_is_named() -> None:
    best = found(counts(all=400, rule_news=400, country_LV=400))
    assert best is not None
    assert best.key == SpendKey(SEGMENTS, "country", "LV")


def test_a_rule_with_another_name_takes_no_more_than_before() -> None:
    lately = counts(rule_renamed=400) | {SpendKey(SEGMENTS, "rule", "news"): 0}
    assert found(lately) is None


def test_minutes_of_calls_stand_for_themselves_and_count_double() -> None:
    best = found(counts(MINUTES, all=1300, country_DE=1300))
    assert best == Excess(SpendKey(MINUTES, "country", "DE"), 1360, 60)
    few = {SpendKey(MINUTES, "all", ""): {"": 101}}
    usual = {SpendKey(MINUTES, "all", ""): 10}
    assert excess(few, usual, 3.0, 200) is not None
    assert excess(few, usual, 3.0, 204) is None


@pytest.mark.parametrize(("more", "still"), [(100, True), (20, False)])
def test_what_is_known_is_over_well_below_the_bound(more: int, still: bool) -> None:
    known = SpendKey(SEGMENTS, "country", "DE")
    best = found(counts(all=more, country_DE=more), known)
    assert (best is not None) is still


def test_nothing_is_said_before_a_day_is_known_nor_when_it_is_off() -> None:
    lately = counts(all=9000, country_DE=9000)
    assert excess({key: {"": number} for key, number in lately.items()}, {}, 3.0, 200) is None
    assert found(lately, rise=0.0) is None


def test_a_key_says_what_is_counted() -> None:
    for key in (SpendKey(SEGMENTS, "all", ""), SpendKey(MINUTES, "rule", "a:b")):
        assert spend_key(spend_name(key)) == key
    assert spend_name(SpendKey(MINUTES, "country", "DE")) == "delivery:spend:calls:country:DE"


def test_spans_are_of_five_minutes() -> None:
    assert span_of("2026-03-04T17:09:59.999Z") == "2026-03-04T17:05"
