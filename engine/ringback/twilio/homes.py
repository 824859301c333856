"""Homes of events: the one partition of a cluster in which everything about an event is done.

A partition has the events of a person, whichever of our numbers they meet, so that what asks about
a person's past asks one partition: consent, budgets for each recipient, the guard against loops. A
home never changes, or events would be looked for where they are not: what is here is pinned by
`tests/data/home-vectors.json`.
"""

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from ringback.events import HOOK, person
from ringback.hooks.reading import ID_FIELD, ROUTE
from ringback.runtime import part_of_tag
from ringback.twilio.kinds import Kind
from ringback.twilio.streams import Misshapen
from ringback.twilio.webhooks import kind_of, parties, read_stream, streamed_form

Fields = Mapping[str, str]


class Part(NamedTuple):
    """One event out of a body of Event Streams: the route and fields of which its home is made,
    and the body with which it stands in a row of its own."""

    route: str
    fields: Fields
    body: bytes


def home(route: str, fields: Fields, tag: str, partitions: int) -> int:
    """The partition of an event, out of so many (a power of two).

    A tag or nonce of ours that begins with the letters of a partition names it: the attempt or the
    run that it belongs to is there. All else goes by a hash of what `key_of` says. `fields` are
    those of the event, of another system's too: `From` and `HookId`.
    """
    if partitions == 1:
        return 0
    named = part_of_tag(tag, partitions)
    if named is not None:
        return named
    key = key_of(route, fields, tag).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=8).digest()) % partitions


def key_of(route: str, fields: Fields, tag: str = "") -> str:
    """By what an event without such a tag finds its home: the other party of its conversation, in
    the spelling and with the channel that the conversation has.

    Ours when they hide their number: a conversation without a number of theirs is one as well.
    Without any conversation it is the call or message, else what the event is about: all that is
    said of a call without numbers comes together. The debugger writes of an account, in whose
    errors drift and strikes are counted. A delivery of another system that names no person goes by
    its identity: the system promises no order between deliveries, one that is repeated meets itself
    there, and a busy hook is spread over all partitions. A rule that wants them together has a key,
    and is judged at the home of the key.
    """
    if route.startswith(ROUTE):
        name = route.removeprefix(ROUTE)
        return person(fields.get("From", "")) or f"{HOOK}:{name}:{fields.get(ID_FIELD, '')}"
    kind = kind_of(route, fields, tag)
    if kind.type.startswith("debugger."):
        return fields.get("AccountSid") or kind.subject
    ours, theirs = parties(kind.type, fields)
    return person(theirs) or person(ours) or _about(kind, fields)


def _about(kind: Kind, fields: Fields) -> str:
    return fields.get("CallSid") or kind.subject or kind.key or kind.type


def rows_of(body: bytes) -> list[Part]:
    """The events of a body of Event Streams, each with the part of the body that is its own, letter
    for letter as it came. Raises Malformed when nothing in it is an event.

    The receiver of one machine keeps a body as one row, under one digest. To record these instead
    it has to commit all of them before it answers, and to know each by itself when it comes again
    in another batch: Twilio repeats a batch as a whole. What is no event stands in the row of the
    first that is one, since alone it could not be read; its place is then counted in that row.
    """
    items, texts = read_stream(body), _elements(body.decode())
    bad = [text for item, text in zip(items, texts, strict=True) if isinstance(item, Misshapen)]
    parts: list[Part] = []
    for item, text in zip(items, texts, strict=True):
        if isinstance(item, Misshapen):
            continue
        if bad and not parts:
            text = f"[{','.join([text, *bad])}]"
        parts.append(Part(*streamed_form(item), text.encode()))
    return parts


_SPACE = " \t\n\r"


def _elements(text: str) -> list[str]:
    """The texts of the elements of a JSON array; the whole text when it is none."""
    rest = text.strip(_SPACE)
    if not rest.startswith("["):
        return [rest]
    found: list[str] = []
    at, read = 1, json.JSONDecoder().raw_decode
    while True:
        while rest[at] in _SPACE or rest[at] == ",":
            at += 1
        if rest[at] == "]":
            return found
        begin = at
        _, at = read(rest, begin)
        found.append(rest[begin:at])
