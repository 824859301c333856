"""Functions that conditions and texts may call, beside those of CEL itself.

Each is one row: its signature, what it does, an example that is true for the manual's sample
event, and the Python that answers. They ask the past and the event through `scope.current`.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from ringback.keywords import words
from ringback.rules.functions import choices, delivery
from ringback.rules.functions.function import Builtin
from ringback.rules.functions.moments import is_moment, moment
from ringback.rules.language import phones, scope
from ringback.rules.language.numbers import has_number, number
from ringback.rules.timing.calendar import WEEKDAYS, zone
from ringback.rules.timing.durations import parse_duration

WIDEST = 16384
"""The longest text that a function gives back, in letters: longer results are cut."""


_TIME = re.compile(r"\b(?:[01]?\d|2[0-3]):[0-5]\d\b|\b(?:1[0-2]|0?[1-9])\s?[ap]\.?m\b", re.I)
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DATE = re.compile(
    r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}(?:[./]|\b)"
    rf"|\b{_MONTH} \d{{1,2}}\b|\b\d{{1,2}}(?:st|nd|rd|th|\.)? {_MONTH}",
    re.I,
)


@lru_cache(maxsize=2048)
def _phrase(text: str) -> tuple[str, ...]:
    return tuple(words(text))


@lru_cache(maxsize=8)
def said(text: str) -> tuple[str, ...]:
    """The words of a text; conditions ask one thing after the other of the same text."""
    return tuple(words(text))


def needed(wanted: Iterable[str]) -> list[tuple[str, ...]]:
    """The words of each phrase that is looked for; rules look for the same ones all the time."""
    found = (_phrase(text) if len(text) < 100 else tuple(words(text)) for text in wanted)
    return [phrase for phrase in found if phrase]


def keyword(text: str, wanted: Iterable[str]) -> bool:
    """Whether one of these words or phrases stands anywhere in the text, as whole words."""
    have = said(text)
    return any(_within(need, have) for need in needed(wanted))


def begins_with(text: str, wanted: Iterable[str]) -> bool:
    """Whether the text begins with one of these words or phrases."""
    have = said(text)
    return any(have[: len(need)] == need for need in needed(wanted))


def has_all(text: str, wanted: Iterable[str]) -> bool:
    """Whether every one of these words or phrases stands somewhere in the text."""
    have = said(text)
    return all(_within(need, have) for need in needed(wanted))


def is_phrase(text: str, wanted: Iterable[str]) -> bool:
    """Whether the whole text is one of these, but for case, space and punctuation."""
    return said(text) in needed(wanted)


def _within(need: tuple[str, ...], have: tuple[str, ...]) -> bool:
    size = len(need)
    if size == 1:
        return need[0] in have
    return any(have[start : start + size] == need for start in range(len(have) - size + 1))


def replace(text: str, old: str, new: str) -> str:
    """The text with every `old` turned into `new`, cut to the widest."""
    if not old:
        return text
    most = WIDEST // max(1, len(new))
    return text.replace(old, new, most)[:WIDEST]


def join(parts: Iterable[str], between: str) -> str:
    """The parts in one text, none of them cut. Raises ValueError beyond the widest."""
    joined, size = [], -len(between)
    for part in parts:
        joined.append(part)
        size += len(part) + len(between)
        if size > WIDEST:
            raise ValueError(f"the joined text is longer than {WIDEST} letters")
    return between.join(joined)


def part(text: str, start: int, end: int) -> str:
    """The letters from `start` up to but not including `end`, both counted from 0."""
    return text[max(0, start) : max(0, end)]


def local_text(moment: datetime, zone_name: str, pattern: str) -> str:
    """A moment as people there write it, by a strftime pattern of at most 60 letters."""
    if len(pattern) > 60:
        raise ValueError("the pattern is longer than 60 letters")
    return moment.astimezone(zone(zone_name)).strftime(pattern)[:WIDEST]


def _window(span: str | timedelta) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else parse_duration(span)


def replied_within(span: str | timedelta, address: str = "") -> bool:
    """Whether we sent something in the conversation within this span of time."""
    here, window = scope.current(), timedelta(seconds=_window(span))
    last = here.facts.last_outbound(here.conversation_with(address), here.now)
    return last is not None and here.now - last <= window


def heard_within(span: str | timedelta) -> bool:
    """Whether they wrote before this event, within this span of time."""
    here, window = scope.current(), timedelta(seconds=_window(span))
    last = here.facts.last_inbound(here.event.conversation, here.event.received_at)
    return last is not None and here.now - last <= window


def count(pattern: str, span: str, conversation: str = "", error_class: str = "") -> int:
    """How many events of this type happened within the span, here or anywhere."""
    return scope.current().facts.count(pattern, _window(span), conversation, error_class)


def rate(pattern: str, of: str, span: str) -> float:
    """The share of one type of event among another within the span; 0.0 when there is none."""
    facts = scope.current().facts
    whole = facts.count(of, _window(span), "", "")
    return facts.count(pattern, _window(span), "", "") / whole if whole else 0.0


def _field(name: str) -> str:
    return scope.current().event.fields.get(name, "")


def _reply_field(name: str) -> str:
    return scope.current().reply.fields.get(name, "")


def _remembered(name: str) -> str:
    return scope.current().remembered(name)


def _is_open(name: str, moment: datetime) -> bool:
    return scope.current().hours(name).is_open(moment)


def _next_open(name: str, moment: datetime) -> datetime:
    found = scope.current().hours(name).next_open(moment)
    if found is None:
        raise ValueError(f"{name!r} is not open within the next 400 days")
    return found


_B = Builtin
_TEXTS = "list(string)"

BUILTINS: tuple[Builtin, ...] = (
    _B("keyword", ("string", _TEXTS), "bool", True, keyword,
       "One of these words or phrases stands in the text; case, punctuation and Unicode forms do "
       "not matter.",
       "event.body.keyword(['hours', 'opening times'])"),
    _B("keyword", ("string", "string"), "bool", True, lambda text, one: keyword(text, (one,)),
       "The same for one word or phrase.", "event.body.keyword('open today')"),
    _B("begins_with", ("string", _TEXTS), "bool", True, begins_with,
       "The text begins with one of these words or phrases.",
       "event.body.begins_with(['hours', 'open'])"),
    _B("begins_with", ("string", "string"), "bool", True,
       lambda text, one: begins_with(text, (one,)),
       "The same for one word or phrase.", "event.body.begins_with('hours')"),
    _B("has_all", ("string", _TEXTS), "bool", True, has_all,
       "Every one of these words or phrases stands somewhere in the text.",
       "event.body.has_all(['hours', 'today'])"),
    _B("is_phrase", ("string", "string"), "bool", True, lambda text, one: is_phrase(text, (one,)),
       "The whole text is this, but for case, space and punctuation.",
       "' Stop. '.is_phrase('stop')"),
    _B("is_phrase", ("string", _TEXTS), "bool", True, is_phrase,
       "The whole text is one of these.", "'YES!'.is_phrase(['yes', 'yep'])"),
    _B("word", ("string", "int"), "string", True,
       lambda text, index: (words(text)[index : index + 1] or [""])[0] if index >= 0 else "",
       "The word at this place, counted from 0, in small letters; empty when there is none.",
       "event.body.word(0) == 'hours'"),
    _B("word_count", ("string",), "int", True, lambda text: len(words(text)),
       "How many words the text has.", "event.body.word_count() == 5"),
    _B("has_number", ("string",), "bool", True, has_number,
       "There is a number in the text.", "'table for 4'.has_number()"),
    _B("number", ("string",), "double", True, number,
       "The first number in the text as people write it, with `½`, `2 1/2`, `2k` and `1.5M`; of "
       "`9/10` the 9, of `5%` the 5. Exact to 15 figures: take longer ones (of a card, an order) "
       "by `digits_only()`. An error when there is none.",
       "'$1,500.50 or 2k'.number() == 1500.5"),
    _B("digits_only", ("string",), "string", True,
       lambda text: "".join(letter for letter in text if letter.isascii() and letter.isdigit()),
       "The digits of the text and nothing else.", "'(555) 01-23'.digits_only() == '5550123'"),
    _B("has_time", ("string",), "bool", True, lambda text: bool(_TIME.search(text)),
       "A time of day stands in the text: 14:30, 9am, 9 p.m.", "'at 9 pm please'.has_time()"),
    _B("has_date", ("string",), "bool", True, lambda text: bool(_DATE.search(text)),
       "A date stands in the text: 2026-11-20, 20.11., 11/20, Nov 20, 20 November.",
       "'on Nov 20 please'.has_date()"),
    _B("has_email", ("string",), "bool", True,
       lambda text: bool(re.search(r"[^\s@]{1,64}@[^\s@.]{1,64}\.[^\s@]{1,64}", text)),
       "Something like an e-mail address stands in the text.", "'me@example.org'.has_email()"),
    _B("lower", ("string",), "string", True, lambda text: text.lower(),
       "The text in small letters.", "'Yes'.lower() == 'yes'"),
    _B("upper", ("string",), "string", True, lambda text: text.upper(),
       "The text in capitals.", "'Yes'.upper() == 'YES'"),
    _B("trim", ("string",), "string", True, lambda text: text.strip(),
       "The text without space at its ends.", "' yes '.trim() == 'yes'"),
    _B("replace", ("string", "string", "string"), "string", True, replace,
       "The text with each of the first turned into the second.",
       "'a-b'.replace('-', ' ') == 'a b'"),
    _B("part", ("string", "int", "int"), "string", True, part,
       "The letters from one place up to another, counted from 0.",
       "'abcdef'.part(0, 3) == 'abc'"),
    _B("split", ("string", "string"), _TEXTS, True,
       lambda text, at: text.split(at, 999) if at else [text],
       "The pieces of the text between each of these.", "'a,b'.split(',') == ['a', 'b']"),
    _B("join", (_TEXTS, "string"), "string", True, join,
       "The texts of a list in one, with this between.", "['a', 'b'].join(', ') == 'a, b'"),
    _B("or_else", ("string", "string"), "string", True, lambda text, other: text or other,
       "The text, or the other one when it is empty.", "''.or_else('friend') == 'friend'"),
    _B("is_phone", ("string",), "bool", False, phones.is_phone,
       "The text is a phone number that can exist, and not that of a caller who hides theirs.",
       "is_phone('+442071838750')"),
    _B("is_hidden", ("string",), "bool", False, phones.is_hidden,
       "The address stands for a caller who hides their number: empty, `anonymous`, +266696687.",
       "is_hidden('+266696687')"),
    _B("phone_in", ("string", "string"), "string", False, phones.phone_in,
       "The first phone number in a text, as +…; the country for numbers without one.",
       "phone_in('call 020 7183 8750 please', 'GB') == '+442071838750'"),
    _B("country", ("string",), "string", False, phones.country,
       "The country of a number in two letters; empty when it has none.",
       "country('+442071838750') == 'GB'"),
    _B("line_type", ("string",), "string", False, phones.line_type,
       "What the numbering plan has a number for: mobile, landline, landline_or_mobile (North "
       "America), toll_free, premium, shared_cost, voip, personal, pager, uan, voicemail; empty "
       "when it does not say.",
       "line_type('+447911123456') == 'mobile'"),
    _B("calling_code", ("string",), "string", False, phones.calling_code,
       "The digits of a number's country; empty when it is no full number.",
       "calling_code('+442071838750') == '44'"),
    _B("national", ("string",), "string", False, phones.national,
       "The number as people in its country write it.",
       "national('+442071838750') == '020 7183 8750'"),
    _B("is_open", ("string", "timestamp"), "bool", False, _is_open,
       "The place of this name under `hours` is open at this moment.",
       "is_open('office', event.at)"),
    _B("next_open", ("string", "timestamp"), "timestamp", False, _next_open,
       "The first moment from then on at which the place is open.",
       "next_open('office', event.at) == event.at"),
    _B("weekday", ("timestamp", "string"), "string", True,
       lambda moment, zone_name: WEEKDAYS[moment.astimezone(zone(zone_name)).weekday()],
       "The day of the week in this time zone: mon tue wed thu fri sat sun.",
       "event.at.weekday('America/New_York') == 'fri'"),
    _B("local", ("timestamp", "string", "string"), "string", True, local_text,
       "A moment as a clock in this time zone shows it, by a strftime pattern.",
       "event.at.local('America/New_York', '%H:%M') == '10:00'"),
    _B("moment", ("string", "string"), "timestamp", False, moment,
       "The moment that a text names in this time zone: `2026-12-24 18:00`, a time alone, or one "
       "with a zone of its own; an error when it names none.",
       "moment('2026-11-20 18:30', 'America/New_York') > event.at"),
    _B("moment", ("string", "string", "string"), "timestamp", False, moment,
       "The same with dates as a language writes them, `12/24 6pm` in `en`, `24.12. 18 Uhr` in "
       "`de`.",
       "moment('24.12.2026, 18 Uhr', 'Europe/Berlin', 'de') > event.at"),
    _B("is_moment", ("string", "string"), "bool", False, is_moment,
       "Whether `moment` reads the text.", "is_moment('9:30 pm', 'America/New_York')"),
    _B("is_moment", ("string", "string", "string"), "bool", False, is_moment,
       "The same with a language.", "!is_moment('tomorrow', 'America/New_York', 'en')"),
    _B("event.field", ("string",), "string", False, _field,
       "Any parameter of the webhook by Twilio's own name; empty when it did not come.",
       "event.field('FromCity') == 'LONDON'"),
    _B("reply.field", ("string",), "string", False, _reply_field,
       "The same of the event that a step waited for.",
       "reply.field('RecordingDuration') == '7'"),
    _B("contact.field", ("string",), "string", False, _remembered,
       "What is known of them under this name: what `remember` kept in this conversation, else "
       "what was imported; empty when nothing is.",
       "contact.field('city') == 'London'"),
    _B("remembered", ("string",), "string", False, _remembered,
       "The same as `contact.field`.",
       "remembered('name') == 'Ada'"),
    _B("message_count", (), "int", False, lambda: scope.current().message_count(),
       "How many texts came in this conversation, this one included.", "message_count() == 3"),
    _B("last_inbound", (), "timestamp", False, lambda: scope.current().last_inbound(),
       "When they wrote last before this event; 1970 when never.",
       "last_inbound() < event.at"),
    _B("last_outbound", (), "timestamp", False, lambda: scope.current().last_outbound(),
       "When we wrote last in this conversation; 1970 when never.",
       "last_outbound() < event.at"),
    _B("replied_within", ("string",), "bool", False, replied_within,
       "We wrote in this conversation within this span.", "replied_within('12h')"),
    _B("replied_within", ("duration",), "bool", False, replied_within,
       "The same with a CEL duration.", "replied_within(duration('12h'))"),
    _B("replied_within", ("string", "duration"), "bool", False,
       lambda address, span: replied_within(span, address),
       "The same for another number of theirs.",
       "replied_within(event.from, duration('12h'))"),
    _B("heard_within", ("string",), "bool", False, heard_within,
       "They wrote before this event, within this span.", "heard_within('7d')"),
    _B("count", ("string", "string"), "int", False, count,
       "How many events of this type (also `message.*`) there were within the span, anywhere.",
       "count('message.failed', '15m') == 2"),
    _B("count", ("string", "string", "string"), "int", False, count,
       "The same in one conversation.",
       "count('message.received', '1h', event.conversation) == 3"),
    _B("rate", ("string", "string", "string"), "double", False, rate,
       "The share of one type of event among another within the span, 0.0 to 1.0.",
       "rate('message.failed', 'message.*', '15m') <= 1.0"),
    *choices.ROWS,
    *delivery.ROWS,
)  # fmt: skip

_PLACES = {"keyword": "anywhere", "begins_with": "beginning", "is_phrase": "whole"}

LOOKING: dict[Callable[..., Any], str] = {
    item.call: _PLACES[item.name] for item in BUILTINS if item.name in _PLACES
}
"""The functions that look for phrases in a text, each with where one has to stand."""
