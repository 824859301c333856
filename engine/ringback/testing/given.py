"""Given: the events that one line of a case's `given` makes happen.

A line is one word and its value: `text: Hello`, `message: {status: failed, error: 30003}`, or
`wait: 1h`. What Twilio would never send, such as a status that no message has, is an error and no
event that every rule overlooks.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from ringback.actions import Broadcast, HttpRequest, PlaceCall
from ringback.events import CALL_STATUSES, MESSAGE_STATUSES, Event
from ringback.hooks.definitions import Hook
from ringback.hooks.reading import at
from ringback.json_data import data_of
from ringback.rules.files.reader import JSON_WORD
from ringback.rules.files.yaml_tree import Node
from ringback.rules.hook_contacts import facts_of
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.language.templates import as_text
from ringback.rules.model import Rule
from ringback.rules.timing.durations import parse_duration
from ringback.testing import events
from ringback.testing.case_failures import Sent, error_code, failure
from ringback.testing.service_answers import answer_of

DIALED = ("completed", "answered", "busy", "no-answer", "failed", "canceled")
"""What Twilio says of a call that `dial` made: https://www.twilio.com/docs/voice/twiml/dial#action"""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of somebody from before: their fields, and the groups that they are in."""

    number: str
    fields: Mapping[str, str]
    groups: Sequence[str]


class Given:
    """What happens in one case: who texts or calls, us, and the call that goes on."""

    def __init__(
        self, theirs: str, ours: str, rules: Iterable[Rule], hooks: Mapping[str, Hook]
    ) -> None:
        self.theirs, self.ours = theirs, ours
        rules = tuple(rules)
        self.rules = [rule.name for rule in rules]
        self.hooks = hooks
        self.schedules = [rule.name for rule in rules if rule.schedule is not None]
        self.call: Event | None = None
        self.leg: Event | None = None
        self.placed = events.sid("CA")
        self.asked: list[HttpRequest] = []
        self.broadcast: Broadcast | None = None

    def happens(
        self, node: Node, now: datetime, sent: Sequence[Sent]
    ) -> list[Event] | float | Known:
        """What a line means: events, seconds that pass, or what was known before. `sent` can fail.
        Raises ValueError."""
        if not isinstance(node.value, dict) or len(node.value) != 1:
            raise ValueError("one line is one thing that happens, like `text: Hello` or `call: {}`")
        ((word, value),) = node.value.items()
        given = typed(value) if word in ("hook", "start") else value.plain()
        if word == "wait":
            return parse_duration(str(given))
        if word == "broadcast_ends":
            return [replace(self.broadcast_ends(given), at=now, received_at=now)]
        if word == "contact":
            return self.known(given)
        if word == "http":
            request, answer = answer_of(value, self.asked)
            self.asked.remove(request)
            return [replace(answer, at=now, received_at=now)]
        if word == "fails":
            return [replace(each, at=now, received_at=now) for each in failure(given, sent)]
        if word == "answers":
            return [replace(self.answers(given, sent), at=now, received_at=now)]
        maker = _MAKERS.get(word)
        if maker is None:
            hint = did_you_mean(word, [*_MAKERS, *_BESIDE])
            raise ValueError(f"{word!r} is nothing that can happen; {hint or 'known: ' + _KNOWN}")
        made: Event = getattr(self, maker)(given)
        return [replace(made, at=now, received_at=now)]

    def known(self, given: Any) -> Known:
        words = _words(given, "name", "contact: {name: Ada, groups: [news]}")
        groups = words.pop("groups", [])
        number = str(words.pop("number", self.theirs))
        fields = {name: as_text(value) for name, value in words.items()}
        return Known(number, fields, groups if isinstance(groups, list) else [str(groups)])

    def broadcast_ends(self, given: Any) -> Event:
        if self.broadcast is None:
            raise ValueError("no rule has begun a broadcast yet")
        words = _words(given, "sent", "broadcast_ends: {sent: 480, refused: 12, failed: 8}")
        counts = {name: str(words.pop(name, 0)) for name in ("sent", "refused", "failed")}
        if words or not all(count.isdecimal() for count in counts.values()):
            raise ValueError("a broadcast that ends has `sent`, `refused` and `failed`, as numbers")
        numbers = {name: int(count) for name, count in counts.items()}
        return events.broadcast_ended(self.broadcast, **numbers)

    def text(self, given: Any) -> Event:
        words = _words(given, "body", "text: Hello")
        media = words.pop("media", [])
        return events.sms(
            words.pop("body", ""),
            from_=words.pop("from", self.theirs),
            to=words.pop("to", self.ours),
            media=tuple(media if isinstance(media, list) else [media]),
            **words,
        )

    def message(self, given: Any) -> Event:
        words = _words(given, "status", "message: delivered")
        status = _status(
            words, MESSAGE_STATUSES, "a message of ours", "what a person writes is `text: …`"
        )
        return events.message_status(
            status,
            from_=words.pop("from", self.ours),
            to=words.pop("to", self.theirs),
            error_code=error_code(words.pop("error", 0)),
            **words,
        )

    def rings(self, given: Any) -> Event:
        words = _words(given, "", "call: {}")
        self.call = events.incoming_call(
            from_=words.pop("from", self.theirs), to=words.pop("to", self.ours), **words
        )
        return self.call

    def answers(self, given: Any, sent: Sequence[Sent]) -> Event:
        """The call of ours that a rule goes on in, and has placed last, is answered."""
        word = _known(str(given or "person"), ("person", "machine", "fax"), "who can answer", "")
        placed = [each for each in sent if isinstance(each.action, PlaceCall) and each.action.step]
        if not placed:
            raise ValueError("no call was placed in which a rule goes on: nobody can answer")
        call, sid = placed[-1].action, placed[-1].sid
        assert isinstance(call, PlaceCall)
        machine = "machine_end_beep" if call.detects == "message" else "machine_start"
        by = {"person": "human", "machine": machine, "fax": "fax"}[word] if call.detects else ""
        self.call = events.call_answered(call, by, from_=call.sender or self.ours, CallSid=sid)
        return self.call

    def call_ends(self, given: Any) -> Event:
        words = _words(given, "status", "call_status: completed")
        known = (*CALL_STATUSES, "queued", "in-progress")
        status = _status(words, known, "a call", "a call that comes in is `call: {}`")
        sender, recipient = self._ends()
        words = self._same(words)
        direction = words.pop("Direction", "inbound")
        return events.call_status(
            status, from_=sender, to=recipient, direction=direction, **words
        )  # fmt: skip

    def _ends(self) -> tuple[str, str]:
        """Who has called whom in the call that is going on."""
        if self.call is not None and self.call.tag:
            return self.call.sender, self.call.recipient
        return self.theirs, self.ours

    def keys(self, given: Any) -> Event:
        return self._step("Digits", given, 'keys: "1"')

    def speech(self, given: Any) -> Event:
        return self._step("SpeechResult", given, "speech: a table for two")

    def recording(self, given: Any) -> Event:
        return self._step("RecordingUrl", given, "recording: https://example.org/one.wav")

    def silence(self, given: Any) -> Event:
        return self._step("", given, "silence: {}")

    def picks_up(self, given: Any) -> Event:
        """Somebody who is rung by a `dial` of the call that goes on picks up; the keys behind it
        are theirs until it is known how the `dial` went."""
        if self.call is None:
            raise ValueError("nobody is rung: no call goes on")
        self.leg = events.call_step(
            from_=self.call.sender, to=str(given or self.theirs), Direction="outbound-dial",
            ParentCallSid=self.call.call_sid,
        )  # fmt: skip
        return self.leg

    def dialed(self, given: Any) -> Event:
        self.leg = None
        words = _words(given, "DialCallStatus", "dialed: no-answer")
        _known(str(words.get("DialCallStatus", "")), DIALED, "a call that was dialed", "")
        return self._step("DialCallStatus", words, "")

    def schedule(self, given: Any) -> Event:
        _known(str(given), self.schedules, "a rule with a schedule", "", is_="is not the name of")
        return Event(
            events.sid("evt_"), "timer.due", events.NOON, events.NOON, source="internal",
            fields={"Rule": str(given)},
        )  # fmt: skip

    def hook(self, given: Any) -> Event:
        name, data = _named(given, "hook: {shop: {data: {id: 17}}}")
        _known(name, [*self.hooks], "a hook", "", is_="is not the name of")
        found, value = self.hooks[name], data_of(data) if isinstance(data, str) else data
        facts = facts_of(found, value, at(value, found.id), self.ours)
        return events.hook(name, value, from_=facts.phone, to=facts.ours, identity=facts.id)

    def start(self, given: Any) -> Event:
        words = dict(given) if isinstance(given, dict) else {"rule": given}
        rule, to, data = (
            str(words.pop("rule", "")),
            str(words.pop("to", "")),
            words.pop("json", None),
        )
        if words:
            raise ValueError(f"{next(iter(words))!r} is unknown here; known: rule, to, json")
        _known(rule, self.rules, "a rule", "", is_="is not the name of")
        return events.started(rule, data, to=to, ours=self.ours)

    def _step(self, field: str, given: Any, example: str) -> Event:
        """A call goes on: the call that rang last, or with `placed: true` one that we placed to
        `to`. Of a mapping each word is a field of the webhook."""
        words = _words(given, field, example)
        if self.leg is not None and field == "Digits":
            return events.call_step(**{**self.leg.fields, **words})
        sender, recipient = self._ends()
        if str(words.pop("placed", "")) == "true":
            sender, recipient = self.ours, self.theirs
            words = {"Direction": "outbound-api", "CallSid": self.placed, **words}
        else:
            words = self._same(words)
        sender, recipient = words.pop("from", sender), words.pop("to", recipient)
        return events.call_step(from_=sender, to=recipient, **words)

    def _same(self, words: dict[str, Any]) -> dict[str, Any]:
        """The fields of something in the call that is going on."""
        if self.call is None:
            return words
        placed = {"Direction": "outbound-api"} if self.call.tag else {}
        return {**placed, **words, "CallSid": self.call.call_sid}


_MAKERS = {
    "text": "text", "message": "message", "call": "rings", "call_status": "call_ends",
    "keys": "keys", "speech": "speech", "recording": "recording", "silence": "silence",
    "dialed": "dialed", "picks_up": "picks_up",
    "schedule": "schedule", "hook": "hook", "start": "start",
}  # fmt: skip
_BESIDE = ("answers", "contact", "broadcast_ends", "wait", "fails", "http")
_KNOWN = ", ".join([*_MAKERS, *_BESIDE])


def _named(given: Any, example: str) -> tuple[str, Any]:
    """A name and what belongs to it."""
    if not isinstance(given, dict) or len(given) != 1:
        raise ValueError(f"{given!r} cannot be read here; write it like `{example}`")
    return next(iter(given.items()))


def typed(node: Node) -> Any:
    """The value of a node as JSON has it: what is written without quotes as a number or a word of
    JSON is one."""
    if isinstance(node.value, dict):
        return {name: typed(inner) for name, inner in node.value.items()}
    if isinstance(node.value, list):
        return [typed(each) for each in node.value]
    if not node.style and JSON_WORD.fullmatch(node.value):
        return json.loads(node.value)
    return node.value


def _words(given: Any, field: str, example: str) -> dict[str, Any]:
    """The fields that a value means: a mapping's own, or one value as that of `field`."""
    if isinstance(given, dict):
        return dict(given)
    if given in (None, "") and not field:
        return {}
    if not field or given is None or isinstance(given, list):
        raise ValueError(f"{given!r} cannot be read here; write it like `{example}`")
    return {field: given}


def _status(words: dict[str, Any], known: Sequence[str], of: str, else_: str) -> str:
    if "status" not in words:
        raise ValueError(f"'status' is missing; {of} is one of {', '.join(known)}")
    return _known(str(words.pop("status")), known, of, else_, is_="is no status of")


def _known(
    word: str, known: Sequence[str], of: str, else_: str, is_: str = "is no status of"
) -> str:
    if word not in known:
        hint = did_you_mean(word, known) or f"known: {', '.join(known) or 'none'}"
        raise ValueError(f"{word!r} {is_} {of}; {hint}{f'; {else_}' if else_ else ''}")
    return word
