"""Resources of the REST API as Python objects, such as `gateway.messages`.

Parameters go by Twilio's names in Python's spelling: `status_callback=`, `from_=`, `media_url=[…]`,
`date_sent_after=`. The catalogue knows them all and refuses the others before a byte leaves.
"""

from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

from ringback.errors import UsageError
from ringback.gateway import records as r
from ringback.gateway.catalogue import OPERATIONS, Operation
from ringback.gateway.media import Download, download
from ringback.gateway.paging import rows
from ringback.gateway.transport import Transport
from ringback.twilio.rest import is_sid

R = TypeVar("R", bound=r.Record)


class Collection(Generic[R]):
    """One collection of resources. `parents` are the SIDs in front of it, such as a call's."""

    def __init__(self, transport: Transport, resource: str, record: type[R], *parents: str) -> None:
        self._transport = transport
        self._resource = resource
        self._record = record
        self._parents = parents

    def _operation(self, verb: str) -> Operation:
        return OPERATIONS[self._resource, verb]

    async def _data(self, verb: str, *args: str, **params: Any) -> dict[str, Any]:
        operation = self._operation(verb)
        account = await self._transport.account() if not operation.template.startswith("/") else ""
        request = operation.request(account, (*self._parents, *args), params)
        return (await self._transport.ask(request)).data

    async def _one(self, verb: str, *args: str, **params: Any) -> R:
        return self._record.read(await self._data(verb, *args, **params))


class Listed(Collection[R]):
    """A collection that can be listed."""

    async def list(self, *, limit: int = 0, page_size: int = 0, **filters: Any) -> AsyncIterator[R]:
        """Every resource that fits the filters, page by page, each once.

        `limit` ends it after so many (0: all), `page_size` is 1 to 1000 (0: Twilio's 50). Raises a
        GatewayError when a page cannot be had; what came before it has been given out already.
        """
        operation = self._operation("list")
        account = await self._transport.account() if not operation.template.startswith("/") else ""
        if page_size:
            filters["PageSize"] = page_size
        request = operation.request(account, self._parents, filters)
        async for row in rows(self._transport.ask, request, operation.rows, limit):
            yield self._record.read(row)


class Fetched(Collection[R]):
    """A collection whose resources can be read one by one."""

    async def fetch(self, sid: str, **params: Any) -> R:
        """One resource by its SID. Raises NotFound when there is none."""
        return await self._one("fetch", sid, **params)


class Created(Collection[R]):
    """A collection that can be added to."""

    async def create(self, **params: Any) -> R:
        """Make a resource. Raises Unreachable, ServerError or Unreadable when it may exist after
        all; a second call could make a second one."""
        return await self._one("create", **params)


class Updated(Collection[R]):
    """A collection whose resources can be changed."""

    async def update(self, sid: str, **params: Any) -> R:
        """Change a resource; only what is given changes, an empty text clears a setting."""
        return await self._one("update", sid, **params)


class Deleted(Collection[R]):
    """A collection whose resources can be deleted."""

    async def delete(self, sid: str) -> None:
        """Delete a resource. Raises NotFound when it is deleted already."""
        await self._data("delete", sid)


class Accounts(Listed[r.Account], Fetched[r.Account], Created[r.Account], Updated[r.Account]):
    """The account and its sub-accounts. `create` makes a sub-account."""


class MediaOf(Listed[r.Media], Fetched[r.Media], Deleted[r.Media]):
    """The media of one message."""

    async def content(self, sid: str) -> Download:
        """The bytes of one medium. Raises Unreadable when they are more than 25 MiB."""
        request = self._operation("fetch").request(
            await self._transport.account(), (*self._parents, sid), {}
        )
        return await download(self._transport, request.path.removesuffix(".json"))


class Messages(
    Listed[r.Message],
    Fetched[r.Message],
    Created[r.Message],
    Updated[r.Message],
    Deleted[r.Message],
):
    """Texts.

    https://www.twilio.com/docs/messaging/api/message-resource
    """

    async def create(self, **params: Any) -> r.Message:
        """Send a text: `to`, one of `from_` and `messaging_service_sid`, one of `body`,
        `media_url` and `content_sid`, and any other parameter of Twilio's.

        A Messaging Service's SID in `from_` is put where Twilio wants it. Raises BadRequest when
        Twilio refuses, and the errors of a lost answer, after which the text may be on its way.
        """
        return await super().create(**params)

    async def redact(self, sid: str) -> r.Message:
        """Empty the text of a finished message at Twilio, for good."""
        return await self._one("update", sid, Body="")

    async def cancel(self, sid: str) -> r.Message:
        """Cancel a message that is still scheduled."""
        return await self._one("update", sid, Status="canceled")

    async def feedback(self, sid: str, outcome: str = "confirmed") -> r.Feedback:
        """Tell Twilio whether the message had its effect: `confirmed` or `unconfirmed`."""
        return r.Feedback.read(await self._data("feedback", sid, Outcome=outcome))

    def media(self, message_sid: str) -> MediaOf:
        """The media of one message."""
        return MediaOf(self._transport, "messages.media", r.Media, message_sid)


class CallRecordings(
    Listed[r.Recording],
    Fetched[r.Recording],
    Created[r.Recording],
    Updated[r.Recording],
    Deleted[r.Recording],
):
    """The recordings of one call: `create` starts one, `update` pauses, resumes or stops it."""


class CallNotifications(Listed[r.Notification], Fetched[r.Notification]):
    """What went wrong in one call."""


class CallEvents(Listed[r.CallEvent]):
    """The requests that Twilio made for one call."""


class Calls(Listed[r.Call], Fetched[r.Call], Created[r.Call], Updated[r.Call], Deleted[r.Call]):
    """Calls.

    https://www.twilio.com/docs/voice/api/call-resource
    """

    async def end(self, sid: str) -> r.Call:
        """Hang up: a call that rings, waits or talks is over after this."""
        return await self._one("update", sid, Status="completed")

    def recordings(self, call_sid: str) -> CallRecordings:
        """The recordings of one call."""
        return CallRecordings(self._transport, "calls.recordings", r.Recording, call_sid)

    def notifications(self, call_sid: str) -> CallNotifications:
        """What went wrong in one call."""
        return CallNotifications(self._transport, "calls.notifications", r.Notification, call_sid)

    def events(self, call_sid: str) -> CallEvents:
        """The requests that Twilio made for one call."""
        return CallEvents(self._transport, "calls.events", r.CallEvent, call_sid)


class Numbers(
    Listed[r.Number],
    Fetched[r.Number],
    Created[r.Number],
    Updated[r.Number],
    Deleted[r.Number],
):
    """The account's phone numbers. `create` buys one, `delete` gives one up for good."""

    async def find(self, number: str) -> r.Number:
        """The number written like this (+15551234567), or with this SID. Raises UsageError."""
        if is_sid(number, "PN"):
            return await self.fetch(number)
        async for found in self.list(phone_number=number):
            if found.phone_number == number:
                return found
        raise UsageError(f"{number} is not a number of this account")


class Applications(
    Listed[r.Application],
    Fetched[r.Application],
    Created[r.Application],
    Updated[r.Application],
    Deleted[r.Application],
):
    """Sets of webhook addresses.

    https://www.twilio.com/docs/usage/api/applications
    """


class Members(Listed[r.Member], Fetched[r.Member]):
    """The callers in one queue, the front one first. `fetch("Front")` is the next in line."""

    async def dequeue(self, member: str = "Front", *, url: str, method: str = "POST") -> r.Member:
        """Take a caller out, by call SID or `Front`, to go on with the TwiML at `url`."""
        return await self._one("dequeue", member, Url=url, Method=method)


class Queues(
    Listed[r.Queue], Fetched[r.Queue], Created[r.Queue], Updated[r.Queue], Deleted[r.Queue]
):
    """Queues of callers.

    https://www.twilio.com/docs/voice/api/queue-resource
    """

    def members(self, queue_sid: str) -> Members:
        """The callers in one queue."""
        return Members(self._transport, "queues.members", r.Member, queue_sid)

    async def find(self, queue: str) -> r.Queue:
        """The queue of this name or SID: Twilio itself knows queues by SID only. Raises
        UsageError when there is none."""
        if is_sid(queue, "QU"):
            return await self.fetch(queue)
        async for found in self.list():
            if found.friendly_name == queue:
                return found
        raise UsageError(f"there is no queue named {queue!r}")


class Addresses(
    Listed[r.Address],
    Fetched[r.Address],
    Created[r.Address],
    Updated[r.Address],
    Deleted[r.Address],
):
    """Postal addresses on file."""


class Usage(Listed[r.UsageRecord]):
    """What was used, by category.

    https://www.twilio.com/docs/usage/api/usage-record
    """

    def span(self, name: str) -> Listed[r.UsageRecord]:
        """The records cut into spans such as Daily, Monthly, Today, LastMonth, AllTime."""
        return Listed(self._transport, "usage.spans", r.UsageRecord, name)


class Participants(
    Listed[r.Participant],
    Fetched[r.Participant],
    Created[r.Participant],
    Updated[r.Participant],
    Deleted[r.Participant],
):
    """Who is in one conference, by call SID or label. `create` dials somebody in."""


class Conferences(Listed[r.Conference], Fetched[r.Conference], Updated[r.Conference]):
    """Conferences."""

    def participants(self, conference: str) -> Participants:
        """Who is in one conference, by its SID; to dial somebody in, its name will do."""
        return Participants(self._transport, "conferences.participants", r.Participant, conference)

    async def end(self, sid: str) -> r.Conference:
        """End a conference for everybody in it."""
        return await self._one("update", sid, Status="completed")


class Recordings(Listed[r.Recording], Fetched[r.Recording], Deleted[r.Recording]):
    """All recordings of the account."""

    async def content(self, sid: str, form: str = "mp3") -> Download:
        """The sound of a recording, as `mp3` or `wav`. Just after the recording ended it may not be
        there yet: NotFound. Raises Unreadable when it is more than 25 MiB."""
        if form not in ("mp3", "wav"):
            raise UsageError(f"a recording comes as mp3 or wav, not as {form}")
        request = self._operation("fetch").request(await self._transport.account(), (sid,), {})
        return await download(self._transport, f"{request.path.removesuffix('.json')}.{form}")


class Notifications(Listed[r.Notification], Fetched[r.Notification]):
    """The account's log of errors and warnings."""


class BalanceOf(Collection[r.Balance]):
    """The money on the account."""

    async def fetch(self) -> r.Balance:
        """The balance now."""
        return await self._one("fetch")
