"""JSON of other systems: read under limits, looked into by paths, and made an event."""

import json
import math
import re
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from ringback.errors import Malformed
from ringback.events import HOOK, Event, conversation_of
from ringback.hooks.definitions import Hook
from ringback.hooks.proof import LONGEST_ID
from ringback.json_data import JSON_FIELD
from ringback.runtime import from_iso

ROUTE = f"{HOOK}/"
"""How the routes of hooks begin in the log."""
MOST_BYTES = 256 * 1024
DEEPEST = 64
"""So many lists and objects may stand in one another."""
NAME_FIELD, ID_FIELD = "Hook", "HookId"


_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}").fullmatch
"""What Twilio calls its own things: a delivery that has such a name is none of them."""


class Facts(NamedTuple):
    """What the receiver found out about a delivery when it came: what it is known by, whose number
    it names, and our own. It stands beside the body in the log, so that the event stays what it was
    when the definition of the hook changes."""

    id: str
    phone: str = ""
    ours: str = ""

    def written(self) -> str:
        """The facts as the log keeps them."""
        return json.dumps({k: v for k, v in self._asdict().items() if v}, ensure_ascii=False)


class Row(Protocol):
    """What is needed of a logged request: see `ringback.store.log.LogRow`."""

    @property
    def received_at(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def trust(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def tag(self) -> str: ...
    @property
    def body(self) -> bytes: ...


def parsed(body: bytes | str) -> Any:
    """The value of a JSON text. Raises Malformed for what is none, is nested too deeply, or has
    numbers that are none."""
    try:
        text = body.decode() if isinstance(body, bytes) else body
        value = json.loads(text, parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    except RecursionError:
        raise Malformed(f"more than {DEEPEST} lists and objects stand in one another") from None
    except ValueError as error:
        if not isinstance(error, json.JSONDecodeError) and "digits" in f"{error}":
            raise Malformed("the body has a number of more than 4,300 digits") from None
        raise Malformed(f"the body is not JSON: {error}") from None
    opened = text.count("{") + text.count("[")  # seldom as many: to look is what takes time
    if opened > DEEPEST and _depth(value) > DEEPEST:
        raise Malformed(f"more than {DEEPEST} lists and objects stand in one another")
    return value


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _depth(value: Any) -> int:
    """How many lists and objects stand in one another; looked at only a little further than may
    be."""
    level, depth = [value], 0
    while depth <= DEEPEST and (
        level := [each for each in level if isinstance(each, dict | list)]
    ):  # fmt: skip
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth


def at(value: Any, path: str) -> str:
    """The text or number at a path, as a text; empty when there is none."""
    for name in path.split(".") if path else ():
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and len(name) < 6:
            value = value[int(name)] if int(name) < len(value) else None
        else:
            return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not path:
        return ""
    if isinstance(value, float) and math.isinf(value):
        return ""  # all that are larger than any number would be one
    return "".join(sign for sign in str(value) if sign.isprintable()).strip()


def identity(hook: Hook, value: Any, delivery: str, body: bytes) -> str:
    """By what a delivery is known when it comes again: the `id` of its definition, else what the
    sender signs as the name of the delivery or event, else its body."""
    found = at(value, hook.id) or delivery or (at(value, "id") if hook.scheme == "stripe" else "")
    if found:
        plain = len(found) <= LONGEST_ID
        return found if plain else f"sha256:{sha256(found.encode('utf-8', 'replace')).hexdigest()}"
    return f"body:{sha256(body).hexdigest()[:32]}"


def hook_event(row: Row, uid: str) -> Event:
    """The event of a logged delivery. Raises Malformed for a row that is none."""
    name = row.route.removeprefix(ROUTE)
    try:
        facts = json.loads(row.tag or "{}")
        given = {key: str(facts.get(key, "")) for key in Facts._fields}
        text = row.body.decode()
    except (ValueError, AttributeError):
        raise Malformed("this is no delivery of another system") from None
    known = given["id"] or f"body:{sha256(row.body).hexdigest()[:32]}"
    received_at = from_iso(row.received_at)
    fields = {NAME_FIELD: name, ID_FIELD: known, JSON_FIELD: text}
    if given["phone"]:
        fields |= {"From": given["phone"], "To": given["ours"]}
    return Event(
        uid=uid, type=f"{HOOK}.{name}", at=received_at, received_at=received_at, trust=row.trust,
        source=row.source, subject_sid=f"{name}:{known}" if _SID(known) else known,
        sender=given["phone"], recipient=given["ours"],
        conversation=conversation_of(given["ours"], given["phone"]) if given["phone"] else "",
        dedupe_key=f"{HOOK}:{name}:{known}", fields=MappingProxyType(fields),
    )  # fmt: skip
