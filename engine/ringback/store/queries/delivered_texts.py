"""Texts of ours in a span, each with how far it came, for counting."""

from ringback.outcomes import MESSAGE
from ringback.store.connection import first_since
from ringback.store.queries.action_search import ActionSearch
from ringback.store.queries.delivery_groups import STATE
from ringback.store.queries.files import Row

_ARRIVED = ("delivered", "read")


class DeliveredTexts(ActionSearch):
    """What became of texts: of actions, and of those that others sent over the same account."""

    def sent_texts(self, since: str, limit: int) -> list[Row]:
        """The texts since then (a stored time), the newest first, at most so many: `at`, `sender`,
        `recipient`, `rule`, `state`, `outcome`, `sid`, `uid`, and `left_at` and `delivered_at`,
        both None where nobody knows. What a rule in shadow would have sent is not among them. Texts
        that no action sent have no `rule` and no `uid`, and the state that their last report means.

        Each table is read once, from that moment on, and they are joined here: a look-up for each
        text in a large file takes many times as long.
        """
        left, reports = self._left(since, limit), self._reports(since, limit)
        found = self._of_actions(since, limit)
        ours = {row["sid"] for row in found}
        for row in found:
            row["left_at"] = left.get(row["uid"])
            report = reports.get(row["sid"])
            row["delivered_at"] = report["delivered_at"] if report else None
        for sid, row in reports.items():
            if sid not in ours and not self._is_ours_by_sid(sid):
                good, bad = row["outcome"] in MESSAGE.good, row["outcome"] in MESSAGE.bad
                row["state"] = "settled" if good else "failed" if bad else "accepted"
                # When it was asked for is known to those who sent it.
                found.append(row | {"uid": "", "rule": "", "left_at": None, "delivered_at": None})
        return sorted(found, key=lambda row: str(row["at"]), reverse=True)[:limit]

    def _of_actions(self, since: str, limit: int) -> list[Row]:
        first = first_since(self._connection, "actions", "planned_at", since)
        # Rows are found by their id alone: the plus keeps SQLite from the index of states.
        return self._all(
            f"select uid, planned_at as at, rule, {STATE}, outcome, remote_sid as sid, "
            "coalesce(nullif(json_extract(params, '$.messaging_service_sid'), ''), "
            "nullif(json_extract(params, '$.sender'), ''), "
            "substr(conversation, 1, instr(conversation, '/') - 1)) as sender, "
            "coalesce(json_extract(params, '$.to'), '') as recipient from actions "
            "where id >= ? and planned_at >= ? and +effect = 'message' and +state <> 'captured' "
            "order by id desc limit ?",
            (first, since, limit),
        )

    def _left(self, since: str, limit: int) -> dict[str, str]:
        """When the last request for each action was made."""
        first = first_since(self._connection, "attempts", "started_at", since)
        rows = self._all(
            "select action_uid, started_at from attempts where id >= ? order by id desc limit ?",
            (first, 2 * limit),
        )
        return {row["action_uid"]: row["started_at"] for row in reversed(rows)}

    def _reports(self, since: str, limit: int) -> dict[str, Row]:
        """What was reported of each text: the furthest status, and when it was delivered."""
        first = first_since(self._connection, "events", "received_at", since)
        found: dict[str, Row] = {}
        for status in MESSAGE.order:  # from the first to the last: what comes later counts
            rows = self._all(
                "select subject_sid as sid, received_at as at, sender, recipient, "
                "status as outcome, null as delivered_at, at as said_at from events "
                "where type = ? and id >= ? and received_at >= ? and +trust <> 'claimed' "
                "and source not in ('replay', 'internal') order by id desc limit ?",
                (f"message.{status}", first, since, limit),
            )
            for row in rows:
                said_at = row.pop("said_at")
                known = found.setdefault(row["sid"], row)
                known["outcome"] = status
                if status in _ARRIVED:
                    known["delivered_at"] = min(known["delivered_at"] or said_at, said_at)
        return found

    def _is_ours_by_sid(self, sid: str) -> bool:
        """Whether an action sent it: before the span, since it is not among those of the span."""
        return bool(
            self._one(
                "select 1 from actions where remote_sid = ? and remote_sid <> '' limit 1", (sid,)
            )
        )
