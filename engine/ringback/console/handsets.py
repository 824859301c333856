"""Handsets of the simulated Twilio as a page shows them: texts and calls, the latest last."""

from collections.abc import Mapping, Sequence
from typing import Any

SHOWN, TEXTS, CALLS = 6, 12, 3
"""So many handsets are shown, with so many texts and calls of each."""


def handsets(given: Sequence[Mapping[str, Any]], calls: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The handsets that did something last, the latest first."""
    by_sid = {call["sid"]: call for call in calls}
    found = [_handset(each, by_sid) for each in given]
    return sorted(found, key=lambda each: str(each["last"]), reverse=True)[:SHOWN]


def _handset(given: Mapping[str, Any], calls: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    texts = [{"theirs": True, **_text(each)} for each in given["sent"]]
    texts += [{"theirs": False, **_text(each)} for each in given["inbox"]]
    texts.sort(key=lambda each: str(each["at"]))
    mine = [calls[sid] for sid in given["calls_made"] if sid in calls][-CALLS:]
    heard = [each["at"] for call in mine for each in call["heard"]]
    return {
        "number": given["number"], "messages": given["messages"], "calls": given["calls"],
        "texts": texts[-TEXTS:], "going": [_call(call, given["number"]) for call in mine],
        "last": max([*(each["at"] for each in texts[-1:]), *heard, *("~" for call in mine
                    if call["state"] != "ended")], default=""),
    }  # fmt: skip


def _text(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "sid": given.get("sid", ""), "body": given.get("body", ""), "at": given.get("at", ""),
        "media": len(given.get("media") or ()),
    }  # fmt: skip


def _call(given: Mapping[str, Any], number: str) -> dict[str, Any]:
    """A call as the person at this phone has it. One that rings here can be answered."""
    going = given["state"] != "ended"
    return {
        "sid": given["sid"], "status": given["status"], "going": going,
        "rings": going and given["state"] == "ringing" and given["to"] == number,
        "heard": given["heard"], "waits": given["waiting_for"] or "", "queue": given["queue"] or "",
        "duration": given["duration"],
    }  # fmt: skip
