"""Open runs: all that have not ended, as a worker takes note of them when it starts."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

from ringback.store.database import Database
from ringback.store.meta import IS_OPEN
from ringback.store.runs import RUN_COLUMNS, StoredRun
from ringback.store.session import NEXT

PAGE = 500
"""So many are read at once; between two pages others have their turn. There may be very many."""


class OpenRuns:
    """The runs of the journal that have not ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_state(
        self, state: str, rules: Collection[str] | None = None, *, queued: bool = False
    ) -> AsyncIterator[tuple[StoredRun, str]]:
        """All runs in this state, one of those that are open, oldest first: of these rules, or of
        all, or those that are `queued` behind others. Each comes with what it began in, a
        conversation or a subject; empty when its event is gone."""
        where, values = [f"{IS_OPEN} and state = ?"], [state, *(rules or ())]
        where += [f"rule in ({_marks(rules)})"] if rules is not None else []
        where += ["memory is null"] if queued else []
        async for page in self._pages(" and ".join(where), values):
            rows = await self._database.all(
                f"select {', '.join(f'r.{name}' for name in RUN_COLUMNS.split(', '))}, "
                "coalesce(nullif(e.conversation, ''), nullif(e.subject_sid, ''), e.uid, '') "
                "from runs r left join events e on e.uid = r.event_uid "
                f"where r.id in ({_marks(page)}) and r.state = ? order by r.id",
                (*page, state),
            )
            for row in rows:
                *run, about = row
                yield StoredRun(*run), str(about)

    async def rules_at_work(self) -> list[str]:
        """The rules that have runs which have not ended."""
        rows = await self._database.all(f"select distinct rule from runs where {IS_OPEN}")
        return [row[0] for row in rows]

    async def asking(self) -> list[str]:
        """The runs that may have missed what they wait for, or what ends them: a text for them is
        on record that came behind the event with which their last step began. Those whose last step
        is recent may have missed anything: it may not have been looked for yet."""
        found = []
        where = f"state = 'waiting' and {IS_OPEN} and memory is not null"
        async for page in self._pages(where, ()):
            found += await self._database.all(
                "select uid from (select id, uid, case when json_valid(memory) then memory "
                f"else '{{}}' end as memory from runs where id in ({_marks(page)})) r "
                "where exists (select 1 from events e where +type = 'message.received' "
                "and conversation = json_extract(r.memory, '$.wait.key') and e.id > (select id "
                "from events where uid = json_extract(r.memory, '$.after'))) or "
                "json_extract(r.memory, '$.after') in (select uid from events order by id desc "
                "limit ?) order by id",
                (*page, NEXT),
            )
        return [row[0] for row in found]

    async def _pages(self, where: str, values: Sequence[str]) -> AsyncIterator[list[int]]:
        """The ids of the open runs of which this is true, oldest first, a page at a time."""
        rows = await self._database.all(f"select id from runs where {where} order by id", values)
        for start in range(0, len(rows), PAGE):
            if start:
                await asyncio.sleep(0)
            yield [row[0] for row in rows[start : start + PAGE]]


def _marks(values: Collection[object]) -> str:
    return ",".join("?" * len(values))
