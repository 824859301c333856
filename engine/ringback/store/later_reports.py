"""Later reports of an event on record: what they add to it.

Twilio may tell of one change twice, by two webhooks or by a webhook and Event Streams, and the
second report may say more: an error code, a price, the media of a text. It is one event all the
same. What the first report left out is learnt from the second; what it said is never changed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from sqlite3 import Connection
from types import MappingProxyType

from ringback.events import Event
from ringback.store.consents import learn
from ringback.store.events import event
from ringback.store.log import LogReader
from ringback.store.upkeep.log_retention import CONTENT_FIELDS
from ringback.twilio.consent import TELLING

_NOTHING = {"NumMedia": ("", "0"), "ErrorCode": ("", "0")}
"""Values of a field that say as little as a blank one."""


def add_reports(connection: Connection, log: LogReader, later: Iterable[Event]) -> None:
    """Learn what these reports add to the events of the same identity. A claim adds nothing."""
    for report in later:
        if report.trust != "claimed":
            _add(connection, log, report)


def _add(connection: Connection, log: LogReader, report: Event) -> None:
    row = connection.execute(
        "select uid from events where dedupe_key = ?", (report.dedupe_key,)
    ).fetchone()
    first = event(connection, log, row[0]) if row else None
    added = _additions(first.fields, report.fields) if first is not None else {}
    if first is None or not added or not first.fields:  # nothing new, or forgotten by now
        return
    whole = replace(
        first,
        error_code=first.error_code or report.error_code,
        error_class=first.error_class or report.error_class,
        fields=MappingProxyType({**first.fields, **added}),
    )
    connection.execute(
        "update events set fields = json_patch(coalesce(fields, '{}'), ?), error_code = ? "
        "where uid = ?",
        (json.dumps(added), whole.error_code, whole.uid),
    )
    if whole.error_code != first.error_code:
        connection.execute(
            "update actions set error_code = ?, reason = reason || ? "
            "where remote_sid = ? and effect = ? and outcome = ? and error_code = 0",
            (
                whole.error_code, f", error {whole.error_code}", whole.subject_sid,
                whole.type.partition(".")[0], whole.status,
            ),
        )  # fmt: skip
    if not TELLING.isdisjoint(added):
        learn(connection, whole, late=True)


def _additions(known: Mapping[str, str], told: Mapping[str, str]) -> dict[str, str]:
    """The fields that one report has and another has not, or has blank. What people said is kept in
    the log alone, which forgets it in its time."""
    return {
        name: value
        for name, value in told.items()
        if name.lower() not in CONTENT_FIELDS
        and value not in _NOTHING.get(name, ("",))
        and known.get(name, "") in _NOTHING.get(name, ("",))
    }
