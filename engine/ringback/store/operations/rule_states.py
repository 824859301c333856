"""Rule states: those that people gave to rules over their files, until a time or a new revision."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from ringback.store.connection import Connection, replacing
from ringback.store.database import Database
from ringback.store.operations.doings import Doing, carry_out


@dataclass(frozen=True, slots=True)
class RuleState:
    """The state that a person gave to a rule (`name`), which the `file` has in another. It is in
    force `until` then (None: without an end), and while the rule has this revision."""

    name: str
    state: str
    file: str
    rev: str
    until: str | None
    by: str
    reason: str
    at: str

    def holds(self, rev: str, now: str) -> bool:
        """Whether it is in force for the rule of this revision."""
        return self.rev == rev and (self.until is None or self.until > now)


_NAMES = tuple(field.name for field in fields(RuleState))
ALL = f"select {', '.join(_NAMES)} from rule_states order by name"


class RuleStates:
    """The states of rules that are not those of their files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[RuleState]:
        """All that are kept; some may have come to their end."""
        return [RuleState(*row) for row in await self._database.all(ALL)]

    async def give(self, state: RuleState, doing: Doing | None = None) -> None:
        """Put a rule into a state."""
        await self._database.write(carry_out, doing, _give, state)

    async def take_back(self, name: str, doing: Doing | None = None) -> bool:
        """Let the file decide again. False when it does already."""
        return bool(await self._database.write(carry_out, doing, _forget, [name]))

    async def end(self, ended: Sequence[RuleState]) -> None:
        """Forget those that have come to their end."""
        await self._database.write(_end, ended)


def _give(connection: Connection, state: RuleState) -> None:
    connection.execute(replacing("rule_states", _NAMES), astuple(state))


def _forget(connection: Connection, names: Sequence[str]) -> int:
    return connection.executemany(
        "delete from rule_states where name = ?", [(name,) for name in names]
    ).rowcount


def _end(connection: Connection, ended: Sequence[RuleState]) -> None:
    """Not what a person has said meanwhile."""
    connection.executemany(
        "delete from rule_states where name = ? and at = ? and rev = ?",
        [(each.name, each.at, each.rev) for each in ended],
    )
