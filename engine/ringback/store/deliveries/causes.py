"""Causes: which of our own actions led to another, as the loop guard asks for it."""

from typing import Protocol

from ringback.events import DEEPEST
from ringback.store.connection import Connection

_BEHIND = """
select a.rule, a.event_uid from events e join actions a on a.uid = case
    when e.source = 'internal' then json_extract(e.fields, '$.ActionUid')
    when e.tag <> '' then (select action_uid from attempts where tag = e.tag)
    else (select uid from actions where remote_sid = e.subject_sid and remote_sid <> '' limit 1) end
where e.uid = ?
"""
"""The action that an event is about."""


class Caused(Protocol):
    """An action as the loop guard's past asks about it."""

    @property
    def rule(self) -> str:
        """The rule or hook that asked for it."""

    @property
    def event_uid(self) -> str:
        """The event that it answers."""

    @property
    def depth(self) -> int:
        """How many of our own actions caused each other, with this one."""


class Causes:
    """Answers from the journal, by the event that an action answers."""

    _connection: Connection

    def caused_itself(self, action: Caused) -> bool:
        """Whether an earlier action of the same rule or hook is among those that led to this."""
        event_uid, depth = action.event_uid, action.depth
        earlier = self._connection.execute(
            "select 1 from actions where event_uid = ? and rule = ? and depth < ? limit 1",
            (event_uid, action.rule, depth),
        ).fetchone()
        if earlier:  # a hook's actions stand with the event of the one that it saw end
            return True
        for _ in range(DEEPEST):
            row = self._connection.execute(_BEHIND, (event_uid,)).fetchone()
            if row is None:
                return False
            rule, event_uid = row
            if rule == action.rule:
                return True
        return False

    def tries_before(self, event_uid: str) -> int:
        """How often the text whose failure this event tells had been tried again, else 0."""
        row = self._connection.execute(
            "select json_extract(a.params, '$.retries') from events e "
            "join actions a on a.uid = json_extract(e.fields, '$.ActionUid') "
            "where e.uid = ? and e.type = 'action.failed' and a.kind = 'send_message'",
            (event_uid,),
        ).fetchone()
        return int(row[0] or 0) if row else 0
