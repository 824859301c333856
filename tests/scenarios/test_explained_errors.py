"""Errors of texts as people meet them: in the trace, in listings, in alerts, and by `explain`."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from ringback.cli.main import run
from ringback.error_codes import explain_error
from simulation.faults import calm
from simulation.story import Story

PERSON = "+15551000000"
RULES = """
version: 1
rules:
  - name: hours
    on: message.received
    do: [{reply: We are open.}]
  - name: alert
    on: [message.failed, message.undelivered]
    if:
      - event.error.fault in ['recipient', 'carrier']
      - event.error.retryable == 'later' && event.error.retry_after == 3600
    do: [{notify: "${{ event.error.title }}: ${{ event.remedy }}"}]
"""


@pytest.fixture
def story(begin: Callable[..., Story], monkeypatch: pytest.MonkeyPatch) -> Story:
    """Somebody writes, and the answer does not reach their phone. No project is around: its rules
    and plugins would be loaded for each trace."""
    lived = begin(replace(calm(), undelivered=1.0), rules=RULES)
    lived.receive(lived.text("hello", PERSON))
    lived.run(120.0)
    monkeypatch.chdir(lived.folder)
    return lived


KNOWN_BY = {
    "sid": "select remote_sid from actions where kind = 'send_message'",
    "action": "select uid from actions where kind = 'send_message'",
    "run": "select run_uid from actions where kind = 'send_message'",
    "attempt": "select uid from attempts where action_uid in "
    "(select uid from actions where kind = 'send_message')",
    "cause": "select uid from events where type = 'message.received'",
    "report": "select uid from events where type = 'message.undelivered'",
}


def test_the_error_of_anything_that_is_known_is_explained(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, sql in KNOWN_BY.items():
        what = story.ask(sql)[0][0]
        assert run(["--data", str(story.folder), "explain", what, "--json"]) == 0
        (fact,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert fact["code"] == 30003, name
        assert fact["about"].startswith(f"{what}: "), name
        assert run(["--data", str(story.folder), "explain", what]) == 0
        assert "Handset is off" in capsys.readouterr().out, name


def test_what_has_no_error_and_what_nobody_knows(
    begin: Callable[..., Story], capsys: pytest.CaptureFixture[str]
) -> None:
    lived = begin(rules=RULES)
    lived.receive(lived.text("hello", PERSON))
    lived.run(120.0)
    sid = lived.ask("select remote_sid from actions")[0][0]
    assert run(["--data", str(lived.folder), "explain", sid]) == 0
    assert capsys.readouterr().out == f"{sid} has no error; it is delivered\n"
    assert run(["--data", str(lived.folder), "explain", sid, "--json"]) == 0
    assert capsys.readouterr().out == ""
    assert run(["--data", str(lived.folder), "explain", "SM" + "0" * 32]) == 2
    assert "nothing is known about" in capsys.readouterr().err


def test_the_trace_says_what_it_means_and_what_to_do(
    story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    known = explain_error(30003)
    assert run(["--data", str(story.folder), "trace", PERSON]) == 0
    out = capsys.readouterr().out
    assert f"! error 30003 {known.error_class}, fault: recipient, retry: {known.retry}" in out
    assert f"{known.remedy} More: ringback explain 30003" in out
    sid = story.ask("select remote_sid from actions where kind = 'send_message'")[0][0]
    assert run(["--data", str(story.folder), "trace", sid, "--json"]) == 0
    (tree,) = map(json.loads, capsys.readouterr().out.splitlines())
    (action,) = tree["rules"][0]["run"]["actions"]
    assert action["error"]["steps"] == list(known.steps)
    assert "error" not in tree["event"]


def test_listings_say_what_the_code_means(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--data", str(story.folder), "events", "list", "--errors"]) == 0
    assert "30003 Handset is off, out of coverage" in capsys.readouterr().out
    assert run(["--data", str(story.folder), "actions", "list"]) == 0
    assert "30003 Handset is off, out of coverage" in capsys.readouterr().out
    assert run(["--data", str(story.folder), "actions", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    explained = {row["kind"]: row.get("error", {}).get("remedy", "") for row in rows}
    assert explained == {"send_message": explain_error(30003).remedy, "notify": ""}
    uid = story.ask("select uid from events where error_code > 0")[0][0]
    assert run(["--data", str(story.folder), "events", "show", uid]) == 0
    assert "error_code     30003 Handset is off" in capsys.readouterr().out


def test_an_alert_of_a_rule_says_what_to_do(story: Story) -> None:
    ((text,),) = story.ask("select json_extract(params, '$.text') from actions where rule='alert'")
    known = explain_error(30003)
    assert text == f"{known.title}: {known.remedy}"
