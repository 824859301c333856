"""Reads of prices, of messages and calls that have ended, behind all other requests.

A price comes minutes after the end, in rare cases a day. So a record is looked at a few times, at
growing ages, until it has one: many of a span by their list, the rest one at a time. These reads go
last: not while a send is in doubt, sending is held or a breaker of the account is open, and with no
share of the key's rate. What is due stands in the journal, so a restart goes on.
https://support.twilio.com/hc/en-us/articles/46871410243099
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from ringback.config import Settings
from ringback.errors import BadRequest, GatewayError, NotFound, RingbackError
from ringback.gateway.transport import Reply
from ringback.outcomes import EFFECTS
from ringback.runtime import Runtime, iso
from ringback.store.action_ends import Unpriced
from ringback.store.interface import Journal
from ringback.twilio.costs import records_in
from ringback.twilio.rest import Request, path
from ringback.worker.send.gateway_reader import GatewayReader, next_page

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
LOOKS = tuple(timedelta(minutes=minutes) for minutes in (5, 30, 120, 480, 1500))
"""At these ages after its end a record is looked at. The journal notes the first by itself."""
UNSENT_LOOKS = (LOOKS[0], LOOKS[2])
"""The same for what no carrier ever had: as a rule it costs nothing."""
UNSENT = frozenset({"failed", "canceled", "busy", "no-answer"})
OLDEST = timedelta(days=2)
"""What ended longer ago than this is asked about no more."""
LATER = timedelta(minutes=10)
AT_ONCE = 2000
"""So many of those that are due are taken in one pass."""
PAGE_SIZE = 1000
SINGLES = 20
"""No more records of one account and sort are read one by one in a pass."""
MANY = 10
"""So many of one account and sort are worth a page of its list, and as many more each next one."""
MOST_PAGES = 5
WITHOUT_LISTS = 3600.0
"""For so long no list is asked for after one that could not be read."""
SKEW = timedelta(minutes=1)
"""By so much Twilio's clock may differ from ours."""
LONGEST_SPAN = timedelta(days=1)
_SENT_AT = {"message": "DateSent", "call": "StartTime"}


class PriceReader:
    """Asks Twilio for the prices that are due. `at_will` says whether nothing is to leave at
    present."""

    def __init__(
        self,
        *,
        journal: Journal,
        settings: Settings,
        runtime: Runtime,
        reader: GatewayReader,
        at_will: Callable[[], bool],
    ) -> None:
        self._journal = journal
        self._settings = settings
        self._runtime = runtime
        self._gateway_reader = reader
        self._at_will = at_will
        self._lists_from = float("-inf")

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.step()
            except RingbackError as error:
                log.warning("prices could not be asked for: %s", error)

    async def step(self) -> None:
        """One pass over what is due. What an answer says of costs is on record when it is here;
        what is left to note is when to look again."""
        if not self._settings.price_reads or not await self._free():
            return
        now = self._runtime.now()
        found = await self._journal.costs.due(iso(now), AT_ONCE, far=iso(now + LOOKS[-1]))
        due = [each for each in found if now - each.ended <= OLDEST]
        await self._again(set(found).difference(due), lambda _: None)
        groups: dict[tuple[str, str], list[Unpriced]] = {}
        for each in due:
            account = self._settings.account_for(each.account_sid)
            groups.setdefault((account, each.effect), []).append(each)
        left: set[Unpriced] = set()
        for (account, effect), group in groups.items():
            left.update(await self._look(account, effect, group))
        if len(found) == AT_ONCE:  # what could not be looked at must not hide others
            await self._again(left, lambda _: iso(now + LATER))

    async def _look(
        self, account: str, effect: str, group: Sequence[Unpriced]
    ) -> Sequence[Unpriced]:
        """Look at what is due of one account and sort; what has not been looked at by then."""
        if len(group) >= MANY and self._runtime.monotonic() >= self._lists_from:
            shown = await self._list(account, effect, group)
            await self._again([each for each in group if each.sid in shown], self._next)
            group = [each for each in group if each.sid not in shown]
        for number, each in enumerate(group[:SINGLES]):
            if not await self._read(account, each):
                return group[number:]
        return group[SINGLES:]

    async def _list(self, account: str, effect: str, group: Sequence[Unpriced]) -> set[str]:
        """Which of these a list of their span shows, from the newest on, as long as each page is
        worth it."""
        resource, wanted = EFFECTS[effect].resource, {each.sid for each in group}
        key, shown = resource.lower(), set[str]()
        request = Request("GET", path(account, resource), _span(effect, group), key)
        for page in range(MOST_PAGES):
            try:
                reply = await self._ask(request)
                if reply is not None and not isinstance(reply.data.get(key), list):
                    raise GatewayError(f"it has no {key}")
            except GatewayError as error:
                log.info("no list of %s for their prices: %s", key, error)
                self._lists_from = self._runtime.monotonic() + WITHOUT_LISTS
                return shown
            if reply is None:
                return shown
            shown |= wanted.intersection(str(each.get("sid")) for each in records_in(reply.data))
            following = next_page(request, reply)
            # What ended after these stands before them: the first page may have none of them.
            if following is None or len(shown) < MANY * page or shown == wanted:
                return shown
            request = following
        return shown

    async def _read(self, account: str, each: Unpriced) -> bool:
        """Look at one record. False when others of its account are not to be asked for now."""
        resource = EFFECTS[each.effect].resource
        request = Request("GET", path(account, resource, each.sid), (), resource.lower())
        try:
            reply = await self._ask(request)
        except GatewayError as error:
            log.info("%s: no price: %s", each.sid, error)
            gone = error.origin == "twilio" and isinstance(error, BadRequest | NotFound)
            await self._again([each], lambda _: None if gone else self._later(each))
            return gone
        if reply is None:
            return False
        await self._again([each], self._next)
        return True

    async def _ask(self, request: Request) -> Reply | None:
        return await self._gateway_reader.spare(request) if await self._free() else None

    async def _free(self) -> bool:
        """Whether no send is in doubt and none is held."""
        return not self._at_will() and await self._journal.actions.next_unknown() is None

    async def _again(
        self, looked: Iterable[Unpriced], due: Callable[[Unpriced], str | None]
    ) -> None:
        """Note when to look again at those that have no price yet; None is never."""
        if dues := [(each, due(each)) for each in looked]:
            await self._journal.costs.later(dues)

    def _next(self, each: Unpriced) -> str | None:
        now, age = self._runtime.now(), self._age(each)
        if each.ended - now > SKEW:  # by a clock that was wrong: nobody knows its age
            return None
        looks = UNSENT_LOOKS if each.outcome in UNSENT else LOOKS
        return next((iso(now + look - age) for look in looks if look > age), None)

    def _later(self, each: Unpriced) -> str:
        """After a failure, which says nothing of the record: when it is a quarter older."""
        return iso(self._runtime.now() + max(LATER, self._age(each) / 4))

    def _age(self, each: Unpriced) -> timedelta:
        return max(self._runtime.now() - each.ended, timedelta())


def _span(effect: str, group: Sequence[Unpriced]) -> tuple[tuple[str, str], ...]:
    """The query for a list of all that was sent when these were."""
    name, ends = _SENT_AT[effect], [each.ended for each in group]
    first = max(min(each.planned for each in group), min(ends) - LONGEST_SPAN) - SKEW
    last = max(ends) + SKEW
    return (
        (f"{name}>", _written(first)), (f"{name}<", _written(last)), ("PageSize", str(PAGE_SIZE)),
    )  # fmt: skip


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
