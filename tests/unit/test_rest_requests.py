"""Requests that carry out actions: one for each."""

import pytest

from ringback import actions as a
from ringback import verbs as v
from ringback.errors import UsageError
from ringback.twilio.rest import Request, path, request_for, sid

AC = "AC" + "0a" * 16
CA = "CA" + "1b" * 16
QU = "QU" + "2c" * 16
MG = "MG" + "3d" * 16
CALLBACK = "https://hooks.example.com/twilio/message/status/tag#rc=3&rp=all"


def made(action: a.Action, **options: object) -> Request:
    given = {"account_sid": AC, "default_sender": "+15550000001"} | options
    return request_for(action, **given)  # type: ignore[arg-type]


def test_a_message() -> None:
    request = made(
        a.SendMessage("+15550000002", "Hi", media=("https://x.example/1.png",)),
        callback_url=CALLBACK,
        seconds_left=90,
    )
    assert (request.method, request.path) == ("POST", f"/Accounts/{AC}/Messages.json")
    assert request.makes == ("SM", "MM")
    assert request.account_sid == AC
    assert request.writes
    assert request.form == (
        ("To", "+15550000002"),
        ("From", "+15550000001"),
        ("Body", "Hi"),
        ("MediaUrl", "https://x.example/1.png"),
        ("StatusCallback", CALLBACK),
        ("ValidityPeriod", "90"),
    )


def test_a_messaging_service_stands_in_for_the_sender_wherever_it_is_named() -> None:
    for request in (
        made(a.SendMessage("+1", "x"), default_sender=MG),
        made(a.SendMessage("+1", "x", sender=MG)),
        made(a.SendMessage("+1", "x", messaging_service_sid=MG)),
    ):
        assert ("MessagingServiceSid", MG) in request.form
        assert "From" not in dict(request.form)
    both = made(a.SendMessage("+1", "x", sender="+2", messaging_service_sid=MG))
    assert {"From": "+2", "MessagingServiceSid": MG}.items() <= dict(both.form).items()


def test_extra_parameters_add_and_never_replace() -> None:
    extra = {"SmartEncoded": "true", "ValidityPeriod": "30"}
    request = made(a.SendMessage("+1", "x", extra=extra), seconds_left=500)
    assert dict(request.form)["ValidityPeriod"] == "30"
    assert dict(request.form)["SmartEncoded"] == "true"
    with pytest.raises(UsageError, match="StatusCallback"):
        made(a.SendMessage("+1", "x", extra={"StatusCallback": "x"}), callback_url=CALLBACK)


def test_the_validity_never_exceeds_what_twilio_takes() -> None:
    request = made(a.SendMessage("+1", "x"), seconds_left=10**6)
    assert dict(request.form)["ValidityPeriod"] == "36000"
    assert "ValidityPeriod" not in dict(made(a.SendMessage("+1", "x")).form)


def test_a_call_that_speaks_and_reports_its_whole_way() -> None:
    request = made(a.call("+15550000002", say="Hello"), callback_url=CALLBACK)
    assert request.path == f"/Accounts/{AC}/Calls.json"
    assert request.makes == ("CA",)
    form = dict(request.form)
    assert "<Say>Hello</Say>" in form["Twiml"]
    assert [value for name, value in request.form if name == "StatusCallbackEvent"] == [
        "initiated",
        "ringing",
        "answered",
        "completed",
    ]
    assert form["Timeout"] == "60"
    by_url = made(a.call("+1", url="https://x.example/twiml"))
    assert dict(by_url.form)["Url"] == "https://x.example/twiml"
    assert "Twiml" not in dict(by_url.form)


def test_a_live_call_is_ended_answered_or_taken_out_of_its_queue() -> None:
    end = made(a.EndCall(CA))
    assert (end.path, end.form) == (f"/Accounts/{AC}/Calls/{CA}.json", (("Status", "completed"),))
    assert end.makes == ()
    answer = made(a.AnswerCall(CA, (v.Enqueue("support"),)))
    assert "<Enqueue>support</Enqueue>" in dict(answer.form)["Twiml"]
    dequeue = made(a.DequeueCall(QU, "https://x.example/agent"))
    assert dequeue.path == f"/Accounts/{AC}/Queues/{QU}/Members/Front.json"
    assert dequeue.form == (("Url", "https://x.example/agent"), ("Method", "POST"))


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (a.SendMessage("", "x"), "no recipient"),
        (a.SendMessage("+1"), "nothing to say"),
        (a.SendMessage("+1", "x" * 1601), "21617"),
        (a.SendMessage("+1", media=("https://x.example/1",) * 11), "takes 10"),
        (a.SendMessage("+1", media=("file:///etc/passwd",)), "absolute http"),
        (a.PlaceCall("+1"), "nothing to run"),
        (a.PlaceCall("", (v.Say("x"),)), "no number"),
        (a.PlaceCall("+1", (v.Say("x" * 4000),)), "32018"),
        (a.PlaceCall("+1", (v.Gather(action="/step"),)), "must be absolute"),
        (a.EndCall("CA12"), "not a SID"),
        (a.EndCall("SM" + "0" * 32), "CA…"),
        (a.EndCall("../../" + CA), "not a SID"),
        (a.DequeueCall("support", "https://x.example"), "QU…"),
        (a.DequeueCall(QU, "/relative"), "absolute http"),
        (a.Notify("x"), "no request"),
    ],
)
def test_what_no_request_can_carry_out(action: a.Action, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        made(action)


def test_no_sender_is_said_with_its_mend() -> None:
    for action in (a.SendMessage("+1", "x"), a.call("+1", say="x")):
        with pytest.raises(UsageError, match="RINGBACK_SENDER"):
            made(action, default_sender="")


def test_paths_hold_only_what_was_meant() -> None:
    assert path(AC, "Queues", "a b/../c").endswith("/Queues/a%20b%2F..%2Fc.json")
    with pytest.raises(UsageError):
        path("AC123", "Messages")
    with pytest.raises(UsageError):
        sid(AC + "\n", "AC")


def test_the_text_of_a_message_is_not_in_its_repr() -> None:
    assert "secret text" not in repr(made(a.SendMessage("+1", "secret text")))
