"""Which runs wait for which event: derived from the journal's rows, kept at hand for matching."""

import json
from dataclasses import dataclass

from ringback.events import Event, matches_type
from ringback.rules.interpreter import Wait
from ringback.store.running import StoredRun


@dataclass(frozen=True, slots=True)
class Waiter:
    """One waiting run and what would wake it."""

    run_uid: str
    wait: Wait


class Waits:
    """The waiting runs by their key: a conversation, a call, or the SID of the subject."""

    def __init__(self) -> None:
        self._by_key: dict[str, list[Waiter]] = {}
        self._keys: dict[str, str] = {}

    def add(self, run_uid: str, wait: Wait) -> None:
        """This run waits from now on. Runs that wait for time alone need no entry."""
        self.drop(run_uid)
        if wait.event_types:
            self._by_key.setdefault(wait.key, []).append(Waiter(run_uid, wait))
            self._keys[run_uid] = wait.key

    def restore(self, run: StoredRun) -> None:
        """A waiting run as the journal holds it, after a restart."""
        saved = json.loads(run.memory).get("wait") if run.memory else None
        if saved:
            self.add(run.uid, Wait(None, tuple(saved["types"]), saved["key"]))

    def drop(self, run_uid: str) -> None:
        """This run waits no longer."""
        key = self._keys.pop(run_uid, None)
        if key is not None:
            left = [waiter for waiter in self._by_key[key] if waiter.run_uid != run_uid]
            if left:
                self._by_key[key] = left
            else:
                del self._by_key[key]

    def woken_by(self, event: Event) -> list[str]:
        """The runs that this event wakes, in the order in which they began to wait."""
        found: list[str] = []
        keys = [event.conversation, event.call_sid, event.subject_sid]
        for key in dict.fromkeys(key for key in keys if key):
            found += [
                waiter.run_uid
                for waiter in self._by_key.get(key, ())
                if any(matches_type(name, event.type) for name in waiter.wait.event_types)
            ]
        return found
