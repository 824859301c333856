"""`ringback doctor` on opting out: what the journal shows of STOPs that came and that did not."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.runtime import iso
from ringback.store.consents import note
from ringback.store.migrations import migrate_journal

SERVICE = "MG" + "2c" * 16
COLUMNS = (
    "type", "at", "received_at", "trust", "source", "account_sid", "subject_sid", "sender",
    "recipient", "conversation", "status", "tag",
)  # fmt: skip
OURS = ("TWILIO_", "MATON_", "RINGBACK_")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a gateway and without a node: what is there is the journal."""
    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    (tmp_path / "ringback.toml").write_text("")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """State, text and mend of what the doctor says about opting out, but for the plugin."""
    run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [
        (row["state"], row["says"], row["mend"])
        for row in rows
        if row["check"] == "opt-out" and "plugin" not in row["says"]
    ]


def test_whether_a_stop_comes_here(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two left by a text, one of them by Advanced Opt-Out; of two only a refused send has shown, of
    a third a while ago, of a fourth when the STOP to another number was known; one came back."""
    assert findings(capsys) == []
    now = datetime.now(UTC)
    with closing(sqlite3.connect(project / "data" / "journal.db")) as journal:
        migrate_journal(journal)
        for uid, fields in (("ev_1", {}), ("ev_2", {"OptOutType": "STOP"})):
            values = dict.fromkeys(COLUMNS, "") | {"uid": uid, "dedupe_key": uid}
            values["fields"] = json.dumps(fields)
            names = ", ".join(values)
            journal.execute(
                f"insert into events ({names}, error_code) values ({'?, ' * len(values)}0)",
                list(values.values()),
            )
        for sender, recipient, state, source, days, uid in (
            ("+1500", "+1601", "out", "text 'STOP'", 90, "ev_1"),
            ("+1500", "+1602", "out", "text 'leave'", 90, "ev_2"),
            ("+1500", "+1603", "out", "error 21610", 1, ""),
            ("+1500", "+1604", "out", "error 21610", 40, ""),
            ("+1501", "+1602", "out", "error 21610", 1, ""),
            ("+1500", "+1605", "in", "text 'START'", 1, ""),
            (SERVICE, "+1606", "out", "error 21610", 1, ""),
        ):
            at = iso(now - timedelta(days=days))
            note(journal, sender, recipient, state, source, at, uid)
        journal.commit()
    number, service, heard = findings(capsys)
    assert number[0] == "warn"
    assert number[1].startswith("1 have left +1500 ")
    assert number[2] == "`ringback connect +1500`"
    assert service[0] == "warn"
    assert f"Messaging Service {SERVICE}" in service[2]
    said = "2 have left by a text that came here, 1 of them by Advanced Opt-Out"
    assert heard == ("ok", said, "")


def test_a_journal_that_cannot_be_read_is_said_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "data" / "journal.db").write_text("Dear diary,\n" * 100)
    run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["check"] for row in rows if "journal.db" in row["says"]] == ["database"]
    assert not any("itself failed" in row["says"] for row in rows)
