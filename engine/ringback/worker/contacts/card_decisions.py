"""Decisions of people about cards and groups: what is known of somebody, and who is in a group."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ringback.errors import Missing, UsageError
from ringback.ipc import Message
from ringback.rules.addresses import bad_number
from ringback.rules.language import phones
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.sections.contact_lines import LONGEST, MOST_FIELDS, field_name
from ringback.runtime import Runtime, iso
from ringback.store.operations.cards import Card
from ringback.store.operations.doings import Doing
from ringback.worker.engine import Engine

MOST = 500
"""So many persons stand in one message."""


class CardDecisions:
    """Carries out what a person says about others: `cards` in one message, in one transaction."""

    def __init__(self, engine: Engine, runtime: Runtime) -> None:
        self._engine = engine
        self._runtime = runtime

    async def cards(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Take over what is said of persons. To say it twice is the same as once. `groups` are
        those that further messages name: all of them are to be there, or nothing is done."""
        given = message.get("cards")
        if not isinstance(given, list) or not 0 < len(given) <= MOST:
            raise UsageError(f"cards wants a list of 1 to {MOST} persons")
        cards = [self._card(each) for each in given]
        groups = sorted({name for card in cards for name in (*card.joins, *card.leaves)})
        for name in {*groups, *map(str, message.get("groups") or ())}:
            self._require(name)
        wanted = {"persons": len(cards), **({"groups": groups} if groups else {})}
        changed = await self._engine.journal.groups.write(
            cards, doing.by.who, iso(self._runtime.now()), replace(doing, wanted=wanted)
        )
        await self._engine.journal.doings.add(doing, {"changed": changed})
        return {"changed": changed}

    def _card(self, given: Any) -> Card:
        if not isinstance(given, Mapping):
            raise UsageError("a person is a mapping with `address`")
        address = phones.plain(str(given.get("address") or ""))
        wrong = bad_number(address) if address else "the number is missing"
        if wrong:
            raise UsageError(wrong)
        fields = given.get("fields") or {}
        for name, value in fields.items():
            if not field_name(name) or not (value is None or isinstance(value, str)):
                raise UsageError(f"{name!r} is no field of a contact: a name, and a text or null")
            if value and len(value) > LONGEST:
                raise UsageError(f"{name!r} is longer than {LONGEST} letters")
        if len(fields) > MOST_FIELDS:
            raise UsageError(f"there are {len(fields)} fields, {MOST_FIELDS} at most")
        joins, leaves = (tuple(map(str, given.get(word) or ())) for word in ("joins", "leaves"))
        return Card(address, fields, joins, leaves)

    def _require(self, name: str) -> None:
        """Raise Missing for a group that the rules do not have, UsageError for one of a file."""
        groups = self._engine.matcher.ruleset.language.groups
        if name not in groups:
            hint = did_you_mean(name, groups) or f"add `{name}: {{}}` under `groups` in a rule file"
            raise Missing(f"no group is named {name!r}; {hint}")
        if groups[name].members is not None:
            raise UsageError(f"the members of {name!r} are those of {groups[name].file}")
