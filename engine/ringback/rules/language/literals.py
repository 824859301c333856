"""Literals in expressions whose text means something, checked when they are loaded.

CEL finds a broken pattern, a wrong zone or a wrong span only when it runs. A rule file should not.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import takewhile

from ringback.error_codes import AFFECTS, CLASSES, FAULTS, RETRIES
from ringback.events import (
    CALL_STATUSES,
    EVENT_TYPES,
    INCIDENT_KINDS,
    MESSAGE_STATUSES,
    NAMED,
    TRUST,
    known_type,
)
from ringback.rules.addresses import bad_number
from ringback.rules.functions.delivery import wrong_arguments
from ringback.rules.language import phones
from ringback.rules.language.complaints import Complaint, did_you_mean, slip_of
from ringback.rules.language.patterns import keep
from ringback.rules.language.tokens import Token, calls, literal, tokens
from ringback.rules.timing.calendar import Hours, zone
from ringback.rules.timing.durations import parse_duration

_CEL_DURATION = re.compile(r"-?(?:\d+(?:\.\d+)?(?:h|m|s|ms|us|ns))+")
_OFFSET = re.compile(r"[+-]\d{2}:\d{2}")


_VALUES: dict[str, tuple[str, ...]] = {
    "error_class": ("", *CLASSES),
    "error.fault": ("", *FAULTS),
    "error.affects": ("", *AFFECTS),
    "error.retryable": ("", *RETRIES),
    "type": EVENT_TYPES,
    "trust": TRUST,
    "source": ("webhook", "repair", "replay", "internal"),
}
_ADDRESSES = ("from", "to", "ours", "theirs")
_NO_LISTS: Mapping[str, Sequence[str]] = {}
_STATUSES = ("", *MESSAGE_STATUSES, *CALL_STATUSES, *INCIDENT_KINDS)


def check_literals(
    source: str, hours: Mapping[str, Hours], lists: Mapping[str, Sequence[str]] = _NO_LISTS,
    texts: Collection[str] = (),
) -> list[Complaint]:  # fmt: skip
    """Complaints about patterns, zones, spans, event types, names of hours and of texts, and about
    what a field, also in lists, can never be equal to."""
    found = _compared(source, lists)
    for call in calls(source):
        for place, kind in _MEANING.get(call.name, {}).get(len(call.literals), ()):
            token = call.literals[place]
            if token is not None:
                found += _check(kind, token, texts if kind == "text" else hours)
        found += wrong_arguments(call)
    return found


_MEANING: dict[str, dict[int, tuple[tuple[int, str], ...]]] = {
    "matches": {1: ((0, "regex"),), 2: ((1, "regex"),)},
    "duration": {1: ((0, "duration"),)},
    "timestamp": {1: ((0, "timestamp"),)},
    "is_open": {2: ((0, "hours"),)},
    "t": {1: ((0, "text"),), 2: ((0, "text"),)},
    "next_open": {2: ((0, "hours"),)},
    "local": {2: ((0, "zone"),)},
    "moment": {2: ((1, "zone"),), 3: ((1, "zone"),)},
    "is_moment": {2: ((1, "zone"),), 3: ((1, "zone"),)},
    "weekday": {1: ((0, "zone"),)},
    "replied_within": {1: ((0, "span"),)},
    "heard_within": {1: ((0, "span"),)},
    "count": {2: ((0, "type"), (1, "span")), 3: ((0, "type"), (1, "span"))},
    "rate": {3: ((0, "type"), (1, "type"), (2, "span"))},
    **{
        f"get{part}": {1: ((0, "zone"),)}
        for part in (
            "FullYear", "Month", "Date", "DayOfMonth", "DayOfWeek", "DayOfYear", "Hours",
            "Minutes", "Seconds", "Milliseconds",
        )
    },
}  # fmt: skip


def _compared(source: str, lists: Mapping[str, Sequence[str]]) -> list[Complaint]:
    """Texts that `event.type`, `event.error_class` and the like are compared with."""
    words = list(tokens(source))
    found: list[Complaint] = []
    for index, word in enumerate(words[:-2]):
        if word.text not in ("event", "reply") or words[index + 1].text != ".":
            continue
        field, behind = words[index + 2].text, words[index + 3 :]
        if field == "error" and behind[:1] and behind[0].text == ".":
            field, behind = f"error.{behind[1].text}" if behind[1:] else "", behind[2:]
        sign, rest = behind[0].text if behind else "", behind[1:]
        if sign in ("==", "!="):
            given = rest[:1]
        elif sign == "in" and rest and rest[0].text == "[":
            given = list(takewhile(lambda each: each.text != "]", rest[1:]))
        elif sign == "in" and field in _ADDRESSES and _named(rest, lists):
            name, place = rest[2].text, rest[0].start
            wrong = next(filter(None, map(bad_number, lists[name])), "")
            found += [Complaint(place, "type", f"in lists.{name} {wrong}")] if wrong else []
            continue
        else:
            continue
        for token in given:
            if token.kind == "string":
                found += _possible(field, token)
    return found


def _named(words: Sequence[Token], lists: Mapping[str, Sequence[str]]) -> bool:
    return [each.text for each in words[:2]] == ["lists", "."] and words[2].text in lists


def _possible(field: str, token: Token) -> list[Complaint]:
    text = literal(token)
    if field in _ADDRESSES and phones.misspelt(text):
        return [Complaint(token.start, "type", f"{field!r} is never {text!r}", phones.mend(text))]
    if field in _ADDRESSES and (impossible := phones.impossible(text)):
        return [Complaint(token.start, "type", f"{field!r} is never {text!r}, which {impossible}")]
    if field == "status":
        # A status may be new to us: only what looks like a slip of the pen is refused.
        near = did_you_mean(text, _STATUSES) if text not in _STATUSES else ""
        return (
            [Complaint(token.start, "type", f"there is no status {text!r}", near)] if near else []
        )
    if field == "type" and (slip := slip_of(text, NAMED)):
        near = f"did you mean {slip!r}?"
        return [Complaint(token.start, "type", f"{field!r} is never {text!r}", near)]
    known = _VALUES.get(field, ())
    if not known or text in known or (field == "type" and known_type(text)):
        return []
    hint = did_you_mean(text, known) or "known: " + ", ".join(filter(None, known))
    return [Complaint(token.start, "type", f"{field!r} is never {text!r}", hint)]


_SECTIONS = {"hours": "hours", "text": "texts"}


def _check(kind: str, token: Token, known: Collection[str]) -> list[Complaint]:
    text = literal(token)
    wrong, hint = _wrong(kind, text, known)
    if not wrong:
        return []
    label = {"duration": "span", "timestamp": "span"}.get(kind, kind)
    return [Complaint(token.start, label, wrong, hint)]


def _wrong(kind: str, text: str, known: Collection[str]) -> tuple[str, str]:
    """What is wrong with a literal and a hint; `known` are the names that one of hours or of a text
    may have."""
    if kind == "regex":
        return keep(text), ""
    if kind == "zone":
        return bad_zone(text)
    if kind in _SECTIONS and text not in known:
        section, listed = _SECTIONS[kind], ", ".join(sorted(known)[:20])
        hint = did_you_mean(text, known) or (
            f"known: {listed}" if listed else f"add it under `{section}`"
        )
        return f"no {kind} {'are' if kind == 'hours' else 'is'} named {text!r}", hint
    if kind == "type" and not known_type(text):
        return f"unknown event type {text!r}", did_you_mean(text, EVENT_TYPES)
    if kind == "span":
        try:
            parse_duration(text)
        except ValueError as error:
            return str(error), ""
    if kind == "duration" and not _CEL_DURATION.fullmatch(text):
        return f"{text!r} is no CEL duration", "write it like '90s', '15m' or '12h'"
    if kind == "timestamp":
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return f"{text!r} is no timestamp", "write it like '2026-01-31T09:00:00Z'"
    return "", ""


def bad_zone(name: str) -> tuple[str, str]:
    """What is wrong with the name of a time zone and a hint; empty when nothing is."""
    from zoneinfo import available_timezones

    if _OFFSET.fullmatch(name) or name in ("UTC", "Z"):
        return "", ""
    try:
        zone(name)
    except ValueError as error:
        return str(error), did_you_mean(name, sorted(available_timezones()))
    return "", ""
