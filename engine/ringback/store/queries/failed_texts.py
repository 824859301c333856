"""Texts and calls of ours that failed, each once, for counting."""

from ringback.store.meta import WITHOUT_SUCCESS
from ringback.store.queries.files import Row
from ringback.store.queries.traces import Traces
from ringback.store.sqlite import first_since, one_of

FAILED = ("message.failed", "message.undelivered", "call.failed")
"""The reports that a text or call has ended badly."""


class FailedTexts(Traces):
    """Failures of a span, by what people count."""

    def failures(self, since: str, limit: int) -> list[Row]:
        """The texts and calls that failed since then (a stored time), the newest first: those that
        Twilio reported as failed or undelivered, whoever sent them, and those that it did not even
        accept. Each is there once, with its `rule` when an action of ours made it.

        Costs what it returns: rows are found by their type or state, from that moment on.
        """
        found: dict[str, Row] = {}
        for row in self._reported(since, limit) + self._refused(since, limit):
            found.setdefault(row["sid"] or row["uid"], row)
        return sorted(found.values(), key=lambda row: str(row["at"]), reverse=True)[:limit]

    def _reported(self, since: str, limit: int) -> list[Row]:
        first = first_since(self._connection, "events", "received_at", since)
        return [
            row
            for kind in FAILED
            for row in self._all(
                "select e.uid, e.subject_sid as sid, e.received_at as at, e.error_code as code, "
                "e.sender, e.recipient, coalesce(a.rule, '') as rule from events e "
                "left join actions a on a.remote_sid = e.subject_sid and a.remote_sid <> '' "
                "and a.effect <> '' "
                "where e.type = ? and e.id >= ? and e.received_at >= ? "
                "and e.trust <> 'claimed' and e.source not in ('replay', 'internal') "
                "order by e.id desc limit ?",
                (kind, first, since, limit),
            )
        ]

    def _refused(self, since: str, limit: int) -> list[Row]:
        first = first_since(self._connection, "actions", "planned_at", since)
        return self._all(
            "select uid, '' as sid, coalesce(settled_at, planned_at) as at, error_code as code, "
            "coalesce(json_extract(params, '$.sender'), '') as sender, "
            "coalesce(json_extract(params, '$.to'), '') as recipient, rule from actions "
            f"where {one_of(WITHOUT_SUCCESS)} and state = 'failed' "
            "and id >= ? and planned_at >= ? and remote_sid = '' "
            "and effect <> '' order by id desc limit ?",
            (first, since, limit),
        )
