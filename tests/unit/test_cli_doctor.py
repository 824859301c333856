"""`ringback doctor` on what waits for a person: parked actions and incidents that are not over."""

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.runtime import iso
from ringback.store.migrations import migrate_journal


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without a gateway and without a node: what is there is the journal."""
    for name in os.environ:
        if name.startswith(("TWILIO_", "MATON_", "RINGBACK_")):
            monkeypatch.delenv(name)
    (tmp_path / "ringback.toml").write_text("")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def insert(journal: sqlite3.Connection, table: str, **values: object) -> None:
    """One row; every other column that wants a value gets an empty text."""
    columns = journal.execute(f"pragma table_info({table})").fetchall()
    for _, name, _, wanted, default, key in columns:
        if wanted and default is None and not key:
            values.setdefault(name, "")
    marks = ", ".join("?" * len(values))
    journal.execute(
        f"insert into {table} ({', '.join(values)}) values ({marks})", list(values.values())
    )


def incident(journal: sqlite3.Connection, uid: str, word: str, text: str, hours: int) -> None:
    """An incident was opened, or is over."""
    at = iso(datetime.now(UTC) - timedelta(hours=hours))
    fields = json.dumps({"Key": uid, "Kind": "held", "Text": text})
    insert(
        journal, "events", uid=f"evt_{uid}_{word}", type=f"incident.{word}", at=at,
        received_at=at, subject_sid=uid, fields=fields, dedupe_key=f"{word}:{uid}", error_code=0,
    )  # fmt: skip


def findings(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    """What the doctor says about actions and incidents: check, text and mend."""
    run(["doctor", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [
        (row["check"], row["says"], row["mend"])
        for row in rows
        if row["check"] in ("actions", "incidents") and row["state"] == "warn"
    ]


def test_what_waits_for_a_person(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Parked actions are counted; of incidents those of the last day that are not over are shown,
    five of them one by one."""
    assert findings(capsys) == []
    with closing(sqlite3.connect(project / "data" / "journal.db")) as journal:
        migrate_journal(journal)
        incident(journal, "inc_old", "opened", "long ago", 30)
        incident(journal, "inc_over", "opened", "it was bad", 2)
        incident(journal, "inc_over", "resolved", "it is well", 1)
        journal.commit()
        assert findings(capsys) == []
        for number, state in enumerate(("parked", "parked", "settled")):
            insert(journal, "actions", uid=f"act_{number}", ordinal=number, state=state,
                   params="{}")  # fmt: skip
        for number in range(7):
            incident(journal, f"inc_{number}", "opened", f"trouble {number}", 1)
        journal.commit()
    actions, *incidents, more = findings(capsys)
    assert actions[1].startswith("2 parked")
    assert actions[2] == "`ringback actions list --state parked`"
    assert [says.partition(" (")[0] for _, says, _ in incidents] == [
        f"trouble {number}" for number in (6, 5, 4, 3, 2)
    ]
    assert "`ringback trace evt_inc_6_opened`" in incidents[0][2]
    assert more[1] == "2 more of the last day"


def test_what_is_parked_is_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Among all actions, and when it is asked for."""
    with closing(sqlite3.connect(project / "data" / "journal.db")) as journal:
        migrate_journal(journal)
        for number, state in enumerate(("parked", "settled")):
            insert(journal, "actions", uid=f"act_{number}", ordinal=number, state=state,
                   params="{}", planned_at="2026-01-01T00:00:00.000Z")  # fmt: skip
        journal.commit()
    for more, found in (([], ["act_0", "act_1"]), (["--state", "parked"], ["act_0"])):
        assert run(["actions", "list", "--json", *more]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["uid"] for row in rows] == found


def test_a_running_dev_node_is_the_one_that_is_looked_at(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Like every command that looks at data, while `ringback dev` runs, and only then."""
    dev = project / "data" / "dev"
    dev.mkdir()
    with closing(sqlite3.connect(dev / "journal.db")) as journal:
        migrate_journal(journal)
        incident(journal, "inc_1", "opened", "trouble in dev", 1)
        journal.commit()
    assert findings(capsys) == []
    (dev / "dev.json").write_text(json.dumps({"pid": os.getpid()}))
    assert findings(capsys)[0][1].startswith("trouble in dev")
