"""Calls that wait for TwiML right now, and when they stop waiting.

The receiver asks and keeps a deadline; when it gives up it says so, and what a rule says later
becomes an update of the live call instead.
"""

import asyncio
from dataclasses import dataclass

from ringback.rules.model import Rule


@dataclass(slots=True)
class Waiting:
    """One call that waits. `future` gets the TwiML, or an empty text when nobody answers it, which
    is known when the last of its `holders` has left: those of whom one may speak yet. `failed`
    says that a run which could have spoken has failed, `unproven` that the proof of the request is
    a holder. `followed` is the action (uid) of the answer when others wait until the caller has got
    it."""

    call_sid: str
    future: "asyncio.Future[str]"
    deadline: float
    holders: int = 0
    failed: bool = False
    unproven: bool = False
    followed: str = ""

    def still(self) -> str:
        """The SID while the call waits, empty once it has its answer or the deadline has passed."""
        late = asyncio.get_running_loop().time() >= self.deadline
        return "" if self.future.done() or late else self.call_sid

    def give(self, twiml: str) -> bool:
        """Answer it; False when it came too late."""
        if not self.still():
            return False
        self.future.set_result(twiml)
        return True

    def leave(self) -> None:
        """One of the holders has said what it had to say, if anything."""
        self.holders -= 1
        if self.holders <= 0:
            self.give("")


class Answers:
    """The calls that wait, by the log row of their request.

    Matching may meet the row before the receiver asks for it, or after: whoever comes first makes
    the entry.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._waiting: dict[int, Waiting] = {}

    def wait(self, log_id: int, call_sid: str, age: float = 0.0) -> Waiting:
        """The entry of a request that came in `age` seconds ago."""
        waiting = self._waiting.get(log_id)
        if waiting is None:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + max(self._patience - age, 0.0)
            waiting = Waiting(call_sid, loop.create_future(), deadline)
            self._waiting[log_id] = waiting
            loop.call_later(self._patience * 2, self._waiting.pop, log_id, None)
        return waiting

    def under_way(self, call_sid: str) -> Waiting | None:
        """What this call waits for by now; None when it waits for nothing."""
        return next((each for each in self._waiting.values() if each.still() == call_sid), None)

    def get(self, log_id: int) -> Waiting | None:
        """The entry of a request, if there is one."""
        return self._waiting.get(log_id)

    def late(self, log_id: int) -> bool:
        """The receiver has given its fallback: the call waits no longer, whether its row was
        matched or will be. False when an answer may have been given for it before."""
        waiting = self._waiting.get(log_id)
        if waiting is None:
            self.wait(log_id, "").future.cancel()
            return False
        return waiting.future.cancel()


def let_down(rule: Rule, waiting: Waiting | None) -> None:
    """A caller who waits for a run that failed hears the fallback, unless another rule speaks."""
    if waiting is not None and rule.state == "live":
        waiting.failed = True
