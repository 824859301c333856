"""Job: one call that somebody waits for, and what becomes of it in words.

Proof earns blame: the call was late, or its process ended while this one call ran. A process that
somebody killed (SIGKILL) is no proof the first time. Whatever is lost with another's fault is made
again, which plugins' code allows, because it performs nothing.
"""

import asyncio
import os
import signal
from dataclasses import dataclass

from ringback.errors import PluginBlocked, PluginError
from ringback.plugins.requests import FunctionCalls, Request
from ringback.worker.hosts import wire

MOST_LOSSES = 5
"""So often a call is made again that was lost through no fault of its own."""


@dataclass(eq=False, slots=True)
class Job:
    """A call. `future` gets the answer as it came. `number` tells its current try from the ones
    before, `sent` is when that was sent.

    `lost` counts the tries that were lost with another's fault, `killed` those that a SIGKILL from
    outside ended. One that is `alone` gets a process that has done no other's calls: what it ends
    there is its own doing.
    """

    request: Request
    owner: str
    limit: float
    payload: bytes
    future: "asyncio.Future[bytes]"
    number: int = 0
    sent: float = 0.0
    lost: int = 0
    killed: int = 0
    alone: bool = False

    def finish(self, kind: int, payload: bytes) -> None:
        """Give what a host has answered to whoever waits."""
        if self.future.done():
            return
        if kind == wire.ANSWER:
            self.future.set_result(payload)
        elif kind == wire.ERROR:
            self.fail(PluginError(self.request.plugin, wire.read_reason(payload)))
        elif kind == wire.MEMORY:
            why = wire.read_reason(payload)
            self.blame(f"needed more memory than its process may have: {why}")
        else:
            self.late()

    def fail(self, error: Exception) -> None:
        """Tell whoever waits why there is no answer."""
        if not self.future.done():
            self.future.set_exception(error)

    def late(self, place: int = 0) -> None:
        """It took too long, at this place of its batch."""
        self.blame(f"took longer than {self.limit:g} s", place)

    def blame(self, what: str, place: int = 0) -> None:
        """It is proven that this call did `what`."""
        owner = self.owner
        if isinstance(self.request, FunctionCalls) and place < len(self.request.calls):
            owner = f"{self.request.plugin}.{self.request.calls[place][0]}"
            what = f"function {self.request.calls[place][0]!r} {what}"
        self.fail(PluginBlocked(self.request.plugin, what, owner))

    def ended(self, status: int | None, what: str, place: int = 0, *, shared: bool) -> bool:
        """Its process has ended while it ran, with this wait status; None when only its connection
        has, of which `what` has the words. `shared` says that the process has done calls of others,
        which may have left something behind that ended it.

        Whether the call may be made again; else it is blamed.
        """
        if status is not None:
            what = f"ended its process with {how(status)}"
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                self.killed += 1
                if self.killed < 2:
                    return True
                shared, what = False, "had its process killed twice (SIGKILL: out of memory?)"
        if self.doubtful(shared):
            return True
        self.blame(what, place)
        return False

    def doubtful(self, shared: bool) -> bool:
        """Whether what became of it may be another's doing: then it is made again alone."""
        if shared and not self.alone:
            self.alone = True
            return True
        return False


def how(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        known = {each.value: each.name for each in signal.Signals}
        return f"signal {known.get(number, number)}"
    return f"exit code {os.waitstatus_to_exitcode(status)}"
