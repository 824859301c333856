"""Confirmation of a webhook without an auth token, by reading its resource back.

A request to the secret path only claims. The gateway must know the SID, in our account, with the
same addresses, text and direction, and young enough; then the event is `confirmed` and the rules
see it. A tag or a SID that nobody but Twilio can have had is proof by itself.
https://www.twilio.com/docs/messaging/api/message-resource#fetch-a-message-resource
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from ringback.errors import BadRequest, GatewayError, NotFound, RingbackError
from ringback.events import Event
from ringback.gateway.client import Gateway
from ringback.gateway.records import Call, Message
from ringback.outcomes import normal_status, rank
from ringback.runtime import REAL, Runtime, iso
from ringback.twilio.rest import Request, path
from ringback.twilio.rest import sid as sid_of

log = logging.getLogger(__name__)

TRIES = (0.0, 1.0, 4.0)
"""Seconds before each look: Twilio's list may lag behind its own webhook."""
AGAIN_SECONDS = 2.0
LONGEST_SECONDS = 300.0
"""While the gateway gives no answer, it is asked again after pauses that double between these."""
OLDEST = timedelta(hours=24)
AT_ONCE = 8
AT_HAND = 500
"""So many claims are in memory; those beyond it wait in the journal for their turn."""


class Confirmer:
    """Looks claimed events up. `accounts` answers an account's SID when it is one of ours. `claims`
    gives the oldest, so many, that nobody has looked up yet; `on_proof` gets an event's uid, the
    trust that it earned and why it did not earn more. `told` hears of each request how it ended,
    with the resource that it was for."""

    def __init__(
        self,
        gateway: Gateway | None,
        accounts: Callable[[str], str],
        claims: Callable[[int], Awaitable[Sequence[Event]]],
        on_proof: Callable[[str, str, str], Awaitable[None]],
        told: Callable[[str, GatewayError | None], object] = lambda _resource, _error: None,
        runtime: Runtime = REAL,
    ) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._claims = claims
        self._on_proof = on_proof
        self._told = told
        self._runtime = runtime
        self._unanswered: dict[str, tuple[str, str]] = {}
        self._more = False
        self._refilling: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(AT_ONCE)

    def look(self, event: Event) -> None:
        """Find out about a claimed event, in the background, as soon as there is a free place."""
        if event.uid in self._tasks:
            return
        if len(self._tasks) >= AT_HAND:
            self._more = True
            return
        task = asyncio.ensure_future(self._look(event))
        self._tasks[event.uid] = task
        task.add_done_callback(lambda _: self._done(event.uid))

    def unanswered(self) -> tuple[str, str] | None:
        """Since when events wait for a gateway that does not say whether they are real, how many,
        and why; None when none does. Rules do not see them meanwhile."""
        if not self._unanswered:
            return None
        since, why = min(self._unanswered.values())
        count = len(self._unanswered)
        return since, f"{count} event{'s wait' if count != 1 else ' waits'} to be confirmed: {why}"

    async def refill(self) -> None:
        """Take up what lies in the journal."""
        found = await self._claims(AT_HAND)
        self._more = len(found) == AT_HAND
        for event in found:
            self.look(event)

    def _done(self, uid: str) -> None:
        self._tasks.pop(uid, None)
        self._unanswered.pop(uid, None)
        if self._more and len(self._tasks) <= AT_HAND // 2:
            self._more = False
            self._refilling = asyncio.ensure_future(self._take_more())

    async def _take_more(self) -> None:
        try:
            await self.refill()
        except RingbackError as error:
            log.error("claims that wait could not be read: %s", error)

    async def close(self) -> None:
        """Stop looking. What is still open is looked for again by the next worker."""
        self._more = False
        if self._refilling is not None:
            self._refilling.cancel()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, event: Event) -> None:
        why = await self._doubt(event)
        trust = "claimed" if why else "confirmed"
        if why:
            log.warning("%s %s is not confirmed: %s", event.type, event.uid, why)
        try:
            await self._on_proof(event.uid, trust, why)
        except RingbackError as error:
            log.error("the proof of %s could not be written: %s", event.uid, error)

    async def _doubt(self, event: Event) -> str:
        """Why it is not what it claims to be; empty when it is."""
        why = "no gateway is configured that could confirm it"
        for pause in TRIES if self._gateway is not None else ():
            await asyncio.sleep(pause)
            try:
                return await self._answer(event)
            except NotFound:
                why = f"the gateway does not know {event.subject_sid}"
            except GatewayError as error:
                why = f"it could not be looked up: {error}"
        return why

    async def _answer(self, event: Event) -> str:
        """Ask until there is an answer: a gateway that is down says nothing about the event, and a
        STOP that came meanwhile must count as soon as it is up. Raises NotFound and BadRequest."""
        pause = AGAIN_SECONDS
        while True:
            try:
                async with self._free:
                    found = await self._difference(event)
                self._told(_resource(event), None)
                return found
            except (NotFound, BadRequest) as error:
                self._told(_resource(event), error)
                raise
            except GatewayError as error:
                self._told(_resource(event), error)
                since, _ = self._unanswered.get(event.uid, (iso(self._runtime.now()), ""))
                self._unanswered[event.uid] = (since, str(error).split("\n")[0])
                log.warning("%s %s cannot be looked up now: %s", event.type, event.uid, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_SECONDS)

    async def _difference(self, event: Event) -> str:
        """What the resource says otherwise than the webhook; empty when they agree."""
        assert self._gateway is not None
        if event.account_sid != self._accounts(event.account_sid):
            return f"account {event.account_sid} is not ours"
        if event.subject_sid[:2] in ("SM", "MM"):
            return self._message(event, Message.read(await self._fetch(event, event.subject_sid)))
        if event.call_sid:
            return self._call(event, Call.read(await self._fetch(event, event.call_sid)))
        return f"{event.type} has no resource that could be read back"

    async def _fetch(self, event: Event, sid: str) -> dict[str, Any]:
        """The resource behind an event, in its own account."""
        assert self._gateway is not None
        name = _resource(event)
        where = path(event.account_sid, name.title(), sid_of(sid, "SM", "MM", "CA"))
        return (await self._gateway.ask(Request("GET", where, resource=name))).data

    def _message(self, event: Event, found: Message) -> str:
        if (found.from_, found.to) != (event.sender, event.recipient):
            return "From and To differ"
        if event.type == "message.received":
            if found.direction != "inbound":
                return f"its direction is {found.direction}"
            if found.body and found.body != event.body:
                return "the text differs"
        elif rank("message", normal_status(found.status)) < rank(
            "message", normal_status(event.status)
        ):
            return f"its status is {found.status}"
        return _age(event, found)

    def _call(self, event: Event, found: Call) -> str:
        told = {event.sender, event.recipient} - {""}  # of a recording or a conference: nobody
        if told and {found.from_, found.to} != told:
            return "From and To differ"
        return _age(event, found)


def _resource(event: Event) -> str:
    return "calls" if event.call_sid else "messages"


def _age(event: Event, found: Message | Call) -> str:
    created = found.date_created
    if created is not None and event.received_at - created > OLDEST:
        return f"it is of {created:%Y-%m-%d}: too old to be news"
    return ""
