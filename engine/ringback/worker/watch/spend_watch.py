"""Spend watch: texts and calls that take so much more than usual that somebody should know.

The busiest of the last two spans of five minutes is held against the busiest one of the week
before. Of all sets that stand out the narrowest is named that explains most of the excess. What
only moves from one rule or sender to another is none: all together must have risen, too.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ringback.config import Settings
from ringback.rules.language.numbers import number_text
from ringback.runtime import iso
from ringback.store.deliveries.spend_counts import (
    MINUTES,
    SEGMENTS,
    SPAN_MINUTES,
    Sample,
    SpendKey,
    span_of,
)
from ringback.store.interface import Journal

SPEND = "delivery:spend:"
WEEK, DAY = timedelta(days=7), timedelta(days=1)
KEPT = timedelta(days=8)
GAP = timedelta(minutes=10)
"""The week ends so long before now: what has just begun is not usual yet."""
SPAN = timedelta(minutes=SPAN_MINUTES)
WEIGHT = {SEGMENTS: 1, MINUTES: 2}
"""A minute of a call costs about as much as two segments of a text."""
_FIRST = {"all": 0, "sender": 1, "country": 2, "rule": 3}
"""Of two sets that rise by as much the one is named which is most easily changed."""
IN_ALL = 1.2
"""All together must take so many times the most of the week before."""
MOST_OF_IT = 0.8
AGAIN = 2 / 3
"""So much of the bound is beyond it still, for what has an incident open."""

Spans = Mapping[SpendKey, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Excess:
    """A set that takes more than usual: how much in one span, and the most of the week before.
    `mostly` is the rule that asked for most of what is too much, empty when no single one did."""

    key: SpendKey
    number: int
    usual: int
    mostly: str = ""

    @property
    def more(self) -> int:
        """By how much it is more, in segments."""
        return (self.number - self.usual) * WEIGHT[self.key.measure]


@dataclass(slots=True)
class SpendWatch:
    """Looks at what is spent."""

    journal: Journal
    settings: Settings
    _peaks: Mapping[SpendKey, int] = field(default_factory=dict)

    async def learn(self, now: datetime) -> None:
        """See anew what is usual, and let go of what is older."""
        spending = self.journal.spending
        week, until = span_of(iso(now - WEEK)), span_of(iso(now - GAP))
        self._peaks = await spending.peaks(week, span_of(iso(now - DAY)), until)
        await spending.forget(span_of(iso(now - KEPT)))

    async def found(
        self, now: datetime, known: Collection[str]
    ) -> list[tuple[str, str, dict[str, str], int]]:
        """What stands out, one at most; `known` are the keys of incidents that are open or about to
        be. Each has the key of its incident, the text, the figures, and how large it is."""
        since = span_of(iso(now - SPAN))
        lately = await self.journal.spending.between(since, span_of(iso(now)))
        name = next((key for key in known if key.startswith(SPEND)), "")
        settings = self.settings
        best = excess(
            lately, self._peaks, settings.spend_rise, settings.spend_minimum,
            spend_key(name) if name else None,
        )  # fmt: skip
        if best is None:
            return []
        sample = await self.journal.spending.sample(best.key, since)
        text = _text(best, self._price(best, sample))
        return [(spend_name(best.key), text, _details(best, sample), best.number)]

    def _price(self, best: Excess, sample: Sample) -> str:
        """What the excess of a span costs, about, in words; empty when no price is known."""
        if best.key.measure != SEGMENTS:
            return ""
        if sample.price is not None:
            return f"{float(sample.price) * best.number:.2f} {sample.unit}"
        price = self.settings.segment_price
        return number_text(round(price * best.number, 2)) if price else ""


def spend_name(key: SpendKey) -> str:
    """The key of the incident of a set."""
    calls = "calls" if key.measure == MINUTES else ""
    return SPEND + ":".join(filter(None, (calls, key.by, key.of)))


def spend_key(name: str) -> SpendKey:
    """The set that the key of an incident names."""
    rest = name.removeprefix(SPEND)
    measure = MINUTES if rest.startswith("calls:") else SEGMENTS
    by, _, of = rest.removeprefix("calls:").partition(":")
    return SpendKey(measure, by, of)


def excess(
    lately: Spans, peaks: Mapping[SpendKey, int], rise: float, minimum: int,
    known: SpendKey | None = None,
) -> Excess | None:  # fmt: skip
    """What takes too much, None when nothing does. What has an incident is `known`: that one is
    looked at alone, and until it has come well below the bound."""
    if not rise or not peaks:
        return None
    found = []
    for key, spans in lately.items():
        each = Excess(key, max(spans.values()), peaks.get(key, 0))
        bound = max(rise * each.usual, minimum / WEIGHT[key.measure])
        if key == known and each.number >= AGAIN * bound:
            return Excess(key, each.number, each.usual, _mostly(each, lately, peaks))
        if known is None and each.number >= bound and _rises(key.measure, lately, peaks):
            found.append(each)
    if not found:
        return None
    most = max(each.more for each in found)
    large = [each for each in found if each.more >= MOST_OF_IT * most]
    best = max(
        large, key=lambda each: (each.number / max(each.usual, 1), _FIRST[each.key.by], each.key)
    )
    return Excess(best.key, best.number, best.usual, _mostly(best, lately, peaks))


def _rises(measure: str, lately: Spans, peaks: Mapping[SpendKey, int]) -> bool:
    whole = SpendKey(measure, "all", "")
    return max(lately[whole].values()) >= IN_ALL * peaks.get(whole, 0)


def _mostly(best: Excess, lately: Spans, peaks: Mapping[SpendKey, int]) -> str:
    for key, spans in lately.items():
        if key.measure == best.key.measure and key.by == "rule" and best.key.by != "rule":
            each = Excess(key, max(spans.values()), peaks.get(key, 0))
            if each.more >= MOST_OF_IT * best.more:
                return key.of
    return ""


def _text(best: Excess, price: str) -> str:
    key = best.key
    words = {"sender": "from", "rule": "of rule", "country": "to"}
    where = f" {words[key.by]} {key.of}" if key.by in words else ""
    what = "segments of texts" if key.measure == SEGMENTS else "minutes of calls"
    size = f"{best.number} {what}{where} within {SPAN_MINUTES} min"
    usual = f"{best.usual} at most in the week before" if best.usual else "none in the week before"
    whose = f"; most were asked for by rule {best.mostly}" if best.mostly else ""
    cost = f", about {price}" if price else ""
    return f"{size}{cost}, {usual}{whose}. {_mend(best)}"


def _mend(best: Excess) -> str:
    rule = best.mostly or (best.key.of if best.key.by == "rule" else "")
    stop = f"put rule {rule} to `state: draft`" if rule else "`ringback pause` holds all sending"
    return (
        "Look whether a form or a loop of yours asks for them: `ringback spend --since 1h`; "
        f"{stop}, and set a budget."
    )


def _details(best: Excess, sample: Sample) -> dict[str, str]:
    return {
        "Cause": "spend", "By": best.key.by, "Of": best.key.of, "Measure": best.key.measure,
        "Number": str(best.number), "Usual": str(best.usual), "Rule": best.mostly, "Fault": "ours",
        "Examples": " ".join(sample.sids), "Mend": _mend(best),
    }  # fmt: skip
