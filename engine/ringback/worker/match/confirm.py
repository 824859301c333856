"""Confirmation of a webhook without an auth token, by reading its resource back.

A request to the secret path only claims. The gateway must know the SID, in our account, young
enough, and agree in all that it knows (`comparison.py`); then the event is `confirmed` and the
rules see it. A record that is not there yet, or behind its webhook, is looked at again for an hour.
A tag that nobody but Twilio can have had is proof by itself.
https://www.twilio.com/docs/messaging/api/message-resource#fetch-a-message-resource
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from ringback.errors import BadRequest, GatewayError, NotFound, RingbackError
from ringback.events import Event
from ringback.gateway.client import Gateway
from ringback.gateway.records import Call, Media, Message, Recording
from ringback.runtime import REAL, Runtime, iso
from ringback.twilio.rest import Request, path
from ringback.twilio.rest import sid as sid_of
from ringback.worker.match.comparison import (
    Doubt,
    call_doubt,
    media_doubt,
    message_doubt,
    recording_doubt,
    recording_of,
)

log = logging.getLogger(__name__)

TRIES = (0.0, 1.0, 4.0)
"""Seconds before each look: Twilio's list may lag behind its own webhook."""
LATER = (10.0, 30.0, 60.0, 120.0, 240.0, 300.0, 600.0, 900.0, 1300.0)
"""Seconds before each further look, in which the event holds no place of those at hand."""
AGAIN_SECONDS = 2.0
LONGEST_SECONDS = 300.0
"""While the gateway gives no answer, it is asked again after pauses that double between these."""
OLDEST = timedelta(hours=24)
AT_ONCE = 8
MOST_LATER = 200
"""So many wait for a further look; those that come beyond it have had theirs."""
AT_HAND = 500
"""So many claims are in memory; those beyond it wait in the journal for their turn."""


class Confirmer:
    """Looks claimed events up. `accounts` answers an account's SID when it is one of ours. `claims`
    gives the oldest, so many, that nobody has looked up yet; `on_proof` gets an event's uid, the
    trust that it earned and why it did not earn more. `told` hears how each request ended."""

    def __init__(
        self,
        gateway: Gateway | None,
        accounts: Callable[[str], str],
        claims: Callable[[int], Awaitable[Sequence[Event]]],
        on_proof: Callable[[str, str, str], Awaitable[None]],
        told: Callable[[Request, GatewayError | None], object] = lambda _request, _error: None,
        runtime: Runtime = REAL,
    ) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._claims = claims
        self._on_proof = on_proof
        self._told = told
        self._runtime = runtime
        self._unanswered: dict[str, tuple[str, str]] = {}
        self._later: dict[str, tuple[asyncio.TimerHandle, str]] = {}
        self._looks: dict[str, int] = {}
        self._more = False
        self._refilling: asyncio.Task[None] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._free = asyncio.Semaphore(AT_ONCE)

    def look(self, event: Event) -> None:
        """Find out about a claimed event, in the background, as soon as there is a free place."""
        if event.uid in self._tasks or event.uid in self._later:
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

    def doubted(self) -> tuple[int, str] | None:
        """How many events are not confirmed so far and will be looked at again, and why the last of
        them is not; None when there are none."""
        if not self._later:
            return None
        return len(self._later), next(reversed(self._later.values()))[1]

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
        for timer, _ in self._later.values():
            timer.cancel()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, event: Event) -> None:
        doubt = await self._doubt(event)
        if doubt is None:
            self._looks.pop(event.uid, None)
            await self._tell(event, "confirmed", "")
            return
        log.warning("%s %s is not confirmed: %s", event.type, event.uid, doubt.why)
        await self._tell(event, "claimed", doubt.why)
        if doubt.passing:
            self._again(event, doubt.why)

    def _again(self, event: Event, why: str) -> None:
        """Look at it once more, after a pause that is longer each time."""
        looks = self._looks.pop(event.uid, 0)
        if looks < len(LATER) and len(self._later) < MOST_LATER:
            self._looks[event.uid] = looks + 1
            timer = asyncio.get_running_loop().call_later(LATER[looks], self._due, event)
            self._later[event.uid] = timer, why

    def _due(self, event: Event) -> None:
        del self._later[event.uid]
        self.look(event)

    async def _tell(self, event: Event, trust: str, why: str) -> None:
        try:
            await self._on_proof(event.uid, trust, why)
        except RingbackError as error:
            log.error("the proof of %s could not be written: %s", event.uid, error)

    async def _doubt(self, event: Event) -> Doubt | None:
        """Why it is not what it claims to be; None when it is."""
        if self._gateway is None:
            return Doubt("no gateway is configured that could confirm it")
        doubt: Doubt | None = None
        for pause in TRIES if event.uid not in self._looks else TRIES[:1]:
            await asyncio.sleep(pause)
            try:
                doubt = await self._answer(event)
            except NotFound:
                doubt = Doubt(f"the gateway does not know {event.subject_sid}", passing=True)
            except GatewayError as error:
                doubt = Doubt(f"it could not be looked up: {error}", passing=True)
            if doubt is None or not doubt.passing:
                return doubt
        return doubt

    async def _answer(self, event: Event) -> Doubt | None:
        """Ask until there is an answer: a gateway that is down says nothing about the event, and a
        STOP that came meanwhile must count as soon as it is up. Raises NotFound and BadRequest."""
        pause, asked = AGAIN_SECONDS, self._request(event)
        while True:
            try:
                async with self._free:
                    found = await self._difference(event)
                self._told(asked, None)
                return found
            except (NotFound, BadRequest) as error:
                self._told(asked, error)
                raise
            except GatewayError as error:
                self._told(asked, error)
                since, _ = self._unanswered.get(event.uid, (iso(self._runtime.now()), ""))
                self._unanswered[event.uid] = (since, str(error).split("\n")[0])
                log.warning("%s %s cannot be looked up now: %s", event.type, event.uid, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_SECONDS)

    async def _difference(self, event: Event) -> Doubt | None:
        """What the resource says otherwise than the webhook; None when they agree."""
        if event.account_sid != self._accounts(event.account_sid):
            return Doubt(f"account {event.account_sid} is not ours")
        if event.subject_sid[:2] in ("SM", "MM"):
            return await self._text(event)
        if event.call_sid:
            return await self._call(event)
        return Doubt(f"{event.type} has no resource that could be read back")

    async def _text(self, event: Event) -> Doubt | None:
        found = Message.read(await self._fetch(event, "Messages", event.subject_sid))
        doubt = message_doubt(event, found) or _age(event, found)
        if doubt is None and event.media:
            listed = (await self._fetch(event, "Messages", event.subject_sid, "Media")).get(
                "media_list"
            )
            records = [Media.read(each) for each in listed or ()]
            doubt = media_doubt(event, records, self._hosts())
        return doubt

    async def _call(self, event: Event) -> Doubt | None:
        found = Call.read(await self._fetch(event, "Calls", event.call_sid))
        doubt = call_doubt(event, found) or _age(event, found)
        recording = recording_of(event)
        if doubt is None and recording == "":
            return Doubt("its RecordingUrl is none of Twilio's")
        if doubt is None and recording:
            heard = Recording.read(await self._fetch(event, "Recordings", recording))
            doubt = recording_doubt(event, heard, self._hosts())
        if doubt is None and event.fields.get("TranscriptionText"):
            sid = event.fields.get("TranscriptionSid", "")
            if sid[:2] != "TR":
                return Doubt("its transcript names no SID that could be read back")
            text = (await self._fetch(event, "Transcriptions", sid)).get("transcription_text")
            if str(text or "").strip() != event.fields["TranscriptionText"].strip():
                return Doubt("the transcript differs", passing=not text)
        return doubt

    async def _fetch(self, event: Event, name: str, sid: str, *more: str) -> dict[str, Any]:
        """A resource behind an event, in its own account."""
        assert self._gateway is not None
        where = path(event.account_sid, name, sid_of(sid, "SM", "MM", "CA", "RE", "TR"), *more)
        return (await self._gateway.ask(replace(self._request(event), path=where))).data

    def _request(self, event: Event) -> Request:
        resource = "calls" if event.call_sid else "messages"
        account = self._accounts(event.account_sid)
        return Request("GET", path(account, resource.title()), resource=resource)

    def _hosts(self) -> tuple[str, ...]:
        """The host of the gateway itself: a simulator names its own addresses."""
        assert self._gateway is not None
        return (urlsplit(self._gateway.access.base_url).hostname or "",)


def _age(event: Event, found: Message | Call) -> Doubt | None:
    created = found.date_created
    if created is not None and event.received_at - created > OLDEST:
        return Doubt(f"it is of {created:%Y-%m-%d}: too old to be news")
    return None
