"""Failures that wait for a person, as the navigation counts them."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from ringback.console.pulse import Pulse
from ringback.console.reading import Reading
from ringback.console.surroundings import Surroundings
from ringback.runtime import REAL, iso
from ringback.store.migrations import migrate_journal
from ringback.store.sqlite.sqlite_files import connect_writer

NOW = REAL.now()


async def nobody(_: Any) -> dict[str, Any]:
    return {"error": "no worker"}


def failed(journal: Connection, number: int, code: int, hours: float) -> None:
    at = iso(NOW - timedelta(hours=hours))
    journal.execute(
        "insert into events (uid, type, at, received_at, trust, source, account_sid, subject_sid, "
        "sender, recipient, conversation, status, error_code, tag, dedupe_key) values "
        "(?, 'message.failed', ?, ?, 'signed', 'webhook', '', ?, '+15550001111', '+447911123456', "
        "'', 'failed', ?, '', ?)",
        (f"evt_{number}", at, at, f"SM{number}", code, f"k{number}"),
    )


def said(journal: Connection, code: int, state: str, hours: float, above: int | None) -> None:
    journal.execute(
        "insert into problems (key, state, until, above, note, by, at) "
        "values (?, ?, null, ?, '', 'ann', ?)",
        (str(code), state, above, iso(NOW - timedelta(hours=hours))),
    )


@pytest.mark.parametrize(
    ("codes", "told", "wanted"),
    [
        ([], (), 0),
        ([30003, 30003, 30005], (), 2),
        ([30003, 30005], ("seen", 1, None), 1),
        ([30003], ("resolved", 1, None), 0),
        ([30003], ("resolved", 3, None), 1),
        ([30003, 30003], ("muted", 1, 2), 0),
        ([30003, 30003], ("muted", 1, 1), 1),
    ],
    ids=str,
)
async def test_what_nobody_has_said_anything_to_waits(
    tmp_path: Path, codes: list[int], told: tuple[Any, ...], wanted: int
) -> None:
    """Also what came back, and what is muted up to a number that it has passed. What failed two
    days ago does not count."""
    with closing(connect_writer(tmp_path / "journal.db")) as journal:
        migrate_journal(journal)
        for number, code in enumerate([*codes, 63016]):
            failed(journal, number, code, 2.0 if number < len(codes) else 48.0)
        if told:
            said(journal, 30003, *told)
        with closing(Reading(tmp_path)) as reading:
            beat = await Pulse(reading, Surroundings(nobody)).beat()
    assert beat.badge("failures") == wanted
