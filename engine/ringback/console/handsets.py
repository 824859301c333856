"""Handsets of the simulated Twilio as a page shows them: texts and calls, the latest last; and what
may be typed into them."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from ringback.console.problems import Refusal, refuse
from ringback.rules.language.phones import plain

SHOWN, TEXTS, CALLS = 6, 12, 3
"""So many handsets are shown, with so many texts and calls of each."""
LONGEST, LONGEST_ADDRESS = 1600, 2000
_NUMBER = re.compile(r"(?:whatsapp:)?\+[1-9]\d{6,14}|\d{3,8}", re.ASCII)
_KEYS = re.compile(r"[0-9A-D*#wW]{1,200}", re.ASCII)
_ADDRESS = re.compile(r"https?://[!-~]+", re.ASCII)


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


def number(form: Mapping[str, str], name: str, country: str) -> str:
    """A number of a form, in any spelling. Raises a Refusal that names the field."""
    written = form.get(name, "").strip()
    found = plain(written, country) if len(written) <= 40 else ""
    if not _NUMBER.fullmatch(found):
        raise _wrong(name, f"{written[:40]!r} is no number; write it like +12025550142")
    return found


def words(form: Mapping[str, str], name: str, *, empty: bool = False) -> str:
    """A text of a form, as a phone would send or say it. Raises a Refusal."""
    text = form.get(name, "").replace("\r\n", "\n")
    if not text.strip() and not empty:
        raise _wrong(name, "is empty")
    if len(text) > LONGEST:
        raise _wrong(name, f"has {len(text):,} letters; {LONGEST:,} is the most")
    for letter in text:
        if letter not in "\n\t" and unicodedata.category(letter) in ("Cc", "Cs"):
            raise _wrong(name, f"no phone sends the control character U+{ord(letter):04X}")
    return text


def digits(form: Mapping[str, str]) -> str:
    """The keys that are pressed. Raises a Refusal."""
    keys = form.get("digits", "").strip()
    if not _KEYS.fullmatch(keys):
        raise _wrong("digits", "are 0 to 9, * and #, and w for half a second, 200 at most")
    return keys


def media(form: Mapping[str, str]) -> list[str]:
    """The address of a picture, if there is one. Raises a Refusal."""
    address = form.get("media", "").strip()
    if address and not (_ADDRESS.fullmatch(address) and len(address) <= LONGEST_ADDRESS):
        raise _wrong("media", "is an address that begins with http:// or https://")
    return [address] if address else []


def _wrong(name: str, message: str) -> Refusal:
    return refuse("field", f"{name}: {message}.", fields=((name, message),))
