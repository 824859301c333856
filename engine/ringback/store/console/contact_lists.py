"""Lists of contacts and groups: who is known by a card, a group or what was remembered, in the
order of their numbers, a page at a time."""

import heapq
import json
from collections.abc import Iterator
from itertools import groupby, islice

from ringback.events import telephone
from ringback.store.console.call_lists import CallLists
from ringback.store.operations.cards import THEIRS
from ringback.store.queries.files import Row

PAGE = 500
_THESE = "(select value from json_each(?))"
_LAST = "\U0010ffff"


class ContactLists(CallLists):
    """The contacts and groups by what people look for."""

    def contact_cards(self, group: str = "") -> Iterator[Row]:
        """Each contact with its `number`, `fields` and `groups`; of one group alone, when that is
        named. No more than a page of numbers is in memory."""
        numbers = (
            self._pages(_MEMBERS, group)
            if group
            else heapq.merge(
                self._pages(_CARDS), self._pages(_ALL_MEMBERS),
                self._pages(_MEMORY, until="whatsapp:"), self._pages(_MEMORY, after="whatsapp:"),
            )
        )  # fmt: skip
        each_once = (number for number, _ in groupby(numbers))
        while page := list(islice(each_once, PAGE)):
            yield from self._cards(page)

    def contact_card(self, number: str) -> Row:
        """What is known of one person, and the groups that they are in."""
        return self._cards([number])[0]

    def _cards(self, numbers: list[str]) -> list[Row]:
        """The same of several."""
        found: dict[str, Row] = {
            number: {"number": number, "fields": {}, "groups": []} for number in numbers
        }
        asked = (json.dumps(numbers),)
        for row in self._all(f"select number, fields from cards where number in {_THESE}", asked):
            found[row["number"]]["fields"] |= json.loads(row["fields"])
        places = (json.dumps([*numbers, *(f"whatsapp:{number}" for number in numbers)]),)
        for row in self._all(
            f"select {THEIRS} as number, memory from contacts where {THEIRS} in {_THESE} "
            "and memory <> '{}' order by last_inbound_at",
            places,
        ):
            memory = {name: str(value) for name, value in json.loads(row["memory"]).items()}
            found[telephone(row["number"])]["fields"] |= memory
        members = f"select number, name from group_members where number in {_THESE} order by name"
        for row in self._all(members, asked):
            found[row["number"]]["groups"].append(row["name"])
        return list(found.values())

    def contact_fields(self, group: str = "") -> list[str]:
        """The names of all fields that contacts have."""
        return sorted({name for card in self.contact_cards(group) for name in card["fields"]})

    def group_counts(self) -> dict[str, int]:
        """How many members the groups of the journal have."""
        rows = self._all(
            "select name, count(*) as members from group_members group by name order by name"
        )
        return {row["name"]: row["members"] for row in rows}

    def _pages(
        self, statement: str, group: str = "", after: str = "", until: str = _LAST
    ) -> Iterator[str]:
        given = {"group": group, "after": after, "until": until, "limit": PAGE}
        while rows := self._all(statement, given):
            yield from (telephone(row["number"]) for row in rows)
            given["after"] = rows[-1]["number"]


_CARDS = "select number from cards where number > :after order by number limit :limit"
_MEMBERS = (
    "select number from group_members where name = :group and number > :after "
    "order by number limit :limit"
)
_ALL_MEMBERS = (
    "select distinct number from group_members where number > :after order by number limit :limit"
)
_MEMORY = (
    f"select distinct {THEIRS} as number from contacts where {THEIRS} > :after "
    f"and {THEIRS} < :until and memory <> '{{}}' order by 1 limit :limit"
)
