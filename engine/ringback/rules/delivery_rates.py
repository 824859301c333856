"""Delivery rates: texts of ours that came to an end, counted once each by their final state. Pure.

They are counted by minute under what they have in common: all, the sender (a number or a messaging
service), the rule, the country and the line type of the recipient, the class of the error. A span
covers the minutes that it touches. https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from ringback.error_codes import CLASSES, error_class
from ringback.events import Event, person
from ringback.outcomes import MESSAGE, normal_status
from ringback.rules.language import phones
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.number_blocks import country_of, line_type_of
from ringback.rules.retry_policy import FailedText
from ringback.rules.timing.durations import parse_duration
from ringback.runtime import iso

LEAST = 20
"""Of fewer texts than this no rate is taken, unless another minimum is named."""
SHORTEST, LONGEST, WEEK = 60.0, 31 * 86_400.0, 7 * 86_400.0
LATEST_PENDING = 86_400.0
"""A text that has no final state by then will not get one: some networks report none."""
NO_CODE = "unknown"
"""The class of a failure without a code."""
_OVER = MESSAGE.good | MESSAGE.bad
_ENDS = _OVER - {"canceled"}


@dataclass(frozen=True, slots=True)
class Ended:
    """How many texts came to an end: delivered or read, and failed or undelivered."""

    delivered: int = 0
    failed: int = 0

    @property
    def all(self) -> int:
        """Both together."""
        return self.delivered + self.failed

    def __add__(self, other: "Ended") -> "Ended":
        return Ended(self.delivered + other.delivered, self.failed + other.failed)

    def share(self, part: int, least: int) -> float:
        """The share of a part, 0.0 when fewer than `least` texts have ended."""
        return part / self.all if self.all and self.all >= least else 0.0


class Key(NamedTuple):
    """What texts are counted by (`all`, `sender`, `rule`, `country`, `line_type`, `class`), and its
    value."""

    by: str
    of: str = ""


ALL = Key("all")


@dataclass(frozen=True, slots=True)
class Failure:
    """A text that failed: its SID, or the id of the action that Twilio did not accept."""

    sid: str
    sender: str
    service: str
    rule: str
    country: str
    error_class: str
    code: int

    def under(self) -> tuple[Key, ...]:
        """The sets that it is in."""
        named = (("sender", self.sender), ("sender", self.service), ("rule", self.rule),
                 ("country", self.country))  # fmt: skip
        return (ALL, *(Key(by, of) for by, of in named if of))


@dataclass(frozen=True, slots=True)
class TextEnd:
    """A text of ours that came to an end. `service` is the messaging service that it left through,
    and `rule` the one that asked for it, empty without one."""

    sid: str
    at: datetime
    delivered: bool
    error_class: str
    sender: str
    service: str
    rule: str
    country: str
    line_type: str

    @property
    def minute(self) -> str:
        """The minute in which it ended."""
        return minute_of(self.at)

    @property
    def count(self) -> Ended:
        """Itself, as a count of one."""
        return Ended(1, 0) if self.delivered else Ended(0, 1)

    def counted_under(self) -> Iterator[Key]:
        """What it is counted under."""
        yield ALL
        named = (("sender", self.sender), ("sender", self.service), ("rule", self.rule),
                 ("country", self.country), ("line_type", self.line_type),
                 ("class", self.error_class))  # fmt: skip
        yield from (Key(by, of) for by, of in named if of)


def minute_of(moment: datetime) -> str:
    """The minute of a moment, as it is stored: 2026-03-04T17:00."""
    return iso(moment)[:16]


def first_minute(now: datetime, seconds: float) -> str:
    """The first minute of a span that ends now."""
    return minute_of(now - timedelta(seconds=seconds))


def is_news(event: Event) -> bool:
    """Whether an event tells how a text of ours stands, and can be believed."""
    return (
        event.type.startswith("message.")
        and event.type != "message.received"
        and bool(event.subject_sid)
        and event.trust != "claimed"
        and event.source not in ("internal", "replay")
    )


def is_over(event: Event) -> bool:
    """Whether nothing more is to be expected of the text that an event is about."""
    return normal_status(event.status) in _OVER


def likeness(event: Event, rule: str) -> tuple[object, ...] | None:
    """What ends that events report have in common where they are counted alike; None for an event
    that reports none. Making each end would cost three times as much as counting it."""
    status = normal_status(event.status)
    if status not in _ENDS:
        return None
    get, theirs = event.fields.get, event.recipient
    return (
        minute_of(event.received_at), status, event.error_code, event.sender,
        get("MessagingServiceSid", ""), rule, country_of(theirs), line_type_of(theirs),
    )  # fmt: skip


def end_of(event: Event, rule: str = "") -> TextEnd | None:
    """The end that a status callback reports; None when it reports none. What was cancelled before
    it was sent has no end: nobody tried to deliver it."""
    status = normal_status(event.status)
    if status not in _ENDS or not is_news(event):
        return None
    service = event.fields.get("MessagingServiceSid", "")
    return text_end(
        event.subject_sid, event.received_at, status, event.error_code,
        (event.sender, event.recipient), service=service, rule=rule,
    )  # fmt: skip


def text_end(
    sid: str, at: datetime, status: str, code: int, between: tuple[str, str],
    *, service: str = "", rule: str = "",
) -> TextEnd:  # fmt: skip
    """The end of a text, from its final status, its error code, and our address and theirs."""
    ours, theirs = between
    delivered = status in MESSAGE.good
    named = "" if delivered else error_class(code) or NO_CODE
    if ours.startswith("MG"):
        ours, service = "", ours
    return TextEnd(
        sid, at, delivered, named, person(ours), service, rule,
        country_of(theirs), line_type_of(theirs),
    )  # fmt: skip


class Counts:
    """Ended texts of a process, by minute."""

    def __init__(self) -> None:
        self._counts: dict[Key, dict[str, Ended]] = defaultdict(dict)

    def add(self, end: TextEnd, before: TextEnd | None = None) -> None:
        """One more end, in place of the one that was taken for it `before`."""
        for change in changes(end, before):
            minutes = self._counts[change.key]
            minutes[change.minute] = minutes.get(change.minute, Ended()) + change.ended

    def ended(self, by: str, of: str, minute: str) -> Ended:
        """How many ended from that minute on."""
        minutes = self._counts.get(Key(by, of), {})
        total = Ended()
        for at in reversed(minutes):  # newest first, as they came
            if at >= minute:
                total += minutes[at]
        return total


class Change(NamedTuple):
    """A change of what is counted in a minute under a key."""

    key: Key
    minute: str
    ended: Ended


def changes(end: TextEnd, before: TextEnd | None = None) -> Iterable[Change]:
    """What a new end changes. The one that was counted `before` for the same text stands, unless
    this is a proof of delivery, which outweighs a report of failure."""
    if before is not None:
        if before.delivered or not end.delivered:
            return
        for key in before.counted_under():
            yield Change(key, before.minute, Ended(0, -1))
    for key in end.counted_under():
        yield Change(key, end.minute, end.count)


def held(ends: Iterable[TextEnd]) -> TextEnd | None:
    """Which of the ends that were reported of a text, in their order, is the one that counts."""
    found = list(ends)
    return next((each for each in found if each.delivered), found[0] if found else None)


class DeliveryFacts(Protocol):
    """What may be asked about the delivery of our texts, and of our calls. Spans are `15m`, `1h`,
    `7d`, or a timedelta. At most one of `sender`, `rule`, `country`, `line_type` and `error_class`
    may be named."""

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        """How many came to an end in the last seconds, under a key (`all` and empty for any)."""

    def pending_texts(self, seconds: float, sender: str = "") -> int:
        """How many texts have had no final state for longer than this, of those of the last day."""

    def left(self, seconds: float) -> int:
        """How many people opted out in the last seconds."""

    def segments_taken(self, seconds: float) -> int:
        """How many segments those of our texts took that were asked for in the last seconds and
        have ended."""

    def failed_text(self, action_uid: str) -> FailedText | None:
        """The text of this action, None unless it is one and stands as failed."""

    def placed_call(self, event: Event) -> str:
        """The nonce of the call that an event is about, when a run goes on in it."""
        return ""

    def ended(
        self,
        span: str | timedelta,
        *,
        sender: str = "",
        rule: str = "",
        country: str = "",
        line_type: str = "",
    ) -> int:
        """How many texts of ours came to an end within the span."""
        return self.ended_texts(*named_key(sender, rule, country, line_type), seconds_of(span)).all

    def failures(
        self, span: str | timedelta, *, sender: str = "", rule: str = "", country: str = "",
        line_type: str = "", error_class: str = "",
    ) -> int:  # fmt: skip
        """How many texts of ours failed or were undelivered within the span."""
        key = named_key(sender, rule, country, line_type, error_class)
        return self.ended_texts(*key, seconds_of(span)).failed

    def failure_rate(
        self, span: str | timedelta, *, sender: str = "", rule: str = "", country: str = "",
        line_type: str = "", error_class: str = "", minimum: int = LEAST,
    ) -> float:  # fmt: skip
        """The share of texts that failed, 0.0 to 1.0, of those that came to an end; with an
        `error_class` the share that failed of it. 0.0 of fewer texts than the minimum."""
        key, seconds = named_key(sender, rule, country, line_type, error_class), seconds_of(span)
        ended = self.ended_texts(*key, seconds)
        if key.by != "class":
            return ended.share(ended.failed, minimum)
        return self.ended_texts(*ALL, seconds).share(ended.failed, minimum)

    def delivered_rate(
        self, span: str | timedelta, *, sender: str = "", rule: str = "", country: str = "",
        line_type: str = "", minimum: int = LEAST,
    ) -> float:  # fmt: skip
        """The share of texts that were delivered: 1.0 without the failure rate, and so 1.0 of
        fewer texts than the minimum."""
        return 1.0 - self.failure_rate(
            span, sender=sender, rule=rule, country=country, line_type=line_type, minimum=minimum
        )

    def pending(self, span: str | timedelta, *, sender: str = "") -> int:
        """How many texts of the last day have had no final state for longer than the span."""
        return self.pending_texts(seconds_of(span, pending=True), person(sender))

    def opt_outs(self, span: str | timedelta) -> int:
        """How many people opted out within the span."""
        return self.left(seconds_of(span))

    def segments(self, span: str | timedelta) -> int:
        """How many segments our texts took that were asked for within the span, of a week at most,
        and have ended."""
        return self.segments_taken(seconds_of(span, longest=WEEK))


def named_key(
    sender: str = "", rule: str = "", country: str = "", line_type: str = "", error_class: str = ""
) -> Key:
    """The key of what was named. Raises ValueError for two names, and for one that cannot be."""
    given = {"sender": sender, "rule": rule, "country": country, "line_type": line_type,
             "class": error_class}  # fmt: skip
    named = {by: of for by, of in given.items() if of}
    if len(named) > 1:
        raise ValueError(f"texts are counted by one of {', '.join(named)} at a time")
    for by, of in named.items():
        wrong, hint = wrong_value(by, of)
        if wrong:
            raise ValueError(f"{wrong}; {hint}" if hint else wrong)
        return Key(by, person(of) if by == "sender" else of.upper() if by == "country" else of)
    return ALL


def wrong_value(by: str, of: str) -> tuple[str, str]:
    """Why nothing can be counted under this, and the mend; empty texts when it can."""
    if by == "class" and of not in CLASSES:
        hint = did_you_mean(of, CLASSES) or f"known: {', '.join(CLASSES)}"
        return f"there is no error class {of!r}", hint
    if by == "line_type" and of not in phones.LINE_TYPES:
        hint = did_you_mean(of, phones.LINE_TYPES) or f"known: {', '.join(phones.LINE_TYPES)}"
        return f"there is no line type {of!r}", hint
    if by == "country" and of.upper() not in phones.COUNTRIES:
        return f"there is no country {of!r}", "write two letters, like 'US' or country(event.to)"
    if by == "sender" and ("/" in of or phones.misspelt(of)):
        return f"{of!r} is no sender", "write '+15551234567', 'whatsapp:+…' or 'MG…'"
    return "", ""


def seconds_of(span: str | timedelta, *, pending: bool = False, longest: float = LONGEST) -> float:
    """The seconds of a span over which texts can be counted. Raises ValueError."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else parse_duration(span)
    longest = LATEST_PENDING if pending else longest
    day = "24h" if pending else f"{longest / 86_400:.0f}d"
    if not SHORTEST <= seconds <= longest:
        raise ValueError(
            f"texts are counted by minutes: a span of {span} is not within 1m to {day}"
        )
    return seconds
