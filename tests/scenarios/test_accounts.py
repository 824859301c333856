"""Sub-accounts: whatever comes from one is answered, looked for and fetched back in it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback.config import Settings
from ringback.errors import (
    BadRequest,
    GatewayError,
    NotFound,
    ServerError,
    Unauthorized,
    Unreadable,
)
from ringback.gateway.credentials import Credentials
from ringback.store.log import Entry, LogReader
from ringback.twilio.rest import Request
from simulation.faults import calm
from simulation.story import Story
from simulation.twilio import ACCOUNT, Answer, Record

Begin = Callable[..., Story]
SUB, STRANGER = "AC" + "5" * 32, "AC" + "6" * 32
TOKEN = "5" * 32
OURS, THEM = "+15550100050", "+15550100051"
CALL = "CA" + "5" * 32
RULES = """
version: 1
rules:
  - {name: back, on: message.received, if: "event.body == 'back'", do: [{reply: Hello}]}
  - name: other
    on: message.received
    if: event.body == 'other'
    do: [{send: {to: +15550100052, body: Somebody wrote.}}]
  - name: call
    on: message.received
    if: event.body == 'call'
    do: [{call: {to: "${{ event.from }}", say: Hello.}}]
  - {name: end, on: call.answered, do: [end_call]}
  - {name: failed, on: action.failed, do: [{send: {to: +15550100053, body: It failed.}}]}
"""


def begun(begin: Begin, **more: Any) -> Story:
    """A node that knows the main account and one more."""
    return begin(rules=RULES, accounts={SUB: (TOKEN,)}, **more)


def text(story: Story, body: str, account: str = SUB) -> Entry:
    """A text to our number in this account."""
    sid = f"SM{hash(body) & 0xFFFF:032x}"
    fields = {"AccountSid": account, "MessageSid": sid, "From": THEM, "To": OURS, "Body": body}
    return story.entry("message", "", fields)


def asked(story: Story) -> set[str]:
    """The accounts that Twilio was asked about for what rules want, and not by the clock."""
    return {path.split("/")[2] for path in story.twilio.paths if path.startswith("POST")}


@pytest.mark.parametrize(("body", "sender"), [("back", OURS), ("other", OURS), ("call", OURS)])
@pytest.mark.parametrize("account", [SUB, ACCOUNT])
def test_what_a_text_starts_is_done_in_its_account(
    begin: Begin, body: str, sender: str, account: str
) -> None:
    """From the number that it came to, there; in the main account the default sender stays."""
    story = begun(begin)
    story.receive(text(story, body, account))
    story.run(60.0)
    (record,) = story.twilio.records.values()
    assert record.account == account
    assert asked(story) == {account}
    assert record.sender == (sender if account == SUB or body == "back" else "+15550000001")
    account_sids = story.ask("select distinct account_sid from actions")
    assert account_sids == [("" if account == ACCOUNT else account,)]


DEBUGGER = {
    "ParentAccountSid": ACCOUNT, "Sid": "NO" + "1" * 32, "Level": "ERROR",
    "Payload": '{"error_code": "11200"}',
}  # fmt: skip
JOINED = {"ConferenceSid": "CF" + "1" * 32, "StatusCallbackEvent": "participant-join"}
OF_A_CLIENT = {"CallStatus": "completed", "From": "client:ann", "To": THEM}
OF_SIP = {"CallStatus": "completed", "From": "sip:ann@example.org", "To": OURS}


@pytest.mark.parametrize(
    ("route", "fields", "sender"),
    [
        ("debugger", DEBUGGER, ""),
        ("call/status", {"CallSid": CALL, **JOINED}, ""),
        ("call/status", {"CallSid": CALL, **OF_A_CLIENT, "Direction": "outbound-dial"}, ""),
        ("call/status", {"CallSid": CALL, **OF_SIP, "Direction": "inbound"}, OURS),
    ],
)
def test_a_text_goes_out_where_there_is_a_number_for_it(
    begin: Begin, route: str, fields: dict[str, str], sender: str
) -> None:
    """An event that names no number there is told of from the default sender, in its account:
    Twilio takes no text from a number of another one."""
    on = "[debugger.error, conference.participant-join, call.completed]"
    rules = f"rules: [{{name: tell, on: {on}, do: [{{send: {{to: +15550100052, body: x}}}}]}}]"
    story = begin(rules=rules, accounts={SUB: (TOKEN,)})
    story.receive(story.entry(route, "", {"AccountSid": SUB, **fields}))
    story.run(60.0)
    (record,) = story.twilio.records.values()
    found = (SUB, OURS) if sender else (ACCOUNT, "+15550000001")
    assert (record.account, record.sender) == found
    assert asked(story) == {record.account}


def test_what_stops_in_one_account_is_told_until_it_goes_on_there(begin: Begin) -> None:
    """The token of a sub-account is refused; the texts of the main account leave all the time, and
    are no sign that those of the other one do."""
    story, good = begun(begin), False
    take = story.twilio.take

    def told_apart(request: Request, answer: Callable[[Answer], None]) -> None:
        if request.account_sid == SUB and not good:
            refusal = Unauthorized("refused", http_status=401)
            story.twilio.after(0.1, lambda: answer(refusal))
        else:
            take(request, answer)

    story.twilio.take = told_apart  # type: ignore[method-assign]
    story.receive(text(story, "back"))
    incidents = "select json_extract(fields, '$.Text') from events where type = 'incident.{}'"
    for number in range(20):
        sid = story.twilio.sid("SM")
        fields = {"AccountSid": ACCOUNT, "MessageSid": sid, "To": OURS, "Body": "back"}
        story.receive(story.entry("message", "", {**fields, "From": f"+1555020{number:04d}"}))
        story.run(story.clock.now + 20.0)
    ((said,),) = story.ask(incidents.format("opened"))
    assert said.startswith(f"sending to messages of {SUB} has stopped since ")
    assert f"{SUB}: refused; " in said
    assert story.ask(incidents.format("resolved")) == []
    assert story.ask("select count(*) from actions where state <> 'settled'") == [(1,)]
    good = True
    story.run(story.clock.now + 400.0)
    assert len(story.ask(incidents.format("resolved"))) == 1
    assert story.ask("select count(*) from actions where state <> 'settled'") == [(0,)]


def test_a_call_of_a_sub_account_is_ended_there(begin: Begin) -> None:
    story = begun(begin)
    fields = {"AccountSid": SUB, "CallSid": CALL, "CallStatus": "in-progress"}
    story.receive(story.entry("call/status", "", fields))
    story.run(60.0)
    assert f"POST /Accounts/{SUB}/Calls/{CALL}.json" in story.twilio.paths


@pytest.mark.parametrize(
    "step", ["{say: Again.}", "{redirect: 'https://e.org/x'}", "hangup", "{enqueue: support}",
             "{dial: +15550100055}", "{send: {to: +15550100056, body: x}}"],
)  # fmt: skip
def test_what_follows_later_in_a_call_is_done_in_its_account(begin: Begin, step: str) -> None:
    rules = f"""
version: 1
rules:
  - name: late
    on: call.received
    do: [{{say: Hello.}}, {{wait: 20s}}, {step}]
"""
    story = begin(rules=rules, accounts={SUB: (TOKEN,)})
    known = {"AccountSid": SUB, "CallSid": CALL, "From": THEM, "To": OURS, "Direction": "inbound"}
    story.receive(story.entry("call", "", {**known, "CallStatus": "ringing"}))
    story.run(30.0)
    assert asked(story) == {SUB}


@pytest.mark.slow
def test_what_was_never_heard_of_again_is_told_of_in_its_account(begin: Begin) -> None:
    """A rule that acts on it does so there, and from there."""
    told = "  - {name: stuck, on: watch.stuck, do: [{send: {to: +15550100054, body: Stuck.}}]}\n"
    story = begin(
        rules=RULES + told, accounts={SUB: (TOKEN,)}, faults=replace(calm(), callback_lost=1.0)
    )
    story.receive(text(story, "back"))
    story.run(5.0)
    (made,), take = story.twilio.records, story.twilio.take

    def unknown(request: Request, answer: Callable[[Answer], None]) -> None:
        if made in request.path:
            story.twilio.after(0.1, lambda: answer(NotFound("not this one", origin="twilio")))
        else:
            take(request, answer)

    story.twilio.take = unknown  # type: ignore[method-assign]
    story.run(1800.0)
    assert story.ask("select account_sid from events where type = 'watch.stuck'") == [(SUB,)]
    assert asked(story) == {SUB}


def test_a_lost_answer_is_looked_for_in_the_account_of_the_send(begin: Begin) -> None:
    """And found: nothing is sent twice, nothing is parked."""
    story = begun(begin, faults=replace(calm(), callback_lost=1.0), settle_seconds=10.0)
    story.twilio.next_create = ["timeout_after"]
    story.receive(text(story, "back"))
    story.run(300.0)
    assert len(story.twilio.records) == 1
    ((state, account),) = story.ask("select state, account_sid from actions")
    assert (state, account) == ("settled", SUB)
    looks = [path for path in story.twilio.paths if path.startswith(f"GET /Accounts/{SUB}/Mess")]
    assert looks


@pytest.mark.slow
def test_what_was_missed_is_fetched_back_from_each_account(begin: Begin) -> None:
    """With what came with a text, which the list only counts."""
    story = begun(begin)
    media = ("ME" + "1" * 32, "ME" + "2" * 32)
    for account, body in ((SUB, "back"), (ACCOUNT, "nothing"), (STRANGER, "back")):
        sid = story.twilio.sid("MM")
        story.twilio.heard[sid] = Record(
            sid, "messages", "", THEM, OURS, body, 1.0, 1.0, "received", direction="inbound",
            account=account, media=media if account == SUB else (),
        )  # fmt: skip
    story.run(900.0)
    events = story.ask("select account_sid, source from events where type = 'message.received'")
    assert sorted(events) == sorted([(SUB, "repair"), (ACCOUNT, "repair")])
    assert asked(story) == {SUB}
    log = LogReader(story.folder / "log.db")
    row = next(row for row in log.after(0, 100) if SUB.encode() in row.body)
    log.close()
    assert b"NumMedia=2" in row.body
    assert b"MediaUrl1=https%3A%2F%2Fapi.twilio.com%2F2010-04-01%2FAccounts%2F" in row.body
    assert b"MediaContentType0=image%2Fjpeg" in row.body


@pytest.mark.parametrize(
    ("error", "bodies"),
    [
        (BadRequest("none", http_status=400, code=20001, origin="twilio"), ["picture", "STOP"]),
        pytest.param(
            NotFound("none", http_status=404, code=20404, origin="twilio"),
            ["picture", "STOP"],
            marks=pytest.mark.slow,
        ),
        (ServerError("not now", http_status=503), ["STOP", "picture"]),
        pytest.param(
            Unreadable("odd", http_status=200, wrote=True),
            ["STOP", "picture"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_picture_that_cannot_be_listed_keeps_no_other_text_away(
    begin: Begin, error: GatewayError, bodies: list[str]
) -> None:
    """One without a list comes without its media; one whose list cannot be had comes later."""
    story, ready = begun(begin), False
    take = story.twilio.take

    def unlisted(request: Request, answer: Callable[[Answer], None]) -> None:
        if request.path.endswith("/Media.json") and not ready:
            story.twilio.after(0.1, lambda: answer(error))
        else:
            take(request, answer)

    story.twilio.take = unlisted  # type: ignore[method-assign]
    for number, (body, media) in enumerate((("picture", ("ME" + "1" * 32,)), ("STOP", ()))):
        sid = story.twilio.sid("MM")
        story.twilio.heard[sid] = Record(
            sid, "messages", "", THEM, OURS, body, number, number, "received",
            direction="inbound", media=media,
        )  # fmt: skip
    story.run(700.0)
    ready = True
    story.run(1400.0)
    log = LogReader(story.folder / "log.db")
    come = [row.body.partition(b"&Body=")[2].partition(b"&")[0] for row in log.after(0, 100)]
    log.close()
    assert [body.decode() for body in come if body] == bodies


@pytest.mark.parametrize(("account", "trust"), [(SUB, "confirmed"), (STRANGER, "claimed")])
def test_a_claim_is_read_back_in_its_own_account(begin: Begin, account: str, trust: str) -> None:
    story = begun(begin, hook_secret="s3cr3t-path-of-this-hook-4711")
    sid = story.twilio.sid("SM")
    story.twilio.heard[sid] = Record(
        sid, "messages", "", THEM, OURS, "back", 0.0, 0.0, "received", direction="inbound",
        account=account,
    )  # fmt: skip
    fields = {"AccountSid": account, "MessageSid": sid, "From": THEM, "To": OURS, "Body": "back"}
    story.receive(story.entry("message", "", fields)._replace(trust="claimed"))
    story.run(60.0)
    assert story.ask("select trust from events where subject_sid <> ''")[0] == (trust,)


@pytest.mark.parametrize(("ours", "other"), [(SUB, ACCOUNT), (ACCOUNT, SUB)])
@pytest.mark.parametrize("way", ["status", "error"])
def test_a_status_of_another_account_moves_no_action(
    begin: Begin, ours: str, other: str, way: str
) -> None:
    """It names the SID of ours, and no tag. The same of the account in which it was sent does; and
    so with the reason that a later report brings."""
    story = begun(begin, faults=replace(calm(), callback_lost=1.0))
    story.receive(text(story, "back", ours))
    story.run(10.0)
    (record,) = story.twilio.records.values()
    fields = {"MessageSid": record.sid, "MessageStatus": "undelivered", "From": OURS, "To": THEM}
    told = "select state, outcome, error_code from actions where kind = 'send_message'"
    if way == "error":
        story.receive(story.entry("message/status", "", {**fields, "AccountSid": ours}))
        story.run(11.0)
        fields["ErrorCode"] = "30005"
    before = story.ask(told)[:1]
    story.receive(story.entry("message/status", "", {**fields, "AccountSid": other}))
    story.run(12.0)
    assert story.ask(told)[:1] == before
    story.receive(story.entry("message/status", "", {**fields, "AccountSid": ours}))
    story.run(13.0)
    assert story.ask(told)[:1] == [("failed", "undelivered", int(fields.get("ErrorCode", 0)))]


def test_each_account_signs_in_with_its_own_token() -> None:
    """An API key of the main account is good for it alone."""
    settings = Settings(
        project=Path(), account_sid=ACCOUNT, api_key="SK" + "1" * 32,
        api_secret="canary-1", accounts={SUB: ("canary-2", "older"), STRANGER: ()},
    )  # fmt: skip
    access = Credentials.from_settings(settings)
    own = Credentials.direct(SUB, "canary-2").headers()
    assert access.headers(SUB) == own != access.headers(ACCOUNT) == access.headers(STRANGER)
    assert "canary" not in repr(access) + access.scrub("canary-1 canary-2")


def test_a_caller_of_a_sub_account_is_taken_out_of_its_queue_there(begin: Begin) -> None:
    """A queue belongs to an account."""
    queue = "QU" + "5" * 32
    rules = f"""
rules:
  - name: next
    on: [message.received, call.completed]
    do: [{{dequeue: {{queue: {queue}, url: "https://example.org/agent.xml"}}}}]
"""
    for account in (SUB, ACCOUNT):
        story = begin(rules=rules, accounts={SUB: (TOKEN,)})
        story.receive(text(story, "next", account))
        ended = {"AccountSid": account, "CallSid": CALL, "CallStatus": "completed"}
        story.receive(story.entry("call/status", "", ended))
        story.run(60.0)
        wanted = f"POST /Accounts/{account}/Queues/{queue}/Members/Front.json"
        assert [path for path in story.twilio.paths if "Queues" in path] == [wanted, wanted]
