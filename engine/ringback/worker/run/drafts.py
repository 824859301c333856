"""Questions of drafts: the wait for an answer begins when a person has approved the question. Pure.

Until then no text is taken for the answer, and the time for one does not run. Nobody waits for
ever: a question that nobody has decided about for a week counts as unanswered.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from ringback.action_kinds import is_message
from ringback.actions import Action, HttpRequest
from ringback.events import CALL_OVER
from ringback.rules.interpreter.progress import Progress, Wait
from ringback.rules.model import PLACED
from ringback.runtime import iso
from ringback.store.actions import StoredAction
from ringback.store.runs import StoredRun
from ringback.worker.run.plan import DRAFT

UNDECIDED = "its question waits for a person's yes"
PATIENCE = timedelta(days=7)


def is_draft(action: StoredAction) -> bool:
    """Whether an action waits for a person's yes."""
    return action.state == "parked" and action.reason == DRAFT


def asks(action: Action, reason: str) -> bool:
    """Whether an action, parked for this reason, is a text of a draft, which may be a question, or
    a request whose answer is waited for, or a call in which its run goes on."""
    awaited = isinstance(action, HttpRequest) and bool(action.answer)
    placed = bool(getattr(action, "step", ""))
    return reason == DRAFT and (awaited or placed or is_message(action))


def held(progress: Progress, asked: Sequence[str], now: datetime) -> Progress:
    """The progress of a run that waits for an event behind a text of a draft: it begins to do so
    with the yes to the last text of this step; `asked` are those texts (uid). Any other progress
    stays as it is."""
    wait = progress.wait
    if wait is None or not asked or not wait.event_types:
        return progress
    if set(CALL_OVER) <= set(wait.event_types) and not wait.key.startswith(PLACED):
        return progress
    saved, until = progress.state["wait"], now + PATIENCE
    kept = {"by": asked[-1], "at": iso(now), "due": saved["due"], "types": saved["types"]}
    state = {**saved, "due": iso(until), "types": [], "held": kept}
    return replace(
        progress, wait=Wait(until, (), wait.key), state={**progress.state, "wait": state}
    )


def is_held(state: Mapping[str, Any]) -> bool:
    """Whether what a run has asked waits for a person's yes."""
    return "held" in state.get("wait", ())


def holds(run: StoredRun | None, action_uid: str) -> bool:
    """Whether a run waits for the yes to this action."""
    if run is None or run.state != "waiting" or not run.memory:
        return False
    kept = (json.loads(run.memory).get("wait") or {}).get("held") or {}
    return bool(kept.get("by") == action_uid)


def begun(memory: str, now: datetime) -> tuple[dict[str, Any], Wait]:
    """The state of such a run once it is said, and its wait, for as long as the rule says."""
    state: dict[str, Any] = json.loads(memory)
    saved = state["wait"]
    kept = saved.pop("held")
    due = None
    if kept["due"]:
        due = now + (datetime.fromisoformat(kept["due"]) - datetime.fromisoformat(kept["at"]))
    state["wait"] = {**saved, "due": iso(due) if due else "", "types": kept["types"]}
    return state, Wait(due, tuple(kept["types"]), saved["key"])
