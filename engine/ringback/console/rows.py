"""Rows of Live: an event in short, with the rules that fired and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ringback.console import tones
from ringback.store.queries import shapes


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as a list shows it. `ours` is our side of its conversation; `is_open` says that
    something that it caused has not ended."""

    id: int
    uid: str
    at: str
    type: str
    tone: str
    sender: str
    recipient: str
    ours: str
    text: str
    error_code: int
    error: str
    fired: tuple[str, ...]
    silent: int
    waits: bool
    outcome: str
    outcome_tone: str
    more: int
    is_open: bool
    source: str
    trust: str


SAID = ("sender", "recipient", "text", "error", "fired")
"""The parts of a row that may hold a number of a person, or what one said."""


def hidden(row: EventRow, shown: Mapping[str, Any]) -> EventRow:
    """A row with these parts as whoever asks may see them."""
    return replace(row, **{**shown, "fired": tuple(shown["fired"])})


def row_of(event: Mapping[str, Any], actions: Sequence[Mapping[str, Any]]) -> EventRow:
    """An event of `Questions`, with the actions that it caused."""
    fields = event["fields"] if isinstance(event["fields"], dict) else {}
    verdicts = event["verdicts"] if isinstance(event["verdicts"], dict) else {}
    fired = tuple(name for name, verdict in verdicts.items() if verdict == "fired")
    first = tones.worst(actions)
    shown = shapes.with_error(event)
    return EventRow(
        id=event["id"], uid=event["uid"], at=event["received_at"], type=event["type"],
        tone=tones.of_event(event["type"]), sender=event["sender"], recipient=event["recipient"],
        ours=event["conversation"].partition("/")[0], text=shapes.said(fields),
        error_code=event["error_code"], error=shown["error"]["title"] if "error" in shown else "",
        fired=fired, silent=len(verdicts) - len(fired), waits=event["verdicts"] is None,
        outcome=tones.words_of(first) if first else "",
        outcome_tone=tones.of_action(first) if first else "none",
        more=max(len(actions) - 1, 0),
        is_open=event["verdicts"] is None or any(
            each["state"] in ("planned", "deferred", "sending", "unknown", "accepted")
            for each in actions
        ),
        source=event["source"], trust=event["trust"],
    )  # fmt: skip
