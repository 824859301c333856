"""Lists of events, runs, actions and attempts in parts, newest first, each part of a bounded cost.

An index finds the rows by the narrowest of the filters; the others are asked of those rows, at most
of `LOOKED_AT` for a part. What is found until then is the part, with the time up to which was
looked, so that a filter that fits nothing costs no more than another, and no answer is taken for
the end of the list that is none.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from ringback.store.connection import OVERTAKING, first_at, one_of
from ringback.store.meta import OPEN_STATES, RARE_SOURCES, WITHOUT_SUCCESS
from ringback.store.queries import filters
from ringback.store.queries.files import Row
from ringback.store.queries.filters import Clause
from ringback.store.queries.run_lists import COMMON, with_params
from ringback.store.queries.waits import Waits

LOOKED_AT = 5000
"""So many rows are looked at, at most, for one part of a list."""
_CHUNK = 50
_TIMES = {
    "events": "received_at", "runs": "started_at", "actions": "planned_at",
    "attempts": "started_at",
}  # fmt: skip
_COLUMNS = {
    "events": ("received_at", "type", "error_code", "subject_sid", "trust", "source", "verdicts"),
    "runs": ("started_at", "state", "rule", "event_uid"),
    "actions": ("planned_at", "state", "rule", "kind", "error_code", "event_uid", "run_uid",
                "remote_sid", "outcome", "conversation"),
    "attempts": ("started_at", "action_uid", "result", "twilio_code"),
}  # fmt: skip
"""What filters ask of each."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a list, newest first. `before` is where the next part begins, 0 at the end of the
    list. `looked_back_to` is the time of the oldest row that was looked at, when the part ends
    there and not because it is full; else empty."""

    rows: list[Row] = field(default_factory=list)
    before: int = 0
    looked_back_to: str = ""


class BoundedLists(Waits):
    """The same lists as those of the shell, in parts."""

    def events_part(self, wanted: filters.Events, limit: int, before: int = 0) -> Part:
        """The newest events that fit, of those before a row."""
        rest = wanted.rest()
        if wanted.rule and wanted.verdict in ("", "fired") and not (wanted.sid or wanted.number):
            part = self._fired_on(wanted, rest, limit, before)
        else:
            part = self._part("events", self._event_ways(wanted), rest, wanted, limit, before)
        return Part([self._with_fields(row) for row in part.rows], part.before, part.looked_back_to)

    def runs_part(self, wanted: filters.Runs, limit: int, before: int = 0) -> Part:
        """The newest runs that fit, of those before a row."""
        if wanted.event:
            ways: list[Clause] = [("event_uid = ?", [wanted.event])]
        elif wanted.state and wanted.state not in COMMON:
            group = OPEN_STATES if wanted.state in OPEN_STATES else filters.ENDED_BADLY
            ways = [(f"{one_of(group)} and state = ?", [wanted.state])]
        else:
            ways = [("rule = ?", [wanted.rule])] if wanted.rule else [("", [])]
        return self._part("runs", ways, wanted.rest(), wanted, limit, before)

    def actions_part(self, wanted: filters.Actions, limit: int, before: int = 0) -> Part:
        """The newest actions that fit, of those before a row."""
        ways = self._action_ways(wanted)
        part = self._part("actions", ways, wanted.rest(), wanted, limit, before)
        return Part([with_params(row) for row in part.rows], part.before, part.looked_back_to)

    def attempts_part(self, wanted: filters.Attempts, limit: int, before: int = 0) -> Part:
        """The newest attempts that fit, of those before a row."""
        ways: list[Clause] = [("", [])]
        if wanted.action:
            ways = [("action_uid = ?", [wanted.action])]
        elif wanted.event:
            acts = "action_uid in (select uid from actions where event_uid = ?)"
            ways = [(acts, [wanted.event])]
        return self._part("attempts", ways, wanted.rest(), wanted, limit, before)

    def _event_ways(self, wanted: filters.Events) -> list[Clause]:
        """What to ask for one after the other, so that an index answers each."""
        if not (wanted.sid or wanted.number):
            if wanted.code:
                return [("error_code > 0 and error_code = ?", [wanted.code])]
            if not wanted.error and wanted.trust == "claimed":
                return [("trust = 'claimed'", [])]
            source = "internal" if wanted.own else wanted.source
            if not wanted.error and source in RARE_SOURCES:
                return [(f"{one_of(RARE_SOURCES, 'source')} and source = ?", [source])]
        found = self._ways(wanted.type, wanted.number, wanted.sid, wanted.error)
        return [(" and ".join(clauses), values) for clauses, values in found]

    def _action_ways(self, wanted: filters.Actions) -> list[Clause]:
        for column, value in (("event_uid", wanted.event), ("run_uid", wanted.run)):
            if value:
                return [(f"{column} = ?", [value])]
        if wanted.sid:
            return [("remote_sid = ? and remote_sid <> ''", [wanted.sid])]
        if wanted.number and not self._is_ours(wanted.number):
            return [("conversation = ?", [each]) for each in self.conversations(wanted.number)]
        if wanted.code:
            return [("error_code > 0 and error_code = ?", [wanted.code])]
        if wanted.state and wanted.state not in COMMON:
            bad = wanted.state in WITHOUT_SUCCESS
            group = f"{one_of(WITHOUT_SUCCESS)} and " if bad else ""
            return [(f"{group}state = ?", [wanted.state])]
        for column, value in (("rule", wanted.rule), ("kind", wanted.kind)):
            if value:
                return [(f"{column} = ?", [value])]
        return [("", [])]

    def _part(
        self,
        table: str,
        ways: Sequence[Clause],
        rest: Clause,
        span: filters.Span,
        limit: int,
        before: int,
    ) -> Part:
        """The newest rows of a table that one of the ways finds and that are like the rest."""
        first, last = self._bounds(table, span, before)
        each = max(LOOKED_AT // max(len(ways), 1), limit + 1)
        ids: list[int] = []
        cut = 0
        for way in ways:
            found, oldest = self._looked(table, way, rest, (first, last), (limit + 1, each))
            ids += found
            cut = max(cut, oldest)
        ids = sorted((number for number in set(ids) if number >= cut), reverse=True)
        rows = self._all(
            f"select * from {table} where id in (select cast(value as bigint) from json_each(?)) "
            "order by id",
            (json.dumps(ids[:limit]),),
        )[::-1]
        if len(ids) > limit:
            return Part(rows, ids[limit - 1])
        return Part(rows, cut, self._time_of(table, cut) if cut else "")

    def _looked(
        self,
        table: str,
        way: Clause,
        rest: Clause,
        bounds: tuple[int, int],
        sizes: tuple[int, int],
    ) -> tuple[list[int], int]:
        """The ids that fit, and the last one that was looked at when there are more to look at."""
        (limit, most), (clause, values) = sizes, way
        limits = ["id >= ?"] if bounds[0] else []
        limits += ["id < ?"] if bounds[1] else []
        bound = [number for number in bounds if number]
        inner = " and ".join(part for part in (clause, *limits) if part)
        where = f"where {inner}" if inner else ""
        asked = f"where {rest[0]}" if rest[0] else ""
        rows = self._all(
            f"select id from (select {_asked_of(table, rest)} from {table} {where} "
            f"order by id desc limit ?) as newest {asked} limit ?",
            [*values, *bound, most, *rest[1], limit],
        )
        ids = [int(row["id"]) for row in rows]
        if len(ids) >= limit or not rest[0]:
            return ids, 0
        last = self._one(
            f"select id from {table} {where} order by id desc limit 1 offset ?",
            [*values, *bound, most - 1],
        )
        return ids, int(last["id"]) if last else 0

    def _bounds(self, table: str, span: filters.Span, before: int) -> tuple[int, int]:
        """The first row that may be of the span, and the first one behind it; 0 for no bound."""
        column = _TIMES[table]
        first = last = 0
        if span.since:
            first = max(first_at(self._connection, table, column, span.since) - OVERTAKING, 1)
        if span.until:
            last = first_at(self._connection, table, column, span.until) + OVERTAKING
        return first, min(last, before) if last and before else last or before

    def _time_of(self, table: str, number: int) -> str:
        row = self._one(f"select {_TIMES[table]} as at from {table} where id = ?", (number,))
        return str(row["at"]) if row else ""

    def _fired_on(self, wanted: filters.Events, rest: Clause, limit: int, before: int) -> Part:
        """The events that a rule began runs on, in the order of the runs: those are found by an
        index, and events that a rule fired on by none. `before` is a row of the runs."""
        first, last = self._bounds("runs", filters.Span(since=wanted.since), before)
        found: list[Row] = []
        looked, at = 0, ""
        size = max(limit + 1, _CHUNK)
        while looked < LOOKED_AT:
            limits = (" and id >= ?" if first else "") + (" and id < ?" if last else "")
            chunk = self._all(
                f"select id, event_uid, started_at from runs where rule = ?{limits} "
                "order by id desc limit ?",
                [wanted.rule, *(number for number in (first, last) if number), size],
            )
            fitting = self._fitting([row["event_uid"] for row in chunk], rest)
            for run in chunk:
                if run["event_uid"] in fitting:
                    if len(found) == limit:
                        return Part(found, last)
                    found.append(fitting[run["event_uid"]])
                last, at = int(run["id"]), str(run["started_at"])
            looked += len(chunk)
            if len(chunk) < size:
                return Part(found)
        return Part(found, last, at)

    def _fitting(self, uids: list[str], rest: Clause) -> dict[str, Row]:
        """Those of these events that are like the rest, by their uids."""
        rows = self._all(
            "select * from events where uid in (select value from json_each(?))"
            + (f" and {rest[0]}" if rest[0] else ""),
            [json.dumps(uids), *rest[1]],
        )
        return {row["uid"]: row for row in rows}


def _asked_of(table: str, rest: Clause) -> str:
    """The columns of a table that a condition asks, and its id: to copy a whole row costs most."""
    return ", ".join(["id", *(name for name in _COLUMNS[table] if name in rest[0])])
