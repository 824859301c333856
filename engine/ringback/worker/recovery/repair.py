"""Repair: messages and calls whose webhooks were missed are fetched back.

Twilio does not bring a refused webhook again (https://www.twilio.com/docs/usage/webhooks). So after
a start and on a clock the lists of messages and calls are read back to the last thing known, and
what the journal lacks is handed to the receiver, which appends it to the log like any webhook, with
`source = repair`.
"""

import base64
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from ringback.config import Settings
from ringback.errors import BadRequest, GatewayError, NotFound
from ringback.ipc import Link, WorkerAway
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.interface import Journal
from ringback.twilio.costs import as_fields, cost_of
from ringback.twilio.rest import Request, path
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.send.gateway_reader import GatewayReader, next_page

log = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
OVERLAP = timedelta(minutes=10)
LONGEST_GAP = timedelta(days=7)
OLDEST = LONGEST_GAP + OVERLAP
"""What is older than this is never fetched back."""
FIRST_LOOK = timedelta(hours=1)
PAGE_SIZE = 200
MOST_PAGES = 500
MOST_MEDIA = 20
APPEND_SECONDS = 10.0
DONE = "repaired_until"

_MESSAGE_FIELDS = {
    "sid": "MessageSid", "account_sid": "AccountSid", "from": "From", "to": "To", "body": "Body",
    "num_media": "NumMedia", "num_segments": "NumSegments",
    "messaging_service_sid": "MessagingServiceSid",
}  # fmt: skip
_CALL_FIELDS = {
    "sid": "CallSid", "account_sid": "AccountSid", "from": "From", "to": "To",
    "status": "CallStatus", "direction": "Direction", "duration": "CallDuration",
}  # fmt: skip
_OVER = ("completed", "busy", "no-answer", "failed", "canceled")
_ENDS = tuple(f"call.{each}" for each in _OVER)
LONGEST_CALL = timedelta(hours=24)
"""https://www.twilio.com/docs/voice/api/call-resource#timelimit"""


class Repairer:
    """Reads the lists back and passes on what is missing."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        reader: GatewayReader,
        receiver: Link,
        incidents: Incidents,
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway_reader = reader
        self._receiver = receiver
        self._incidents = incidents

    async def step(self) -> int:
        """Fetch back everything since the last time, of each account; how many events it brought.

        Raises GatewayError when the lists cannot be read and WorkerAway when no receiver is there
        to record: both mean that the same span is looked at again.
        """
        # What is younger may still be on its way by webhook; the next look will see it.
        until = await self._now() - timedelta(seconds=self._settings.settle_seconds / 2)
        count, oldest, failed = 0, until, list[GatewayError]()
        for account in (self._settings.account_sid, *self._settings.accounts):
            note = DONE if account == self._settings.account_sid else f"{DONE} {account}"
            since = await self._since(until, note)
            span = _Span(account, since, until)
            try:
                found = await self._messages(span) + await self._calls(span)
            except GatewayError as error:  # the others are looked at all the same
                failed.append(error)
                continue
            await self._journal.meta.set(note, iso(until))
            count, oldest = count + found, min(oldest, since) if found else oldest
        if count:
            text = f"{count} events since {iso(oldest)} had not come by webhook and were fetched"
            await self._incidents.open(f"repair:{iso(until)}", "repair", text)
        if failed:
            raise failed[0]
        if not count:  # nothing is missing any more
            await self._incidents.settle("repair", {})
        return count

    async def _now(self) -> datetime:
        """The moment at Twilio, whose lists are read: by a wrong clock of ours some of it would
        never be seen."""
        clock = self._gateway_reader.clock
        if not clock.heard:
            where = path(self._settings.account_sid, "Messages")
            await self._gateway_reader.ask(Request("GET", where, (("PageSize", "1"),), "messages"))
        return clock.now()

    async def _since(self, until: datetime, note: str) -> datetime:
        """Where the last look ended. Before the first: an hour ago, or when something came last.

        That is noted at once: should the first looks fail, what comes in meanwhile must not hide
        what did not.
        """
        known = await self._journal.meta.get(note)
        if known and from_iso(known) > until + OVERLAP:  # noted by a clock that was wrong
            known = iso(until - FIRST_LOOK)
        if not known:
            last, first = await self._journal.events.last_received(), until - FIRST_LOOK
            known = iso(min(first, from_iso(last)) if last else first)
            await self._journal.meta.set(note, known)
        return max(from_iso(known) - OVERLAP, until - LONGEST_GAP)

    async def _messages(self, span: "_Span") -> int:
        missing = [
            _renamed(record, _MESSAGE_FIELDS)
            | as_fields(cost_of(record))
            | {"SmsStatus": "received"}
            async for record in self._between("Messages", span)
            if record.get("direction") == "inbound" and record.get("status") == "received"
        ]
        return await self._hand_over("message", ("message.%",), "MessageSid", missing)

    async def _calls(self, span: "_Span") -> int:
        """Calls of whose end we have not heard: they rang while we were down, or ended then. Where
        nobody asks Twilio for the ends of calls, those that we answered are nothing that is missed.
        """
        events = self._journal.events
        rang = await events.open_calls(iso(span.until - LONGEST_CALL), _ENDS)
        if rang is not None:  # it may have rung before what was looked at the last time
            span = replace(span, since=min(span.since, from_iso(rang) - OVERLAP))
        missing = [
            _renamed(record, _CALL_FIELDS) | as_fields(cost_of(record))
            async for record in self._between("Calls", span)
            if record.get("direction") == "inbound" and record.get("status") in _OVER
            and (_moment(record.get("end_time")) or span.since) <= span.until
        ]  # fmt: skip
        sids = [fields["CallSid"] for fields in missing]
        answered = await events.known_subjects(sids, ("call.received",))
        told = await events.reported(_ENDS)
        rung = [fields for fields in missing if fields["CallSid"] in answered]
        others = [fields for fields in missing if fields["CallSid"] not in answered]
        over = await self._hand_over("call/status", _ENDS, "CallSid", rung)
        return await self._hand_over("call/status", ("call.%",), "CallSid", others) + (
            over if told else 0
        )

    async def _hand_over(
        self, route: str, types: tuple[str, ...], sid: str, missing: list[dict[str, str]]
    ) -> int:
        sids = [fields[sid] for fields in missing]
        known = await self._journal.events.known_subjects(sids, types)
        fresh = [fields for fields in reversed(missing) if fields[sid] not in known]
        unread: GatewayError | None = None
        for fields in fresh:
            try:
                media = await self._media(fields)
            except GatewayError as error:  # it is looked at again; the others do not wait for it
                unread = error
                continue
            await self.append(route, {**fields, **media})
        if unread is not None:
            raise unread
        return len(fresh)

    async def _media(self, fields: Mapping[str, str]) -> dict[str, str]:
        """What came with a text, as its webhook names it: the record has only the number. Nothing
        when it has been deleted since, or Twilio has no list of it.

        https://www.twilio.com/docs/messaging/api/media-resource
        """
        if fields.get("NumMedia", "0") in ("", "0"):
            return {}
        account, sid = fields["AccountSid"], fields["MessageSid"]
        form = (("PageSize", str(MOST_MEDIA)),)
        request = Request("GET", path(account, "Messages", sid, "Media"), form, "messages")
        try:
            listed = (await self._gateway_reader.ask(request)).data.get("media_list")
        except (BadRequest, NotFound):
            return {}
        base = self._gateway_reader.media_base
        found: dict[str, str] = {}
        for number, record in enumerate(listed if isinstance(listed, list) else []):
            uri = str(record.get("uri") or "").removesuffix(".json")
            found[f"MediaUrl{number}"] = f"{base}{uri}"
            found[f"MediaContentType{number}"] = str(record.get("content_type") or "")
        return found

    async def append(self, route: str, fields: Mapping[str, str], tag: str = "") -> None:
        """Let the receiver write one fetched event into the log. Raises WorkerAway."""
        body = urlencode(list(fields.items())).encode()
        answer = await self._receiver.ask(
            {
                "op": "append", "route": route, "tag": tag,
                "body": base64.b64encode(body).decode("ascii"),
            },
            APPEND_SECONDS,
        )  # fmt: skip
        if "error" in answer:
            raise WorkerAway(str(answer["error"]))

    async def _between(self, resource: str, span: "_Span") -> AsyncIterator[Mapping[str, Any]]:
        """The records of a span, newest first, page by page. A span with more of them than can be
        read is an incident: what is older will not be looked at again."""
        account, since, until = span.account, span.since, span.until
        key = resource.lower()
        request = Request("GET", path(account, resource), (("PageSize", str(PAGE_SIZE)),), key)
        for _ in range(MOST_PAGES):
            reply = await self._gateway_reader.ask(request)
            records = reply.data.get(key)
            if not isinstance(records, list):
                raise GatewayError(f"the list of {key} has no {key}")
            older = 0
            for record in records:
                created = _moment(record.get("date_created"))
                if created is not None and created < since:
                    older += 1
                elif created is None or created <= until:
                    yield record
            following = next_page(request, reply)
            if older or following is None:
                return
            request = following
        text = (
            f"only the newest {MOST_PAGES * PAGE_SIZE} {key} since {iso(since)} were looked at: "
            "what had not come by webhook before those is not fetched; Twilio's console has it"
        )
        await self._incidents.open(f"repair:{key}:{account}:{iso(until)}", "repair", text)


@dataclass(frozen=True, slots=True)
class _Span:
    """What is looked at: an account, from when until when."""

    account: str
    since: datetime
    until: datetime


def _renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """A record of the API in the field names of a webhook."""
    fields = {theirs: str(record.get(ours) or "") for ours, theirs in names.items()}
    moment = record.get("date_sent") or record.get("start_time") or record.get("date_created")
    return {**fields, "Timestamp": str(moment or "")}


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None
