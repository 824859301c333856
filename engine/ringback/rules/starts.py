"""Starts of rules by hand or by a program: the event that such a start is. Pure."""

import json
from collections.abc import Callable
from datetime import datetime
from types import MappingProxyType

from ringback.errors import Malformed, UsageError
from ringback.events import RULE_FIELD, STARTED, Event, conversation_of
from ringback.hooks.reading import MOST_BYTES, parsed
from ringback.json_data import JSON_FIELD
from ringback.rules import addresses
from ringback.rules.language import phones


def start_event(
    rule: str, *, to: str, ours: str, given: str, at: datetime, mint: Callable[[str], str]
) -> Event:
    """The event that starts this rule: for the person `to`, empty for nobody, with the JSON
    `given`, empty for none. Raises UsageError for a number that nobody can have, and for what is no
    JSON."""
    pair = addresses.spelt(ours, to) if to else addresses.Pair(ours, "")
    if to and not phones.is_phone(pair.recipient):
        raise UsageError(addresses.bad_number(to) or f"{to!r} is no telephone number")
    if to and (wrong := addresses.nobodys(pair.recipient)):
        raise UsageError(wrong)
    if len(given.encode("utf-8", "replace")) > MOST_BYTES:
        raise UsageError(f"the JSON is larger than {MOST_BYTES // 1024} KiB")
    try:
        if given:
            parsed(given)
    except Malformed as error:
        raise UsageError(f"{error}".replace("the body", "what was given")) from None
    uid, fields = mint("evt"), {RULE_FIELD: rule}
    if given:
        fields[JSON_FIELD] = given
    return Event(
        uid=uid, type=STARTED, at=at, received_at=at, source="internal", sender=pair.recipient,
        recipient=pair.sender if to else "",
        conversation=conversation_of(pair.sender, pair.recipient) if to else "",
        dedupe_key=f"start:{uid}", fields=MappingProxyType(fields),
    )  # fmt: skip


def text_of(data: object) -> str:
    """Data as JSON, for such a start; None is none. Raises UsageError for what JSON cannot say."""
    if data is None:
        return ""
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(f"this cannot be written as JSON: {error}") from None
