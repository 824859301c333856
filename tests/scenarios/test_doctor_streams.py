"""`ringback doctor` on Event Streams: elements of batches that are no events."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.runtime import iso
from ringback.store.migrations import migrate_journal
from scenarios.test_doctor_consent import COLUMNS, project

__all__ = ["project"]


def findings(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """State, text and mend of what the doctor says about Event Streams."""
    run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    about = [row for row in rows if row["check"] == "event streams"]
    return [(row["state"], row["says"], row["mend"]) for row in about]


def test_malformed_elements_of_the_last_day_are_counted_and_explained(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert findings(capsys) == []
    with closing(sqlite3.connect(project / "data" / "journal.db")) as journal:
        migrate_journal(journal)
        for number, days in enumerate((3, 0, 0)):
            at = iso(datetime.now(UTC) - timedelta(days=days))
            values = dict.fromkeys(COLUMNS, "") | {
                "type": "webhook.malformed", "uid": f"evt_{number}", "dedupe_key": str(number),
                "at": at, "received_at": at, "verdicts": "{}",
                "fields": json.dumps({"Reason": f"why {number}"}),
            }  # fmt: skip
            names, marks = ", ".join(values), "?, " * len(values)
            journal.execute(
                f"insert into events ({names}, error_code) values ({marks}0)",
                tuple(values.values()),
            )
        journal.commit()
    ((state, says, mend),) = findings(capsys)
    assert (state, says) == (
        "warn", "2 element(s) of Event Streams since yesterday are no events: why 2"
    )  # fmt: skip
    assert mend.startswith("`ringback events show evt_2` has it")
