"""How much has left the house? The questions of the budgets, asked when a tally begins."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

from ringback.actions import Action
from ringback.seams import from_iso, iso
from ringback.store.sending import read_wish


def sent_in_all(connection: sqlite3.Connection, since: str) -> list[str]:
    """When anything was tried since then, oldest first."""
    rows = connection.execute(
        "select t.started_at from attempts t where t.started_at >= ? order by t.id", (since,)
    )
    return [row[0] for row in rows]


def left_since(
    connection: sqlite3.Connection, since: str, before: str
) -> Iterator[tuple[str, Action]]:
    """The rule and the wish of each message and call that left in this span, or may have: once
    for each request that Twilio took, or of which nobody knows."""
    # Only the end of the table is read: no clock is set back by more than a day, as a rule.
    early = iso(from_iso(since) - timedelta(days=1))
    rows = connection.execute(
        "select a.rule, a.kind, a.params, a.policy from attempts t "
        "join actions a on a.uid = t.action_uid where t.id > coalesce((select id from attempts "
        "where started_at < ? order by id desc limit 1), 0) "
        "and t.started_at >= ? and t.started_at < ? "
        "and t.result in ('', 'accepted', 'unknown') and a.kind in ('send_message', 'place_call')",
        (early, since, before),
    )
    for rule, kind, params, policy in rows:
        yield rule, read_wish(kind, params, policy)
