"""Pairs of the console: conversations by last activity, name and digits, as a journal grows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ringback.store.console.pairs import NAME, STEP, Pairs
from ringback.store.journal import open_store
from ringback.store.log import Log
from ringback.store.queries.questions import Questions

OURS = "+12025550100"
AT = "2026-05-01T12:00:{:02d}.000Z"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    Log.open(tmp_path / "log.db").close()
    open_store(tmp_path, threaded=False).close()
    return tmp_path


def came(data: Path, *whom: str, trust: str = "signed", second: int = 0) -> None:
    """Texts that came in, one after the other."""
    with closing(sqlite3.connect(data / "journal.db")) as connection, connection:
        first = connection.execute("select coalesce(max(id), 0) + 1 from events").fetchone()[0]
        for number, who in enumerate(whom, first):
            connection.execute(
                "insert into events (id, uid, type, at, received_at, trust, source, account_sid, "
                "subject_sid, sender, recipient, conversation, status, error_code, tag, dedupe_key)"
                " values (?, ?, 'message.received', ?, ?, ?, 'webhook', '', ?, ?, ?, ?, '', 0, '',"
                " ?)",
                (number, f"evt_{number}", AT.format(second), AT.format(second), trust,
                 f"SM{number}", who, OURS, f"{OURS}/{who}", f"{number}"),
            )  # fmt: skip


def test_the_latest_stands_first_and_each_has_one_name(data: Path) -> None:
    """Also when it is asked again, by its name and by the end of its number."""
    came(data, "+442071838750", "+442071838751", "+442071838750")
    with closing(Pairs(data)) as pairs:
        assert pairs.follow(1.0)
        first, second = pairs.newest(9)
        assert [each.conversation[-1] for each in (first, second)] == ["0", "1"]
        came(data, "+442071838751", second=5)
        assert pairs.follow(1.0)
        assert [each.uid for each in pairs.newest(9)] == [second.uid, first.uid]
        assert [each.uid for each in pairs.newest(9, before=pairs.newest(1)[0].turn)] == [first.uid]
        found = pairs.named(second.uid)
        assert found is not None
        assert (found.first_at, found.last_at) == (AT.format(0), AT.format(5))
        assert [each.uid for each in pairs.ending("8751", 9)] == [second.uid]
        assert pairs.ending("875", 9) == []
        assert pairs.named("con_0") is None
        assert "442071838751" not in second.uid


def test_a_claim_counts_when_it_is_proven(data: Path) -> None:
    came(data, "+442071838750", trust="claimed")
    with closing(Pairs(data)) as pairs:
        assert pairs.follow(1.0)
        assert pairs.newest(9) == []
        with closing(sqlite3.connect(data / "journal.db")) as connection, connection:
            connection.execute("update events set trust = 'confirmed'")
        assert pairs.follow(1.0)
        assert len(pairs.newest(9)) == 1


def test_whom_the_journal_keeps_no_more_is_forgotten(data: Path) -> None:
    """But not who is among the contacts."""
    came(data, "+442071838750", "+442071838751")
    came(data, "+442071838752", second=9)
    with closing(sqlite3.connect(data / "journal.db")) as connection, connection:
        connection.execute("delete from contacts")
        connection.execute(
            "insert into contacts (conversation, first_at) values (?, ?)",
            (f"{OURS}/+442071838751", AT.format(0)),
        )
    with closing(Pairs(data)) as pairs:
        assert pairs.follow(1.0)
        assert len(pairs.newest(9)) == 3
    with closing(sqlite3.connect(data / "journal.db")) as connection, connection:
        connection.execute("delete from events where id < 3")
    with closing(Pairs(data)) as pairs:
        assert pairs.follow(1.0)
        assert [each.conversation[-1] for each in pairs.newest(9)] == ["2", "1"]


@pytest.mark.parametrize("change", ["another journal", "rows are gone", "the file is gone"])
def test_it_is_made_anew_when_it_does_not_fit(data: Path, change: str) -> None:
    """Nobody stays in it who is not in the journal."""
    came(data, "+442071838750", "+442071838751")
    with closing(Pairs(data)) as pairs:
        assert pairs.follow(1.0)
        with closing(sqlite3.connect(data / "journal.db")) as connection, connection:
            if change == "another journal":
                connection.execute("update meta set value = ? where key = 'conversation_key'",
                                   ("ab" * 16,))  # fmt: skip
                connection.execute("delete from events where id = 1")
            elif change == "rows are gone":
                connection.execute("delete from events where id = 2")
            else:
                connection.execute("delete from events where id = 1")
                (data / NAME).unlink()
        assert pairs.follow(1.0)
        assert len(pairs.newest(9)) == 1


def test_many_are_followed_in_steps(data: Path) -> None:
    """As far as the time goes; the next call goes on there."""
    came(data, *(f"+44207{number:07d}" for number in range(STEP + 10)))
    with closing(Pairs(data)) as pairs:
        assert not pairs.follow(0.0)
        assert len(pairs.newest(STEP + 99)) == STEP
        assert pairs.follow(0.0)
        assert len(pairs.newest(STEP + 99)) == STEP + 10


@pytest.mark.parametrize(("sid", "wrote"), [("SM1", 7), ("", 1)])
def test_an_answer_is_newer_than_its_text_whatever_twilios_clock_says(
    data: Path, sid: str, wrote: int
) -> None:
    """When we wrote is told by when it was planned, by the clock that dates what they write; of a
    text that never left, by the one before it."""
    came(data, "+442071838750", second=6)
    with closing(sqlite3.connect(data / "journal.db")) as connection, connection:
        connection.execute(
            "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy, "
            "state, planned_at, conversation, effect, remote_sid) values ('act_1', 'run_1', "
            "'evt_1', 'hours', 0, 'send_message', '{}', 'checked', 'accepted', ?, ?, 'message', ?)",
            (AT.format(7), f"{OURS}/+442071838750", sid),
        )
        connection.execute(
            "insert or replace into contacts (conversation, first_at, last_inbound_at, "
            "last_outbound_at) values (?, ?, ?, ?)",
            (f"{OURS}/+442071838750", *map(AT.format, (0, 6, 1))),
        )
    with Questions(data) as asked:
        stands = asked.standing(f"{OURS}/+442071838750")
    assert (stands["heard_at"], stands["wrote_at"]) == (AT.format(6), AT.format(wrote))
