"""Incidents of channels: one for as long as a channel does not deliver, sent to all others."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ringback.actions import HttpRequest, Notify
from ringback.errors import GatewayError, RateLimited, ServerError, Unreachable, UsageError
from ringback.outcomes import Answered
from ringback.runtime import Runtime
from ringback.store.interface import Journal
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.send.notices import SENT

log = logging.getLogger(__name__)

KIND = "channel"
"""The kind of these incidents; their key is `channel:` and the channel's name."""
MOST_TRIES = 3
"""So many failures in a row that may pass by themselves are an incident."""
PASSING = (ServerError, RateLimited, Unreachable)
MOST_CHANNELS = 200
"""So many channels are watched: rules may name addresses without end."""

Give = Callable[[Notify | HttpRequest, str, str], Awaitable[str | Answered]]


@dataclass(slots=True)
class _Failing:
    """How often a channel failed in a row."""

    times: int = 0


class ChannelWatch:
    """Gives notices, and sees how their channels fare. `names` are the channels that are set up."""

    def __init__(
        self,
        give: Give,
        names: Sequence[str],
        *,
        journal: Journal,
        incidents: Incidents,
        runtime: Runtime,
    ) -> None:
        self._give = give
        self._names = tuple(names)
        self._journal = journal
        self._incidents = incidents
        self._runtime = runtime
        self._failing: dict[str, _Failing] = {}
        self._open: set[str] | None = None

    async def give(self, notice: Notify | HttpRequest, event_uid: str, uid: str) -> str | Answered:
        """Give one notice. Raises what the channel raises."""
        if not isinstance(notice, Notify):
            return await self._give(notice, event_uid, uid)
        name = _name(notice)
        try:
            outcome = await self._give(notice, event_uid, uid)
        except (GatewayError, UsageError) as error:
            await self._failed(name, error)
            raise
        if outcome == SENT:
            await self._delivered(name)
        return outcome

    async def _failed(self, name: str, error: GatewayError | UsageError) -> None:
        """It did not take a notice. What may pass by itself is an incident when it goes on."""
        failing = self._failing.setdefault(name, _Failing())
        failing.times += 1
        if len(self._failing) > MOST_CHANNELS:
            del self._failing[next(iter(self._failing))]
        if isinstance(error, PASSING) and failing.times < MOST_TRIES:
            return
        opened = await self._opened()
        test = f"`ringback channels test {name}` tries it, " if name in self._names else ""
        text = (
            f"the channel {name} does not deliver: {error}; {test}`ringback actions list --kind "
            "notify --state failed` has what was not told"
        )
        await self._incidents.open(f"{KIND}:{name}", KIND, text)
        if name not in opened:
            opened.add(name)
            await self._tell(name, text, resolved=False)

    async def _delivered(self, name: str) -> None:
        """It took a notice: whatever was wrong with it is over."""
        self._failing.pop(name, None)
        opened = await self._opened()
        if name in opened:
            opened.discard(name)
            text = f"the channel {name} delivers again"
            await self._incidents.resolve(f"{KIND}:{name}", KIND, text)
            await self._tell(name, text, resolved=True)

    async def _opened(self) -> set[str]:
        """The channels that have an incident open: those of earlier processes at first. One that
        was never set up, or is no more, cannot be seen to deliver again: its incident is over."""
        if self._open is None:
            keys = await self._journal.incidents.open_keys(KIND)
            self._open = {key.removeprefix(f"{KIND}:") for key in keys}
            for name in sorted(self._open.difference(self._names)):
                if name.partition(" ")[0] != "webhook":
                    self._open.discard(name)
                    text = f"there is no channel {name}, and nothing has used it since the start"
                    await self._incidents.resolve(f"{KIND}:{name}", KIND, text)
        return self._open

    async def _tell(self, name: str, text: str, *, resolved: bool) -> None:
        """Say it on every other channel that is not failing itself; the log has it already. One
        that does not take it is only named in the log: its own incident tells of it."""
        opened = await self._opened()
        for other in self._names:
            if other == name or other in opened:
                continue
            notice = Notify(
                text, via=other, key=f"{KIND}/{name}", severity="error", resolved=resolved
            )
            try:
                await self._give(notice, "", self._runtime.uid("ntc"))
            except (GatewayError, UsageError) as error:
                log.error("that the channel %s fails could not be told on %s: %s",
                          name, other, error)  # fmt: skip


def _name(notice: Notify) -> str:
    """What a channel is called; one that a notice addresses itself goes by its host."""
    if notice.via != "webhook":
        return notice.via
    try:
        return f"webhook {urlsplit(notice.url).hostname or ''}".rstrip()
    except ValueError:
        return "webhook"
