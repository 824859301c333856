"""Retried texts: what became of the text that another one is a try of, as the gate asks for it."""

from ringback.store.connection import Connection


class RetriedTexts:
    """Answers from the journal, each by the identity of one event."""

    _connection: Connection

    def tried_for(self, event_uid: str) -> str:
        """The state of the action whose end this event tells; empty when it tells of none."""
        row = self._connection.execute(
            "select a.state from events e "
            "join actions a on a.uid = json_extract(e.fields, '$.ActionUid') "
            "where e.uid = ? and e.type = 'action.failed'",
            (event_uid,),
        ).fetchone()
        return str(row[0]) if row else ""
