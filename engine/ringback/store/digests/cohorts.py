"""Cohorts: the texts that were planned in a span and what failed in one, for counting.

A text belongs to the moment at which it was planned, one of others to its first report, and a
failure to its first report. So each is in one span alone, and the sums of hours are the sums of
days. A span is read in chunks: each is a short statement, however much is in it.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ringback.outcomes import MESSAGE
from ringback.runtime import from_iso, iso
from ringback.store.connection import OVERTAKING, first_at, one_of
from ringback.store.meta import WITHOUT_SUCCESS
from ringback.store.operations.problems import FAILED
from ringback.store.queries.bulk_lists import BulkLists
from ringback.store.queries.delivery_groups import STATE, between
from ringback.store.queries.failed_texts import WAITS
from ringback.store.queries.failure_groups import country, line_type
from ringback.store.queries.files import Row, loads
from ringback.store.queries.spend_sums import ALL, Tally, tally_of

CHUNK = 500
TOOK = (
    0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0,
    120.0, 180.0, 300.0, 600.0, 1800.0, 3600.0, 86400.0, 999999.0,
)  # fmt: skip
"""Seconds by which delivery times are kept: each text has the next of them that is not smaller."""
TEXT = ("sender", "rule", "country", "line_type", "state", "outcome", "sid", "took")
FAILURE = ("code", "sender", "rule", "country", "line_type")
LEFT = ("rule", "sender", "figure", "unit")
LEFT_FIGURES = ("texts", "calls", "notices")
"""The figures that count requests."""
PRICE = "price"
PARTS = 100_000
"""Prices are counted in so many parts of their unit."""
_STATUSES = tuple(f"message.{status}" for status in MESSAGE.order)
_WENT = ("", "accepted", "unknown")
_BELIEVED = "{0}.trust <> 'claimed' and {0}.source not in ('replay', 'internal')"

_TIMES = (
    ", (select max(t.started_at) from attempts t where t.action_uid = actions.uid) as left_at, "
    "case when remote_sid <> '' and (outcome = 'delivered' or outcome = 'read') then "
    "(select min(e.at) from events e where e.subject_sid = actions.remote_sid "
    "and (+e.type = 'message.delivered' or +e.type = 'message.read') "
    f"and {_BELIEVED.format('e')}) end as delivered_at"
)
"""When a text left, and when it arrived."""

_COUNTS = ("texts", "calls", "notices", "counted", "segments", "estimated", "unpriced")
_TAKEN = (
    "select a.rule, a.kind, a.effect, json_remove(a.params, "
    "'$.to', '$.sender', '$.messaging_service_sid') as params, "
    "coalesce(nullif(json_extract(a.params, '$.messaging_service_sid'), ''), "
    "nullif(json_extract(a.params, '$.sender'), ''), "
    "substr(a.conversation, 1, instr(a.conversation, '/') - 1)) as sender, "
    "a.segments, a.price, a.price_unit, substr(t.started_at, 1, 13) as at, "
    "exists (select 1 from attempts b where b.action_uid = t.action_uid and b.id < t.id and "
    f"{one_of(_WENT, 'b.result')}) as again, "
    "json_extract(a.params, '$.to') like '%:%' or json_extract(a.params, '$.sender') like '%:%' "
    "as elsewhere, count(*) as n "
    "from attempts t join actions a on a.uid = t.action_uid "
    "where t.id >= ? and t.id < ? and t.started_at >= ? and t.started_at < ? "
    f"and {one_of(_WENT, 't.result')} group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11"
)

Counts = Counter[tuple[Any, ...]]
"""How many texts or failures have the values of `TEXT` or `FAILURE`."""


class Cohorts(BulkLists):
    """What a span holds, to be counted once and kept."""

    def texts_between(self, begin: str, end: str) -> Iterator[list[Row]]:
        """The texts of ours that were planned in a span of stored times, in chunks, each text with
        the words of `TEXT`. Those of others come last."""
        first, last = self._id_span("actions", "planned_at", begin, end)
        for start in range(first, last + 1, CHUNK):
            yield self._texts_of(start, start + CHUNK, begin, end, timed=True)
        yield from self._of_others(begin, end)

    def left_between(self, begin: str, end: str) -> Iterator[list[Row]]:
        """What left in a span, in chunks, those alike together: `n` requests of a rule in an hour
        (`at`), with all that `left_counts` asks. `again`: its action had left before."""
        first, last = self._id_span("attempts", "started_at", begin, end)
        for start in range(first, last + 1, CHUNK):
            yield self._all(_TAKEN, (start, start + CHUNK, begin, end))

    def _requests(self, first: int, last: int, begin: str, end: str) -> list[Row]:
        """What left, of attempts with ids from one up to another."""
        rows = self._all(
            "select a.uid, a.rule, a.kind, a.effect, a.params, a.conversation, a.segments, "
            "a.price, a.price_unit, t.started_at as at, exists (select 1 from attempts b "
            "where b.action_uid = t.action_uid and b.id < t.id and "
            f"{one_of(_WENT, 'b.result')}) as again "
            "from attempts t join actions a on a.uid = t.action_uid "
            "where t.id >= ? and t.id < ? and t.started_at >= ? and t.started_at < ? "
            f"and {one_of(_WENT, 't.result')}",
            (first, last, begin, end),
        )
        return [row | {"params": loads(row["params"], {})} for row in rows]

    def failures_between(self, begin: str, end: str) -> Iterator[list[Row]]:
        """The texts and calls that failed in a span, each with the words of `FAILURE`, `at`, `uid`
        and `sid`."""
        first, last = self._id_span("events", "received_at", begin, end)
        for kind in FAILED:
            rows = self._all(
                "select e.uid, e.subject_sid as sid, e.received_at as at, e.error_code as code, "
                "e.sender, e.recipient, e.conversation, coalesce(a.rule, '') as rule from events e "
                "left join actions a on a.remote_sid = e.subject_sid and a.remote_sid <> '' "
                "and a.effect <> '' where e.type = ? and e.id >= ? and e.id <= ? "
                f"and e.received_at >= ? and e.received_at < ? and {_BELIEVED.format('e')} "
                "and not exists (select 1 from events f where f.subject_sid = e.subject_sid "
                f"and f.id < e.id and {one_of(FAILED, '+f.type')} and {_BELIEVED.format('f')})",
                (kind, first, last, begin, end),
            )
            for row in rows:
                if kind == "call.failed" and not row["rule"]:  # a caller is no sender of ours
                    row["sender"] = row["conversation"].partition("/")[0]
            yield _placed(rows)
        yield _placed(self._not_taken(begin, end))

    def _texts_of(self, first: int, last: int, begin: str, end: str, *, timed: bool) -> list[Row]:
        """Texts of ours with ids from one up to another; `timed`: with how long each took."""
        # Rows are found by their id alone: the plus keeps SQLite from the index of states.
        rows = self._all(
            f"select id, uid, planned_at as at, rule, {STATE}, outcome, remote_sid as sid, "
            "coalesce(nullif(json_extract(params, '$.messaging_service_sid'), ''), "
            "nullif(json_extract(params, '$.sender'), ''), "
            "substr(conversation, 1, instr(conversation, '/') - 1)) as sender, "
            f"coalesce(json_extract(params, '$.to'), '') as recipient{_TIMES if timed else ''} "
            "from actions where id >= ? and id < ? and planned_at >= ? and planned_at < ? "
            "and +effect = 'message' and +state <> 'captured'",
            (first, last, begin, end),
        )
        if not timed:
            return rows
        for row in rows:
            row["took"] = between(row["left_at"], row["delivered_at"])
        return _placed(rows)

    def _id_span(self, table: str, column: str, begin: str, end: str) -> tuple[int, int]:
        """Between which ids the rows of a span are."""
        first, last = (first_at(self._connection, table, column, at) for at in (begin, end))
        return max(first - OVERTAKING, 1), last + OVERTAKING

    def _not_taken(self, begin: str, end: str) -> list[Row]:
        since = iso(from_iso(begin) - timedelta(days=WAITS))
        first, last = self._id_span("actions", "planned_at", since, end)
        return self._all(
            "select uid, '' as sid, coalesce(settled_at, planned_at) as at, error_code as code, "
            "coalesce(json_extract(params, '$.sender'), '') as sender, "
            "coalesce(json_extract(params, '$.to'), '') as recipient, rule from actions "
            f"where {one_of(WITHOUT_SUCCESS)} and state = 'failed' and id >= ? and id <= ? "
            "and remote_sid = '' and effect <> '' "
            "and coalesce(settled_at, planned_at) >= ? and coalesce(settled_at, planned_at) < ?",
            (first, last, begin, end),
        )

    def _of_others(self, begin: str, end: str) -> Iterator[list[Row]]:
        """Texts that no action sent, each by its first report; with how far it came by now."""
        first, last = self._id_span("events", "received_at", begin, end)
        for start in range(first, last + 1, CHUNK):
            rows = self._others_of(start, start + CHUNK, begin, end)
            if rows:
                yield rows

    def _others_of(self, first: int, last: int, begin: str, end: str) -> list[Row]:
        """Texts of others, of events with ids from one up to another."""
        rows = self._all(
            "select '' as uid, e.subject_sid as sid, e.received_at as at, '' as rule, "
            "e.sender, e.recipient from events e where e.id >= ? and e.id < ? "
            "and e.received_at >= ? and e.received_at < ? "
            f"and {one_of(_STATUSES, '+e.type')} and {_BELIEVED.format('e')} "
            "and not exists (select 1 from actions a where a.remote_sid = e.subject_sid "
            "and a.remote_sid <> '') "
            "and not exists (select 1 from events f where f.subject_sid = e.subject_sid "
            f"and f.id < e.id and {one_of(_STATUSES, '+f.type')} and {_BELIEVED.format('f')})",
            (first, last, begin, end),
        )
        return self._how_far(rows) if rows else []

    def _how_far(self, rows: list[Row]) -> list[Row]:
        marks = ",".join("?" * len(rows))
        told = self._all(
            "select e.subject_sid as sid, e.status from events e "
            f"where e.subject_sid in ({marks}) and {_BELIEVED.format('e')}",
            [row["sid"] for row in rows],
        )
        furthest: dict[str, str] = {}
        for each in told:
            known, said = furthest.get(each["sid"], ""), each["status"]
            if MESSAGE.ranks.get(said, 0) > MESSAGE.ranks.get(known, 0):
                furthest[each["sid"]] = said
        for row in rows:
            row["outcome"] = outcome = furthest.get(row["sid"], "")
            good, bad = outcome in MESSAGE.good, outcome in MESSAGE.bad
            row["state"] = "settled" if good else "failed" if bad else "accepted"
            row["left_at"] = row["delivered_at"] = row["took"] = None
        return _placed(rows)


def _placed(rows: list[Row]) -> list[Row]:
    """Rows with the country and the line type of their recipient."""
    for row in rows:
        row["country"], row["line_type"] = country(row), line_type(row)
    return rows


def text_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a text is counted as, in the order of `TEXT`."""
    arrived = row["outcome"] in MESSAGE.good
    took = row["took"] if arrived else None
    state = (
        row["state"]
        if row["state"] in ("refused", "failed")
        else ("refused" if row["state"] in ("cancelled", "draft") else "accepted")
    )
    return (
        row["sender"], row["rule"], row["country"], row["line_type"], state,
        row["outcome"] if arrived else "", 1 if row["sid"] else 0,
        TOOK[bisect_left(TOOK, min(took, TOOK[-1]))] if took is not None and took >= 0 else None,
    )  # fmt: skip


def failure_key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a failure is counted as, in the order of `FAILURE`."""
    return tuple(row[word] for word in FAILURE)


def left_counts(row: Mapping[str, Any]) -> dict[tuple[Any, ...], int]:
    """What requests that are alike count for, by keys in the order of `LEFT`."""
    rule, sender, unit = row["rule"], row["sender"], row["price_unit"]
    return {
        (rule, sender, name, unit if name == PRICE else ""): n * row["n"]
        for name, n in _figures_of(
            row["effect"],
            row["kind"],
            row["params"],
            row["elsewhere"],
            row["segments"],
            row["price"],
            row["again"],
        )
    }


@lru_cache(maxsize=4096)
def _figures_of(
    effect: str,
    kind: str,
    params: str,
    elsewhere: int | None,
    segments: int | None,
    price: str | None,
    again: int,
) -> tuple[tuple[str, int], ...]:
    """What one request counts for, of an action with these words."""
    words = loads(params, {}) | ({"to": ":"} if elsewhere else {})  # on another channel
    row = {
        "effect": effect, "kind": kind, "params": words, "segments": segments,
        "price": price, "price_unit": "",
    }  # fmt: skip
    tally = tally_of(row, again=bool(again))
    found = {name: int(getattr(tally, name)) for name in _COUNTS}
    found[PRICE] = round(sum(tally.prices.values(), Decimal()) * PARTS)
    return tuple((name, n) for name, n in found.items() if n)


def tallies_of(rows: Iterable[Mapping[str, Any]], way: str) -> dict[str, Tally]:
    """What was counted, in all and by rule or sender."""
    found: dict[str, Tally] = defaultdict(Tally)
    for row in rows:
        for tally in (found[ALL], found[row[way]]):
            if row["figure"] == PRICE:
                tally.prices[row["unit"]] += Decimal(row["n"]) / PARTS
            else:
                setattr(tally, row["figure"], getattr(tally, row["figure"]) + row["n"])
    return dict(found)


COUNTED: Mapping[str, Callable[[Mapping[str, Any]], Mapping[tuple[Any, ...], int]]] = {
    "texts": lambda row: {text_key(row): 1}, "failures": lambda row: {failure_key(row): 1},
    "left": left_counts,
}  # fmt: skip
"""What a row counts for, by measure."""
