"""Outbox of a bench: what a node's gate says to each action, and what it keeps back until day.

It is the gate of the worker, on facts in memory. What the gate lets out counts as sent.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ringback.action_kinds import is_message, is_outgoing, sender_of
from ringback.actions import Action
from ringback.config import Settings
from ringback.events import REPLAY, Event, conversation_of, person
from ringback.rules.model import Rule
from ringback.runtime import from_iso, iso
from ringback.store.facts import Heard, Left
from ringback.testing.memory import Past, SteppedClock
from ringback.twilio.consent import BLOCKED, changes, ends_block, refusal
from ringback.worker.gate.gate import Gatekeeper
from ringback.worker.gate.gate_facts import Asked
from ringback.worker.run.plan import addressed, first_state

MEMORY = timedelta(hours=1)
"""How far back the gate asks."""
EXPIRED = "it was not sent in time and is not wanted late"


@dataclass(slots=True, eq=False)
class Dispatch:
    """An action on its way. `made` is what a rule or hook asked for, in a run that `event` began;
    `action` is what would leave: with a sender, to a number in one spelling.

    `state` is `sent`, `refused`, `deferred` (until `due_at`) or `failed`, or that of a rule in
    shadow (`captured`) or draft (`parked`); `reason` is in the words of the node. `put_off` is why
    it waited before. `after` is the depth of the action whose end a hook saw.
    """

    rule: str
    made: Action
    action: Action
    event: Event | None
    planned_at: datetime
    conversation: str
    state: str
    reason: str
    put_off: str = ""
    due_at: datetime | None = None
    sent_at: datetime | None = None
    after: int = 0

    @property
    def event_uid(self) -> str:
        """The event that it answers."""
        return self.event.uid if self.event is not None else ""

    @property
    def depth(self) -> int:
        """How many of our own actions caused each other, with this one."""
        return (self.event.depth if self.event is not None else self.after) + 1


class Outbox:
    """Judges dispatches, lets out what may leave, and keeps what is deferred."""

    def __init__(
        self, rules: Iterable[Rule], settings: Settings, clock: SteppedClock, past: Past
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._past = past
        self._facts = BenchGateFacts(clock)
        self._gate = Gatekeeper(settings, clock)
        self._gate.reload(rules)
        self._number = 0
        self._deferred: list[tuple[datetime, int, Dispatch]] = []

    def learn(self, event: Event) -> None:
        """Take note of what an event says about consent, and of who wrote."""
        self._facts.learn(event)
        self._gate.learn(event)

    def put(
        self, rule: str, rule_state: str, made: Action, event: Event | None, after: int = 0
    ) -> Dispatch:
        """What becomes of an action that a rule in this state asks for now."""
        ours = event.ours if event is not None else ""
        action = addressed(self._with_sender(made, event), ours, self._settings.sender)
        conversation = event.conversation if event is not None else ""
        if is_outgoing(action):
            conversation = conversation_of(sender_of(action, self._settings.sender), action.to)
        state, reason = first_state(rule_state, action)
        dispatch = Dispatch(
            rule, made, action, event, self._clock.now(), conversation, state, reason, after=after
        )
        if state == "planned":
            self._judge(dispatch)
        elif state == "settled":
            self._leave(dispatch)
        elif state == "captured":
            self._past.would(rule, action)
        return dispatch

    def next_due(self) -> datetime | None:
        """When the next of those that are deferred may be tried."""
        return self._deferred[0][0] if self._deferred else None

    def release(self) -> list[Dispatch]:
        """Try those again whose time has come, and give them, whatever became of them."""
        tried = []
        while self._deferred and self._deferred[0][0] <= self._clock.now():
            _, _, dispatch = heapq.heappop(self._deferred)
            tried.append(dispatch)
            if self._expired(dispatch):
                dispatch.state, dispatch.reason, dispatch.due_at = "failed", EXPIRED, None
            else:
                self._judge(dispatch)
        return tried

    def _judge(self, dispatch: Dispatch) -> None:
        dispatch.state, dispatch.reason, until = self._gate.look(dispatch, self._facts)
        dispatch.due_at = from_iso(until) if until else None
        if dispatch.due_at is not None:
            self._number += 1
            dispatch.put_off = dispatch.reason
            heapq.heappush(self._deferred, (dispatch.due_at, self._number, dispatch))
        if dispatch.state == "planned":
            self._leave(dispatch)

    def _leave(self, dispatch: Dispatch) -> None:
        dispatch.state, dispatch.sent_at = "sent", self._clock.now()
        if is_outgoing(dispatch.action):
            self._facts.sent(dispatch)
        if is_message(dispatch.action):
            self._past.wrote(
                dispatch.conversation, dispatch.planned_at, dispatch.action, dispatch.rule
            )
        else:
            self._past.record(dispatch.action, dispatch.event)

    def _expired(self, dispatch: Dispatch) -> bool:
        """Whether its author said for how long it is good, and that is over. Without such a word it
        is as welcome in the morning as in the evening."""
        seconds = dispatch.action.send_by if is_outgoing(dispatch.action) else 0
        return bool(seconds) and self._clock.now() > dispatch.planned_at + timedelta(
            seconds=seconds
        )

    def _with_sender(self, action: Action, event: Event | None) -> Action:
        """Where no setting names a number of ours, the one that was written to speaks."""
        if is_outgoing(action) and not sender_of(action, self._settings.sender) and event:
            spoken: Any = action
            return replace(spoken, sender=event.ours)  # type: ignore[no-any-return]
        return action


class BenchGateFacts:
    """The past of a bench as its gate sees it; see `GateFacts`. What is older than an hour is
    forgotten, but for consent."""

    def __init__(self, clock: SteppedClock) -> None:
        self._clock = clock
        self._consent: dict[tuple[str, str], tuple[datetime, str, str]] = {}
        self._service: dict[str, str] = {}
        self._heard: defaultdict[str, list[Heard]] = defaultdict(list)
        self._sent: defaultdict[str, list[Dispatch]] = defaultdict(list)

    def learn(self, event: Event) -> None:
        """One more event."""
        if event.type == "message.received":
            old = self._clock.now() - MEMORY
            heard = [each for each in self._heard[event.conversation] if each.at >= old]
            said = Heard(event.at, event.received_at, event.body)
            self._heard[event.conversation] = [*heard, said]
        if event.trust == "claimed" or event.source in ("internal", REPLAY):
            return
        service = event.fields.get("MessagingServiceSid", "")
        if service and event.type == "message.received":
            self._service[event.recipient] = service
        if ends_block(event):
            for sender in {event.recipient, self._service.get(event.recipient, "")}:
                place = (person(sender), person(event.sender))
                at, state, source = self._consent.get(place, (None, "", ""))
                if at is not None and (state, source) == ("out", refusal(BLOCKED)):
                    self._consent[place] = (event.at, "in", "wrote again")
        for change in changes(event):
            place = (person(change.sender), person(change.recipient))
            known = self._consent.get(place)
            if known and known[1] == "out" and change.source == refusal(BLOCKED):
                continue  # it says nothing more
            if known is None or event.trust != "confirmed" or event.at >= known[0]:
                self._consent[place] = (event.at, change.state, change.source)

    def sent(self, dispatch: Dispatch) -> None:
        """A message or call has left."""
        old = self._clock.now() - MEMORY
        kept = [each for each in self._sent[dispatch.conversation] if _moment(each) >= old]
        self._sent[dispatch.conversation] = [*kept, dispatch]

    def opted_out(self, sender: str, recipient: str) -> str:
        """How and when this recipient opted out of this sender."""
        senders = (sender, self._service.get(sender, sender))
        known = [self._consent.get((person(each), person(recipient))) for each in senders]
        at, state, source = max((each for each in known if each), default=(None, "", ""))
        return f"{source}, {iso(at)}" if at is not None and state == "out" else ""

    def our_numbers(self) -> set[str]:
        """Nobody has written before a bench begins."""
        return set()

    def sent_since(self, conversation: str, since: datetime) -> tuple[Sequence[datetime], int]:
        """When what was sent in a conversation was planned; and how much that was planned before
        then has been tried since."""
        sent = self._sent.get(conversation, ())
        late = sum(each.planned_at < since <= _moment(each) for each in sent)
        return sorted(each.planned_at for each in sent if each.planned_at >= since), late

    def heard_since(self, conversation: str, since: datetime) -> Sequence[datetime]:
        """When their texts were sent to us."""
        return [each.at for each in self._heard.get(conversation, ()) if each.at >= since]

    def heard_last(self, conversation: str, since: datetime, limit: int) -> Sequence[Heard]:
        """Their last texts, the newest first."""
        heard = [each for each in self._heard.get(conversation, ()) if each.at >= since]
        return heard[: -limit - 1 : -1]

    def written_since(self, conversation: str, since: datetime) -> Sequence[tuple[datetime, str]]:
        """Our texts, oldest first."""
        sent = self._sent.get(conversation, ())
        found = [
            (_moment(each), each.action.body)
            for each in sent
            if is_message(each.action) and each.planned_at >= since
        ]
        return sorted(found, key=lambda pair: pair[0])

    def conversation_with(self, action: Asked, recipient: str) -> str:
        """The conversation of the event that an action answers, when the recipient caused it."""
        event = action.event if isinstance(action, Dispatch) else None
        return event.conversation if event and person(event.sender) == person(recipient) else ""

    def caused_itself(self, action: Asked) -> bool:
        """A bench plays no ends of actions: what happens on it is told from outside."""
        return False

    def tries_before(self, event_uid: str) -> int:
        """A bench plays no ends of actions."""
        return 0

    def tried_for(self, event_uid: str) -> str:
        """What has failed on a bench stays so."""
        return ""

    def ever_tried(self) -> bool:
        """Nothing was tried before a bench begins."""
        return False

    def tries_since(self, since: datetime) -> Sequence[tuple[datetime, str]]:
        """Nothing was tried before a bench begins."""
        return ()

    def left_since(self, since: datetime, before: datetime) -> Iterable[Left]:
        """A day begins before anything has left in it: the gate is asked first."""
        return ()


def _moment(dispatch: Dispatch) -> datetime:
    return dispatch.sent_at or dispatch.planned_at
