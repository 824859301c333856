"""Lists of runs and actions, the newest first, and what hangs on single ones."""

from collections.abc import Mapping
from typing import Any

from ringback.store.connection import one_of
from ringback.store.meta import OPEN_STATES, WITHOUT_SUCCESS
from ringback.store.queries.event_lists import EventLists
from ringback.store.queries.files import Row, loads
from ringback.twilio.costs import estimated_segments

_ENDED_BADLY = ("failed", "skipped", "cancelled")
COMMON = ("settled", "accepted", "done")
"""States that most rows are in: the newest of them are found by going back, not by the index."""
_RECENT_RUNS = 20_000


class RunLists(EventLists):
    """Runs, actions and attempts by what people look for."""

    def runs(
        self, *, event: str = "", state: str = "", rule: str = "", limit: int = 50
    ) -> list[Row]:
        """Runs, newest first; of one event in the order in which they began."""
        if event:
            return self._all(
                "select * from runs where event_uid = ? order by priority desc, id limit ?",
                (event, limit),
            )
        return self._newest("runs", state, (OPEN_STATES, _ENDED_BADLY), {"rule": rule}, limit)

    def actions(
        self, *, run: str = "", state: str = "", rule: str = "", kind: str = "", limit: int = 50
    ) -> list[Row]:
        """Actions, newest first; of one run in their order. While nobody has told how many segments
        a text took, `estimated_segments` says about how many; else it is None."""
        if run:
            rows = self._all(
                "select * from actions where run_uid = ? order by ordinal limit ?", (run, limit)
            )
        else:
            wanted = {"rule": rule, "kind": kind}
            rows = self._newest("actions", state, (WITHOUT_SUCCESS,), wanted, limit)
        return [with_params(row) for row in rows]

    def run(self, uid: str) -> Row | None:
        """One run by its uid."""
        return self._one("select * from runs where uid = ?", (uid,))

    def action(self, uid: str) -> Row | None:
        """One action by its uid."""
        row = self._one("select * from actions where uid = ?", (uid,))
        return with_params(row) if row else None

    def _newest(
        self,
        table: str,
        state: str,
        indexed: tuple[tuple[str, ...], ...],
        wanted: Mapping[str, str],
        limit: int,
    ) -> list[Row]:
        """The newest rows with a state and these values, each where it is not empty.

        One index finds them: that of a rare state, whose literal words prove it to SQLite; else
        that of the first value. A plus keeps it from all others. Only ids are sorted.
        """
        found: list[str] = []
        rare = bool(state) and state not in COMMON
        if state:
            among = next((group for group in indexed if state in group), None)
            found += [one_of(among)] if among else []
            found.append("state = ?" if rare else "+state = ?")
        given = {column: value for column, value in wanted.items() if value}
        for number, column in enumerate(given):
            found.append(f"{'+' if rare or number else ''}{column} = ?")
        values = [*([state] if state else []), *given.values(), limit]
        where = f"where {' and '.join(found)}" if found else ""
        return self._all(
            f"select * from {table} where id in (select id from {table} {where} "
            "order by id desc limit ?) order by id desc",
            values,
        )

    def attempts(self, action: str) -> list[Row]:
        """The requests that were made for an action, in order."""
        return self._all("select * from attempts where action_uid = ? order by n", (action,))

    def callbacks(self, action: Mapping[str, Any]) -> list[Row]:
        """The status callbacks about what an action made, in the order of their times."""
        if not action["remote_sid"] or not action["effect"]:
            return []
        return self._all(
            "select uid, type, at, received_at, status, error_code, trust, source from events "
            "where subject_sid = ? and type not like '%.received' and source <> 'replay' "
            "order by at, id",
            (action["remote_sid"],),
        )

    def answer(self, event: str) -> str | None:
        """The TwiML that the call of this event was given."""
        row = self._one("select twiml from answers where event_uid = ?", (event,))
        return str(row["twiml"]) if row else None

    def quarantined(self) -> dict[str, str]:
        """The rules in quarantine, with the reason."""
        return {row["rule"]: row["reason"] for row in self.strikes() if row["quarantined_at"]}

    def strikes(self) -> list[Row]:
        """The rules that blocked or broke the worker, and those in quarantine for it."""
        return self._all("select * from strikes order by last_at desc")

    def plugin_trouble(self) -> dict[str, str]:
        """What is wrong with each plugin that is not well: its quarantine, or its last failure."""
        failed = self._all(
            f"select rule, reason, ended_at from runs where {one_of(_ENDED_BADLY)} "
            "and state = 'failed' and rule like '%.%' "
            "and id > (select max(id) from runs) - ? order by id",
            (_RECENT_RUNS,),
        )
        trouble = {
            row["rule"].partition(".")[
                0
            ]: f"{row['rule']} failed at {row['ended_at']}: {row['reason']}"
            for row in failed
        }
        for row in reversed(self.strikes()):
            what = "quarantined" if row["quarantined_at"] else f"failed {row['count']}×"
            trouble[row["plugin"]] = f"{row['rule']} {what}, last {row['last_at']}: {row['reason']}"
        return trouble


def with_params(row: Row) -> Row:
    """An action with its `params` read and its `estimated_segments`; see `RunLists.actions`."""
    params = row["params"] = loads(row["params"], {})
    told = row["segments"] is not None or row["effect"] != "message"
    row["estimated_segments"] = None if told else estimated_segments(params)
    return row
