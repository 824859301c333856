"""Replay, dry: a recorded event through today's rules; nothing is sent and nothing is written."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from ringback.cli.main import cli
from ringback.cli.replay import _print
from ringback.errors import RingbackError, UsageError
from ringback.runtime import iso
from ringback.store.journal import open_store
from ringback.store.log import Entry, Log
from ringback.store.matching import Matched
from ringback.store.sqlite.sqlite_files import connect_reader, connect_writer
from ringback.store.upkeep.log_retention import BLANKED
from ringback.testing.events import ACCOUNT, OURS, THEIRS
from ringback.twilio.webhooks import events_from

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES = """version: 1
rules:
  - name: hours
    on: message.received
    if: event.body.contains('hours')
    once_within: 1h
    do:
      - reply: We are open from 9 to 5.
  - name: quiet
    on: message.received
    state: shadow
    do:
      - reply: Seen.
  - name: broken
    on: message.received
    if: event.body == 'break'
    do:
      - reply: "${{ string(int(event.body)) }}"
"""


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three texts of one stranger, a minute apart, recorded and matched before there was a rule."""
    monkeypatch.chdir(tmp_path)
    for name in ("RINGBACK_DATA", "RINGBACK_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "r.yaml").write_text(RULES)
    (tmp_path / "ringback.toml").write_text("")
    log = Log.open(tmp_path / "data" / "log.db")
    for number, body in enumerate(("what hours?", "hours again?", "break")):
        form = {
            "AccountSid": ACCOUNT, "MessageSid": f"SM{number:032x}", "From": THEIRS, "To": OURS,
            "Body": body, "NumMedia": "0", "SmsStatus": "received",
        }  # fmt: skip
        at = iso(START + timedelta(minutes=number))
        await log.append(
            Entry(at, "message", "signed", "webhook", "", "application/x-www-form-urlencoded",
                  urlencode(form).encode())
        )  # fmt: skip
    log.close()
    store = open_store(tmp_path / "data", threaded=False)
    batch = [
        Matched(event, row.id, "{}")
        for row in store.log.after(0, 10)
        for event in events_from(row, lambda: f"evt_{row.id}")  # noqa: B023 - called at once
    ]
    await store.journal.matching.record(batch, 3)
    store.close()
    return tmp_path


def replay(*arguments: str) -> list[dict[str, object]]:
    """The lines that the command prints as JSON."""
    result = CliRunner().invoke(cli, ["replay", *arguments, "--json"], catch_exceptions=False)
    return [json.loads(line) for line in result.stdout.splitlines()]


def verdicts(line: dict[str, object]) -> dict[str, str]:
    return {rule["rule"]: rule["verdict"] for rule in line["rules"]}  # type: ignore[attr-defined]


def counts(project: Path) -> list[int]:
    connection = connect_reader(project / "data" / "journal.db")
    try:
        return [
            connection.execute(f"select count(*) from {table}").fetchone()[0]
            for table in ("events", "runs", "actions")
        ]
    finally:
        connection.close()


def test_a_rule_that_an_event_woke_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when it listens to another type, as one that asks a caller for keys does."""
    _print(
        {
            "event": "evt_2", "type": "call.gathered", "received_at": iso(START), "sender": THEIRS,
            "recipient": OURS, "subject_sid": "CA1", "trust": "signed", "source": "webhook",
            "error_code": 0, "body": "", "rules": [],
            "woke": [{"rule": "front", "question": "Press 1."}],
            "wishes": [{"rule": "front", "kind": "notify", "params": {"text": "1"}, "held": "",
                        "put_off": ""}],
        },
        as_json=False,
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert shown.count("front") == 1
    assert "took it as the answer to “Press 1.”" in shown
    assert "would do notify" in shown
    assert "no rule listens" not in shown


def test_one_event_by_its_id_or_its_sid(project: Path) -> None:
    """Verdicts and actions, those of rules in shadow with the word for it; nothing is written."""
    for name in ("evt_1", f"SM{0:032x}"):
        (line,) = replay(name)
        assert line["event"] == "evt_1"
        assert verdicts(line) == {"hours": "fired", "quiet": "fired", "broken": "if:1"}
        assert [
            (each["rule"], each["params"]["body"], each["held"])
            for each in line["wishes"]  # type: ignore[attr-defined]
        ] == [("hours", "We are open from 9 to 5.", ""), ("quiet", "Seen.", "shadow")]
    assert counts(project) == [3, 0, 0]


def test_what_came_before_counts(project: Path) -> None:
    """A throttle holds for a single event as it would have held then, and in a span."""
    (line,) = replay("evt_2")
    assert verdicts(line)["hours"].startswith("once_within")
    lines = replay("--since", "2026-03-02T12:00:00Z")
    assert [line["event"] for line in lines] == ["evt_1", "evt_2", "evt_3"]
    assert verdicts(lines[0])["hours"] == "fired"
    assert verdicts(lines[1])["hours"].startswith("once_within")
    assert verdicts(lines[2])["broken"].startswith("failed: ")
    assert [line["event"] for line in replay("--since", "2026-03-02T12:01:30Z")] == ["evt_3"]


def test_one_rule_alone(project: Path) -> None:
    """The others have no say, and one that does not exist is reported."""
    (line,) = replay("evt_1", "--rule", "hours")
    assert verdicts(line) == {"hours": "fired"}
    assert len(line["wishes"]) == 1  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no rule 'hour'"):
        replay("evt_1", "--rule", "hour")


def test_for_people(project: Path) -> None:
    """The event, then each rule with its mark, its reason and its action."""
    output = CliRunner().invoke(cli, ["replay", "evt_1"], catch_exceptions=False).output
    assert "“what hours?”" in output
    assert "├─ ✓ hours" in output
    assert f"would do send_message to {THEIRS}: We are open from 9 to 5." in output
    assert "(held back: shadow)" in output
    assert "└─ ✗ broken  line 1 of its conditions does not hold" in output


@pytest.mark.parametrize("arguments", [(), ("evt_1", "--since", "1h"), ("evt_9",), ("SM9",)])
def test_what_is_not_one_event_is_told(project: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        replay(*arguments)


def test_what_was_said_must_be_known_still(project: Path) -> None:
    """Rules would judge another event, so it is refused; in a span the others go on."""
    connection = connect_writer(project / "data" / "log.db")
    connection.execute("update log set content_type = content_type || ? where id = 1",
                       (BLANKED,))  # fmt: skip
    connection.close()
    with pytest.raises(UsageError, match="no longer kept"):
        replay("evt_1")
    result = CliRunner().invoke(
        cli, ["replay", "--since", "2026-03-02T12:00:00Z", "--json"], standalone_mode=False
    )
    assert result.return_value == 1
    assert [json.loads(line)["event"] for line in result.stdout.splitlines()] == ["evt_2", "evt_3"]
    assert "no longer kept" in result.stderr


def test_sending_needs_a_worker(project: Path) -> None:
    """Without one nothing is written."""
    with pytest.raises(RingbackError, match="worker"):
        replay("evt_1", "--send")
    assert counts(project) == [3, 0, 0]
