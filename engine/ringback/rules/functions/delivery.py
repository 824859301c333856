"""Delivery functions: how conditions and texts ask which of our texts arrive.

What a rule writes there is checked when it is loaded: a span that cannot be counted, a sender that
is none of ours, a class, country or rule that does not exist.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ringback.rules.delivery_rates import (
    LEAST,
    LONGEST,
    NO_CODE,
    WEEK,
    DeliveryFacts,
    Key,
    named_key,
    seconds_of,
    wrong_value,
)
from ringback.rules.functions.function import Builtin
from ringback.rules.language import scope
from ringback.rules.language.complaints import Complaint, did_you_mean
from ringback.rules.language.tokens import Call, calls, literal

_WORDS = {
    "sender": "sender", "rule": "rule", "country": "country", "line_type": "line_type",
    "class": "error_class",
}  # fmt: skip


def _facts() -> DeliveryFacts:
    return scope.current().facts


def _key(by: str, of: str) -> Key | None:
    """The key of a value that a rule computes; None for an empty one, under which nothing is. The
    class of a failure without a code is empty in its event."""
    of = of or (NO_CODE if by == "class" else "")
    return named_key(**{_WORDS[by]: of}) if of else None


def _rate(by: str, span: str, of: str, least: int = LEAST) -> float:
    key = _key(by, of)
    return _facts().failure_rate(span, **{_WORDS[by]: key.of}, minimum=least) if key else 0.0


def _failures(by: str, span: str, of: str) -> int:
    key = _key(by, of)
    return _facts().failures(span, **{_WORDS[by]: key.of}) if key else 0


def _failure_rate(span: str, *more: Any) -> float:
    of, least = _given(more)
    if of is not None:
        return _rate("sender", span, of, least)
    return _facts().failure_rate(span, minimum=least)


def _delivered_rate(span: str, *more: Any) -> float:
    return 1.0 - _failure_rate(span, *more)


def _given(more: Sequence[Any]) -> tuple[str | None, int]:
    """The sender and the minimum among the arguments behind the span."""
    of = next((each for each in more if isinstance(each, str)), None)
    return of, next((each for each in more if isinstance(each, int)), LEAST)


def _by(call: Callable[..., Any], by: str) -> Callable[..., Any]:
    return lambda *given: call(by, *given)


def _of_sender(ask: str, span: str, sender: str) -> int:
    key = _key("sender", sender)
    asked: Callable[..., int] = getattr(_facts(), ask)
    return asked(span, sender=key.of) if key else 0


_B = Builtin
_S, _SI, _SS, _SSI = (
    ("string",), ("string", "int"), ("string", "string"), ("string", "string", "int"),
)  # fmt: skip
_LIKE = "The same with another minimum of texts than 20."

ROWS: tuple[Builtin, ...] = (
    _B("failure_rate", _S, "double", False, _failure_rate,
       "The share of our texts that failed, 0.0 to 1.0, of all that came to an end within the "
       "span: each once, by its final state. 0.0 while fewer than 20 have.",
       "failure_rate('15m') == 0.25"),
    _B("failure_rate", _SI, "double", False, _failure_rate, _LIKE,
       "failure_rate('15m', 50) == 0.0"),
    _B("failure_rate", _SS, "double", False, _failure_rate,
       "The same of one sender: a number of ours, or a messaging service.",
       "failure_rate('15m', event.to) == 0.5"),
    _B("failure_rate", _SSI, "double", False, _failure_rate, _LIKE,
       "failure_rate('15m', event.to, 5) == 0.5"),
    _B("failure_rate_of_rule", _SS, "double", False, _by(_rate, "rule"),
       "The same of the texts of one rule, by its name.",
       "failure_rate_of_rule('1h', event.cause.rule) == 0.0"),
    _B("failure_rate_of_rule", _SSI, "double", False, _by(_rate, "rule"), _LIKE,
       "failure_rate_of_rule('1h', event.cause.rule, 5) == 0.0"),
    _B("failure_rate_of_country", _SS, "double", False, _by(_rate, "country"),
       "The same of the texts to one country.",
       "failure_rate_of_country('1h', country(event.from)) == 0.5"),
    _B("failure_rate_of_country", _SSI, "double", False, _by(_rate, "country"), _LIKE,
       "failure_rate_of_country('1h', 'GB', 5) == 0.5"),
    _B("failure_rate_of_line_type", _SS, "double", False, _by(_rate, "line_type"),
       "The same of the texts to one type of line, as `line_type` names it.",
       "failure_rate_of_line_type('1h', line_type(event.from)) == 0.5"),
    _B("failure_rate_of_line_type", _SSI, "double", False, _by(_rate, "line_type"), _LIKE,
       "failure_rate_of_line_type('1h', 'landline', 5) == 0.5"),
    _B("failure_rate_of_class", _SS, "double", False, _by(_rate, "class"),
       "The share that failed with this class of error, of all that came to an end.",
       "failure_rate_of_class('1h', 'carrier_filtered') == 0.25"),
    _B("failure_rate_of_class", _SSI, "double", False, _by(_rate, "class"), _LIKE,
       "failure_rate_of_class('1h', 'carrier_filtered', 5) == 0.25"),
    _B("delivered_rate", _S, "double", False, _delivered_rate,
       "What is left of 1.0 without the failure rate, and so 1.0 while fewer than 20 have ended.",
       "delivered_rate('15m') == 0.75"),
    _B("delivered_rate", _SI, "double", False, _delivered_rate, _LIKE,
       "delivered_rate('15m', 50) == 1.0"),
    _B("delivered_rate", _SS, "double", False, _delivered_rate,
       "The same of one sender.", "delivered_rate('15m', event.to) == 0.5"),
    _B("delivered_rate", _SSI, "double", False, _delivered_rate, _LIKE,
       "delivered_rate('15m', event.to, 5) == 0.5"),
    _B("failures", _S, "int", False, lambda span: _facts().failures(span),
       "How many of our texts failed or were undelivered within the span.",
       "failures('15m') == 10"),
    _B("failures", _SS, "int", False, lambda span, of: _of_sender("failures", span, of),
       "The same of one sender.", "failures('15m', event.to) == 10"),
    _B("failures_of_rule", _SS, "int", False, _by(_failures, "rule"),
       "The same of the texts of one rule.", "failures_of_rule('1h', event.cause.rule) == 0"),
    _B("failures_of_country", _SS, "int", False, _by(_failures, "country"),
       "The same of the texts to one country.", "failures_of_country('1h', 'GB') == 10"),
    _B("failures_of_line_type", _SS, "int", False, _by(_failures, "line_type"),
       "The same to one type of line.", "failures_of_line_type('1h', 'landline') == 10"),
    _B("failures_of_class", _SS, "int", False, _by(_failures, "class"),
       "The same with one class of error.",
       "failures_of_class('1h', 'carrier_filtered') == 10"),
    _B("ended", _S, "int", False, lambda span: _facts().ended(span),
       "How many of our texts came to an end within the span.", "ended('15m') == 40"),
    _B("ended", _SS, "int", False, lambda span, of: _of_sender("ended", span, of),
       "The same of one sender.", "ended('15m', event.to) == 20"),
    _B("pending", _S, "int", False, lambda span: _facts().pending(span),
       "How many of our texts of the last day have had no final state for longer than this.",
       "pending('10m') == 1"),
    _B("pending", _SS, "int", False, lambda span, of: _of_sender("pending", span, of),
       "The same of one sender.", "pending('10m', event.to) == 1"),
    _B("opt_outs", _S, "int", False, lambda span: _facts().opt_outs(span),
       "How many people opted out within the span.", "opt_outs('24h') == 2"),
    _B("segments", _S, "int", False, lambda span: _facts().segments(span),
       "How many segments our texts took that were asked for within the span, of a week at most, "
       "and have ended.", "segments('24h') == 45"),
)  # fmt: skip

_SENDERS = ("from", "to", "ours", "cause.from", "cause.to", "cause.ours")
_FIELDS: dict[str, tuple[str, ...]] = {
    "sender": _SENDERS,
    "rule": ("cause.rule",),
    "country": (),
    "line_type": (),
    "class": ("error_class",),
    "conversation": ("conversation",),
}
"""Which fields of an event can be the value of an argument."""
_MENDS = {
    "sender": "write event.from, event.to or event.ours, whichever is a number of ours there",
    "rule": "write the name of a rule, or event.cause.rule",
    "country": "write country(event.to), or two letters like 'US'",
    "line_type": "write line_type(event.to), or a type like 'mobile'",
    "class": "write event.error_class, or a class like 'carrier_filtered'",
    "conversation": "write event.conversation; for one sender write failures('15m', event.from)",
}
_NAMES = {
    "sender": "a sender of ours", "rule": "the name of a rule", "country": "a country",
    "line_type": "a type of line",
    "class": "a class of errors", "conversation": "a conversation",
}  # fmt: skip
_COUNTED = frozenset(row.name for row in ROWS)
_SIDED = frozenset(row.name for row in ROWS if row.args[:2] == _SS and "_of_" not in row.name)


def wrong_arguments(call: Call) -> list[Complaint]:
    """Complaints about the arguments of a call that counts texts, or events of a conversation."""
    if call.name == "count":
        return _wrong_field("conversation", call, 2)
    if call.name not in _COUNTED:
        return []
    found = _wrong_span(call)
    by = call.name.rpartition("_of_")[2] if "_of_" in call.name else "sender"
    token = call.literals[1] if len(call.literals) > 1 else None
    if token is not None:
        wrong, hint = wrong_value(by, literal(token))
        found += [Complaint(token.start, "type", wrong, hint)] if wrong else []
    return found + _wrong_field(by, call, 1)


def _wrong_span(call: Call) -> list[Complaint]:
    token = call.literals[0]
    try:
        if token is not None:
            longest = WEEK if call.name == "segments" else LONGEST
            seconds_of(literal(token), pending=call.name == "pending", longest=longest)
    except ValueError as error:
        return [Complaint(token.start, "span", str(error))] if token else []
    return []


def _wrong_field(by: str, call: Call, place: int) -> list[Complaint]:
    name = call.names[place] if len(call.names) > place else None
    if name is None:
        return []
    space, _, field = name.text.partition(".")
    if space not in ("event", "reply") or field in _FIELDS[by]:
        return []
    return [Complaint(name.start, "type", f"{name.text} is not {_NAMES[by]}", _MENDS[by])]


def wrong_side(call: Call, types: Sequence[str]) -> list[Complaint]:
    """Complaints about a sender that is the other side in all events of these types: a text that
    comes in is from them, news of ours is about a text to them."""
    if call.name not in _SIDED or not types or "message.*" in types:
        return []
    incoming = {each == "message.received" for each in types}
    if len(incoming) > 1 or not all(each.startswith("message.") for each in types):
        return []
    theirs, ours = ("event.from", "event.to") if True in incoming else ("event.to", "event.from")
    return [
        Complaint(
            name.start, "type", f"{name.text} is the other side of {types[0]}",
            f"our number there is {ours}",
        )
        for name in call.names[1:2]
        if name is not None and name.text == theirs
    ]  # fmt: skip


def unknown_rule(call: Call, names: Iterable[str]) -> list[Complaint]:
    """Complaints about a rule that is named and does not exist. Those of plugins have a dot."""
    token = call.literals[1] if call.name in _OF_RULE and len(call.literals) > 1 else None
    if token is None or (named := literal(token)) in names or "." in named:
        return []
    hint = did_you_mean(named, names)
    return [Complaint(token.start, "name", f"no rule is named {named!r}", hint)]


def counted(source: str) -> list[Call]:
    """The calls of an expression that count texts."""
    if not any(name in source for name in _COUNTED):
        return []
    return [call for call in calls(source) if call.name in _COUNTED]


_HALF = {"message.failed": "message.undelivered", "message.undelivered": "message.failed"}


def misread(sources: Iterable[str]) -> list[str]:
    """Warnings about `count` and `rate` where they cannot be what was meant: they count events, of
    which a text has several, and a text that is lost has one of two."""
    found: list[str] = []
    made = [call for source in sources for call in calls(source) if call.name in ("count", "rate")]
    words = [[literal(each) for each in call.literals if each is not None] for call in made]
    asked = {each for given in words for each in given}
    for call, given in zip(made, words, strict=True):
        types = [each for each in given if each.startswith("message.")]
        if call.name == "rate" and types and types != ["message.received"] * 2:
            found.append(
                "rate() counts events, and each text has several (queued, sent, undelivered): "
                "the share of texts that failed is failure_rate('15m')"
            )
        elif call.name == "count" and types[:1] == ["message.*"]:
            found.append(
                "count('message.*', …) counts each text several times, and those that come in too: "
                "texts of ours that came to an end are ended('15m')"
            )
        elif call.name == "count" and types and _HALF.get(types[0], types[0]) not in asked:
            found.append(
                f"count({types[0]!r}, …) leaves out {_HALF[types[0]]}: failures('15m') counts both"
            )
    return list(dict.fromkeys(found))


_OF_RULE = ("failure_rate_of_rule", "failures_of_rule")
