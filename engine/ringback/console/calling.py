"""Calls and queues as pages and the JSON API show them, made of the calls that go on."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import unescape
from typing import Any

from ringback.runtime import iso
from ringback.store.queries.questions import Questions
from ringback.store.queries.spend_sums import midnight

_VERB = re.compile(r"<([A-Z]\w*)[^>]*?>([^<]*)")
"""A verb of TwiML that the worker itself has written, and what stands in it."""

Call = Mapping[str, Any]


def asked(questions: Questions, zone: str, now: datetime) -> dict[str, Any]:
    """The calls that go on and the queues with those who wait in them; averages are of today."""
    calls = questions.calls_going(now)
    return {
        "calls": [shown(each) for each in calls],
        "queues": queues(calls, questions.waited(iso(midnight(now, zone)))),
    }


def shown(call: Call) -> dict[str, Any]:
    """A call, with what the caller was told to hear last in words."""
    return {**call, "heard": heard(str(call["heard"]))}


def heard(twiml: str) -> list[str]:
    """The verbs of TwiML, each with what stands in it."""
    return [
        f"{verb}: {' '.join(unescape(text).split())}" if text.strip() else verb
        for verb, text in _VERB.findall(twiml) if verb != "Response"
    ]  # fmt: skip


def queues(calls: Sequence[Call], waited: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
    """The queues that somebody waits in or has left today: how many wait, how long the longest has
    waited when Twilio last asked, and how long those waited on average who have left."""
    found: dict[str, list[Call]] = {sid: [] for sid in waited if sid}
    for call in calls:
        if call["queue"]:
            found.setdefault(call["queue"]["sid"], []).append(call)
    return [
        {
            "sid": sid, "waiting": len(inside),
            "longest": max((call["queue"]["waited"] for call in inside), default=0),
            "left_today": len(waited.get(sid, ())),
            "average_today": _average(waited.get(sid, ())),
            "calls": [call["sid"] for call in
                      sorted(inside, key=lambda call: int(call["queue"]["position"]))],
        }
        for sid, inside in sorted(found.items(), key=lambda pair: -len(pair[1]))
    ]  # fmt: skip


def _average(seconds: Sequence[int]) -> int | None:
    return round(sum(seconds) / len(seconds)) if seconds else None
