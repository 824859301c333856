"""Past and clock of a bench: what rules may ask of what has happened on it."""

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ringback.action_kinds import OutgoingMessage, is_message
from ringback.actions import Action, Remember, SendMessage, SetMember
from ringback.events import CALL_OVER, REPLAY, Event, conversation_of, matches_type, telephone
from ringback.keywords import opt_out_word
from ringback.rules.delivery_rates import DeliveryFacts, Ended, first_minute
from ringback.rules.functions.choice_facts import ChoiceFacts
from ringback.rules.language import phones
from ringback.rules.language.scope import member_place
from ringback.rules.retry_policy import FailedText
from ringback.testing.sent_texts import SentTexts
from ringback.twilio import segments

LAST_TEXTS = 50
_Where = tuple[str, str, str]


class SteppedClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment.astimezone(UTC)  # where a span is as long as it says

    def now(self) -> datetime:
        """The moment at which it stands, UTC."""
        return self._moment

    def monotonic(self) -> float:
        """The same in seconds."""
        return self._moment.timestamp()

    def advance(self, span: timedelta) -> None:
        """Let this much time pass."""
        self._moment += span


@dataclass
class Past(DeliveryFacts, ChoiceFacts):
    """What a bench has seen: the answers to what rules ask of the journal (`scope.Facts`).

    Moments are kept in order under each of the words by which they are asked for, so that a long
    past answers as quickly as a short one. `kept` holds what was remembered, `shadows` what each
    rule in shadow would have, empty for what it forgot; `shadow` is the one that asks. `cards` are
    fields of persons by their numbers, `members` pairs of group and number. `failed` are the texts
    that can fail in a case, by their actions.
    """

    clock: SteppedClock
    kept: dict[tuple[str, str], str] = field(default_factory=dict)
    shadows: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    shadow: str = ""
    turns: dict[str, int] = field(default_factory=dict)
    cards: dict[str, dict[str, str]] = field(default_factory=dict)
    members: set[tuple[str, str]] = field(default_factory=set)
    failed: dict[str, FailedText] = field(default_factory=dict)
    _came: dict[_Where, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    _heard: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    _sent: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    _written: dict[str, deque[tuple[str, bool]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=LAST_TEXTS))
    )
    _types: dict[str, None] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)
    _texts: SentTexts = field(default_factory=SentTexts)
    _out: list[datetime] = field(default_factory=list)
    _segments: list[datetime] = field(default_factory=list)

    def happened(self, event: Event) -> None:
        """One more event; it counts from now on. What is replayed is in the past already."""
        if event.source == REPLAY:
            return
        self._types[event.type] = None
        for conversation in {event.conversation, ""}:
            for error_class in {event.error_class, ""}:
                self._came[event.type, conversation, error_class].append(event.received_at)
        self._texts.happened(event)
        if event.type in CALL_OVER:
            self._over.add(event.call_sid)
        if event.type == "message.received":
            insort(self._heard[event.conversation], event.at)
            said = event.fields.get("OptOutType") or opt_out_word(event.body, event.sender)
            if said == "STOP":
                self._out.append(event.received_at)

    def record(self, action: Action, event: Event | None) -> None:
        """Note what an action would do to the past, as if it were carried out at once."""
        if is_message(action):
            ours = action.sender or (event.ours if event else "")
            self.wrote(conversation_of(ours, action.to), self.clock.now(), action)
        elif isinstance(action, Remember):
            place = (action.conversation, action.name)
            for own in self.shadows.values():
                own.pop(place, None)
            if action.value is None:
                self.kept.pop(place, None)
                self.cards.get(telephone(place[0].partition("/")[2]), {}).pop(action.name, None)
            else:
                self.kept[place] = action.value
        elif isinstance(action, SetMember):
            self._set_member(action)

    def would(self, rule: str, action: Action) -> None:
        """Note what a rule in shadow would remember, for it alone."""
        if isinstance(action, Remember):
            own = self.shadows.setdefault(rule, {})
            own[action.conversation, action.name] = action.value or ""
        elif isinstance(action, SetMember):
            own = self.shadows.setdefault(rule, {})
            own[member_place(action.group), telephone(action.who)] = "in" if action.member else ""

    def know(
        self, number: str, fields: Mapping[str, str] | None = None, groups: Iterable[str] = ()
    ) -> None:
        """Know somebody from before, as an import would have it."""
        key = telephone(phones.plain(number))
        self.cards.setdefault(key, {}).update(fields or {})
        self.members |= {(group, key) for group in groups}

    def _set_member(self, action: SetMember) -> None:
        place = (action.group, telephone(action.who))
        for own in self.shadows.values():
            own.pop((member_place(action.group), place[1]), None)
        (self.members.add if action.member else self.members.discard)(place)

    def is_member(self, group: str, number: str) -> bool:
        """Whether somebody is in a group."""
        own = self.shadows.get(self.shadow, {}).get((member_place(group), number))
        return (group, number) in self.members if own is None else bool(own)

    def draw_key(self) -> str:
        """The secret of a bench, always the same."""
        return "bench"

    def turn(self, name: str, place: str, before: int) -> int:
        """The next turn of a list."""
        return max(before, self.turns.get(name, -1)) + 1

    def of_shadow(self, rule: str) -> "Past":
        """The past as this rule sees it, which is in shadow."""
        return replace(self, shadow=rule)

    def wrote(
        self, conversation: str, moment: datetime, text: OutgoingMessage, rule: str = ""
    ) -> None:
        """A text of ours that left was planned at this moment."""
        service = text.messaging_service_sid if isinstance(text, SendMessage) else ""
        if "SendAt" not in getattr(text, "extra", {}):
            self._texts.left(conversation, service, rule, self.clock.now())
        insort(self._sent[conversation], moment)
        self._segments += [self.clock.now()] * segments.count(text.body)
        self._written[conversation].appendleft((text.body, bool(text.media)))

    def message_count(self, conversation: str) -> int:
        """How many messages came in this conversation."""
        return len(self._heard.get(conversation, ()))

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        """When the other side last wrote before that moment."""
        return _last(self._heard.get(conversation, []), before)

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        """When we last wrote before that moment."""
        return _last(self._sent.get(conversation, []), before)

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        """How many events of a type there were in the last seconds; empty words mean any."""
        since = self.clock.now() - timedelta(seconds=seconds)
        total = 0
        for type_ in self._types:
            if matches_type(type_pattern, type_):
                moments = self._came.get((type_, conversation, error_class), [])
                total += len(moments) - bisect_left(moments, since)
        return total

    def remembered(self, conversation: str, name: str) -> str:
        """What was remembered about this contact, empty when nothing."""
        place = (conversation, name)
        own = self.shadows.get(self.shadow, {})
        if place in own:
            return own[place]
        card = self.cards.get(telephone(conversation.partition("/")[2]), {})
        return self.kept.get(place, card.get(name, ""))

    def written(self, conversation: str) -> list[tuple[str, bool]]:
        """Our last texts in this conversation, the newest first, and whether each had pictures."""
        return list(self._written.get(conversation, ()))

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        """How many texts came to an end in the last seconds."""
        return self._texts.counts.ended(by, of, first_minute(self.clock.now(), seconds))

    def pending_texts(self, seconds: float, sender: str = "") -> int:
        """How many texts of the last day have had no final state for longer than this."""
        return self._texts.pending(self.clock.now(), seconds, sender)

    def failed_text(self, action_uid: str) -> FailedText | None:
        """The text of an action whose end a case plays."""
        return self.failed.get(action_uid)

    def left(self, seconds: float) -> int:
        """How many people opted out in the last seconds."""
        return self._since(self._out, seconds)

    def segments_taken(self, seconds: float) -> int:
        """How many segments the texts took that left in the last seconds."""
        return self._since(self._segments, seconds)

    def _since(self, moments: list[datetime], seconds: float) -> int:
        since = self.clock.now() - timedelta(seconds=seconds)
        return len(moments) - bisect_left(moments, since)

    def call_over(self, call_sid: str) -> bool:
        """Whether a call has ended."""
        return call_sid in self._over

    def placed_call(self, event: Event) -> str:
        """What happens to a call of ours on a bench says so itself."""
        return event.tag


def _last(moments: list[datetime], before: datetime) -> datetime | None:
    place = bisect_left(moments, before)
    return moments[place - 1] if place else None
