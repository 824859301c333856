"""Later reports of an event on record: what they add to it.

Twilio may tell of one change twice, by two webhooks or by a webhook and Event Streams, and the
second report may say more: an error code, a price, the media of a text, the tag of the attempt that
it is about. It is one event all the same. What the first report left out is learnt from the second;
what it said is never changed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ringback.events import Event
from ringback.store.connection import Connection
from ringback.store.consents import learn
from ringback.store.events import event
from ringback.store.log import LogReader
from ringback.store.meta import in_account
from ringback.store.upkeep.kept_fields import CONTENT_FIELDS
from ringback.twilio.consent import TELLING, is_refusal

_NOTHING = {"NumMedia": ("", "0"), "ErrorCode": ("", "0")}
"""Values of a field that say as little as a blank one."""


def add_reports(connection: Connection, log: LogReader, later: Iterable[Event]) -> list[Event]:
    """Learn what these reports add to the events of the same identity. A claim adds nothing.

    Returns the reports that carry a tag, with what is known besides: each proves an attempt.
    """
    proofs: list[Event] = []
    for report in later:
        if report.trust == "claimed":
            continue
        whole = _add(connection, log, report)
        if report.tag:
            code = report.error_code or (whole.error_code if whole is not None else 0)
            proofs.append(replace(report, error_code=code))
    return proofs


def _add(connection: Connection, log: LogReader, report: Event) -> Event | None:
    """The event with all that is known of it now; None when it is not on record any more."""
    row = connection.execute(
        "select uid from events where dedupe_key = ?", (report.dedupe_key,)
    ).fetchone()
    first = event(connection, log, row[0]) if row else None
    if first is None:
        return None
    tag = report.tag if not first.tag else ""
    added = _additions(first.fields, report.fields) if first.fields else {}
    if not added and not tag:  # nothing new, or forgotten by now
        return first
    whole = replace(
        first,
        tag=first.tag or tag,
        error_code=first.error_code or report.error_code,
        error_class=first.error_class or report.error_class,
        fields=MappingProxyType({**first.fields, **added}),
    )
    if tag:
        connection.execute("update events set tag = ? where uid = ?", (tag, whole.uid))
    if added:
        _learn(connection, first, whole, added)
    if not TELLING.isdisjoint(added) or (tag and is_refusal(whole)):
        learn(connection, whole, late=True)
    return whole


def _learn(connection: Connection, first: Event, whole: Event, added: Mapping[str, str]) -> None:
    connection.execute(
        "update events set fields = json_patch(coalesce(fields, '{}'), ?), error_code = ? "
        "where uid = ?",
        (json.dumps(added), whole.error_code, whole.uid),
    )
    if whole.error_code != first.error_code:
        _explain(connection, whole)


def _explain(connection: Connection, whole: Event) -> None:
    """Tell the action whose failure this is why it failed."""
    rows = connection.execute(
        "select uid, account_sid from actions where remote_sid = ? and remote_sid <> '' "
        "and effect = ? and outcome = ? and error_code = 0",
        (whole.subject_sid, whole.type.partition(".")[0], whole.status),
    )
    for uid, account in rows.fetchall():
        if in_account(connection, whole.account_sid, account):
            connection.execute(
                "update actions set error_code = ?, reason = reason || ? where uid = ?",
                (whole.error_code, f", error {whole.error_code}", uid),
            )


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
