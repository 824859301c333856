"""Digest of hours: it follows what comes, and is made anew for another journal."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import Connection

import pytest

from ringback.console import counting
from ringback.console.counting import Counting
from ringback.rules.model import WAITS_FOR_YES
from ringback.runtime import REAL, iso
from ringback.store.digests.cohorts import TEXT, Counts
from ringback.store.digests.digest import Digest
from ringback.store.migrations import migrate_journal
from ringback.store.queries import delivery_groups
from ringback.store.queries.questions import Questions
from ringback.store.sqlite.sqlite_files import connect_writer

NOW = REAL.now()
AT = iso(NOW - 30 * counting.HOUR)
BEGIN, END = AT[:13], iso(NOW)[:13]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Connection]:
    with closing(connect_writer(tmp_path / "journal.db")) as connection:
        migrate_journal(connection)
        yield connection


def _plan(journal: Connection, n: int, state: str = "planned", sid: str = "") -> None:
    journal.execute(
        "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy, state, "
        "planned_at, conversation, effect, remote_sid) values "
        "(?, '', ?, 'one', 0, 'send_message', '{\"to\": \"+447911123456\"}', '', ?, ?, "
        "'+15550001111/+447911123456', 'message', ?)",
        (f"act_{n}", f"evt_{n}", state, AT, sid),
    )


def _report(journal: Connection, n: int, status: str, at: str, sid: str) -> None:
    journal.execute(
        "insert into events (uid, type, at, received_at, trust, source, account_sid, subject_sid, "
        "sender, recipient, conversation, status, error_code, tag, dedupe_key) values "
        "(?, ?, ?, ?, 'signed', 'webhook', '', ?, '+15550001111', '+447911123456', '', ?, 30003, "
        "'', ?)",
        (f"evt_r{n}", f"message.{status}", at, at, sid, status, f"k{n}"),
    )


def _counted(digest: Digest, measure: str, word: str) -> dict[object, int]:
    rows = digest.rows(measure, BEGIN, END, lambda _: True, (word,))
    return {row[word]: row["n"] for row in rows}


def test_what_comes_later_is_counted_with_its_hour(tmp_path: Path, journal: Connection) -> None:
    """A text that was planned a day ago arrives now; another, of others, fails."""
    with closing(Questions(tmp_path)) as asked, closing(Digest(tmp_path, "one")) as digest:
        keeper = Counting(tmp_path, rest=0)
        _plan(journal, 1, sid="SM1", state="accepted")
        _plan(journal, 2, state="refused")
        keeper._turn(asked, digest)
        assert _counted(digest, "texts", "state") == {"accepted": 1, "refused": 1}
        assert _counted(digest, "texts", "outcome") == {"": 2}
        journal.execute("update actions set outcome = 'delivered', state = 'settled' where id = 1")
        _report(journal, 1, "delivered", iso(NOW), "SM1")
        _report(journal, 2, "failed", AT, "SM7")
        _report(journal, 3, "undelivered", iso(NOW - counting.HOUR), "SM7")
        keeper._turn(asked, digest)
        assert _counted(digest, "texts", "outcome") == {"": 2, "delivered": 1}
        assert _counted(digest, "texts", "country") == {"GG": 3}
        assert _counted(digest, "failures", "code") == {30003: 1}  # it failed once
        assert digest.total("texts", BEGIN, END) == 3
        assert digest.due() == []


def test_what_waits_for_a_yes_is_held_back_and_no_text_without_news(
    tmp_path: Path, journal: Connection
) -> None:
    """What is parked for another reason may have left."""
    _plan(journal, 1, state="parked")
    for reason, held in ((WAITS_FOR_YES, 1), ("nobody knows", 0)):
        journal.execute("update actions set reason = ?", (reason,))
        with closing(Questions(tmp_path)) as asked, closing(Digest(tmp_path, "one")) as digest:
            rows = asked.sent_texts(iso(NOW - 40 * counting.HOUR), 9)
            found = delivery_groups.steps(rows)
            assert (found["held"], found["out"], found["pending"]) == (held, 1 - held, 1 - held)
            Counting(tmp_path, rest=0)._turn(asked, digest)
            found = delivery_groups.steps(digest.rows("texts", BEGIN, END, lambda _: True, TEXT))
            assert (found["held"], found["out"], found["pending"]) == (held, 1 - held, 1 - held)
        (tmp_path / "digest.db").unlink()


def test_days_are_the_sums_of_their_hours(tmp_path: Path) -> None:
    key = ("+15550001111", "one", "GB", "mobile", "accepted", "", 1, None)
    with closing(Digest(tmp_path, "one")) as digest:
        for hour, n in (("2026-03-03T22", 1), ("2026-03-04T00", 2), ("2026-03-05T23", 4)):
            digest.put("texts", {hour: Counts({key: n})}, AT)
        digest.put("texts", {"2026-03-04T00": Counts({key: 3})}, AT)
        for begin, end, n in (
            ("2026-03-03T22", "2026-03-06T00", 8), ("2026-03-03T23", "2026-03-06T00", 7),
            ("2026-03-04T00", "2026-03-05T23", 3), ("2026-03-04T01", "2026-03-05T00", 0),
        ):  # fmt: skip
            assert digest.total("texts", begin, end) == n
            rows = digest.rows("texts", begin, end, lambda _: True, (), hourly=True)
            assert sum(row["n"] for row in rows) == n


def test_the_digest_of_another_journal_is_thrown_away(tmp_path: Path) -> None:
    for journal, before in (("one", ""), ("one", "7"), ("two", "")):
        with closing(Digest(tmp_path, journal)) as digest:
            assert digest.mark("events") == before
            digest.follow({"events": "7"}, [("texts", "2026-03-04T00")])
