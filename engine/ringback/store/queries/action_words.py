"""Words for an action in listings and traces: whom it is for, what it says, what it cost."""

import re
from collections.abc import Mapping
from typing import Any

from ringback.action_kinds import known_kind
from ringback.rules.language.numbers import counted

NEVER_LEFT = ("refused", "cancelled", "failed")
"""The states of an action without a SID that cost nothing."""


def recipient(action: Mapping[str, Any]) -> str:
    """Whom an action is for: a number, or the channel of a notice; empty where it has nobody."""
    params = action["params"] if isinstance(action["params"], dict) else {}
    return str(params.get("to") or params.get("via") or "")


def words(action: Mapping[str, Any]) -> str:
    """What an action says: the text, what a caller hears, or the address of a request. The pictures
    of a text without words are named by their number."""
    params = action["params"] if isinstance(action["params"], dict) else {}
    said = str(params.get("body") or params.get("text") or "")
    if said or action["kind"] in ("send_message", "notify"):
        media = len(params.get("media") or ())
        return said or (f"({counted(media, 'picture')})" if media else "")
    shown = dict(params) | {"to": "", "via": ""}
    return detail(str(action["kind"]), shown).removeprefix("to :").strip()


def cost(action: Mapping[str, Any]) -> str:
    """What an action came to, in short: segments, price, and the duration of a call. Segments that
    nobody has told are estimated, as `about 2 segments`; those of what never left are none."""
    parts, left = [], action.get("remote_sid") or action["state"] not in NEVER_LEFT
    if number := action.get("segments"):
        parts.append(counted(number, "segment"))
    elif (number := action.get("estimated_segments")) and left:
        parts.append(f"about {counted(number, 'segment')}")
    if action.get("price") is not None:
        parts.append(f"{action['price']} {action['price_unit']}".rstrip())
    if action.get("duration") is not None:
        parts.append(f"{action['duration']} s")
    return ", ".join(parts)


def detail(kind: str, params: Mapping[str, Any]) -> str:
    """Whom an action reaches and what it says, in short."""
    words = {key: "" if value is None else value for key, value in params.items()}
    words["verbs"] = ", ".join(_verb(verb) for verb in params.get("verbs") or ())
    if words.get("step"):  # what is said there stands in the answers of the call
        words["verbs"] = "a conversation"
    known = known_kind(kind)
    if known is None:  # of a plugin, whose modules no shell command loads
        return ", ".join(f"{key} {value}" for key, value in words.items() if value)
    return known.trace.format_map(_Blank(words))


_BACK = re.compile(r"/twilio/(~[^/]*/)?(call/step/|recording$)").search
"""In an address that leads back to Ringback, also with the secret of the node in it."""


class _Blank(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def _verb(verb: Mapping[str, Any]) -> str:
    """A verb with what is said or asked in it, else with its first word, but for a way back to
    Ringback."""
    asked = ", ".join(_verb(each) for each in verb.get("prompts") or ())
    words = [str(value) for key, value in verb.items() if key not in ("verb", "prompts") and value]
    shown = asked or next((word for word in words if not _BACK(word)), "")
    return f"{verb.get('verb', '')} {f'({shown})' if asked else shown}".rstrip()
