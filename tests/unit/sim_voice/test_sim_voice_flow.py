"""Tests of a call's way through documents: order, replacement, fallback, REST interruption."""

import json
from typing import Any

from ringback.simulator.voice.ports import Answer, NumberSetup, Script

CALLER, OURS, SITE = "+15550001111", "+15559990000", "https://app.test"


def test_verbs_run_in_order_then_the_call_ends(world: Any) -> None:
    call = world.ring("<Say>One</Say><Pause length='3'/><Play>tune.mp3</Play><Say>Two</Say>")
    assert call.status == "in-progress"
    world.run(60)
    assert world.heard(call) == [
        ("say", "One"),
        ("pause", ""),
        ("play", f"{SITE}/tune.mp3"),
        ("say", "Two"),
    ]
    assert (call.status, call.duration) == ("completed", 9)


def test_the_first_request_carries_the_inbound_call_fields(world: Any) -> None:
    call = world.ring("<Hangup/>", caller_name="ANN", forwarded_from="+15553334444")
    [fields] = world.asked("call")
    assert {name: fields[name] for name in list(fields)[:11]} == {
        "CallSid": call.sid,
        "AccountSid": "AC" + "0" * 32,
        "ApiVersion": "2010-04-01",
        "From": CALLER,
        "To": OURS,
        "Caller": CALLER,
        "Called": OURS,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ForwardedFrom": "+15553334444",
        "CallerName": "ANN",
    }
    blanks = {name for name, value in fields.items() if value == ""}
    assert blanks == {
        who + place
        for who in ("From", "To", "Caller", "Called")
        for place in ("City", "State", "Zip", "Country")
    }


def test_the_caller_is_vouched_for_in_the_first_request(world: Any) -> None:
    call = world.ring("<Hangup/>")
    fields = world.asked("call")[0]
    assert json.loads(fields["CallToken"]) == {"parentCallInfoToken": f"simulated.{call.sid}"}
    assert fields["StirVerstat"] == "TN-Validation-Passed-A"
    world.exchange.ring_in("client:ann", OURS)
    world.place("+15550003333", url=f"{SITE}/voice")
    world.run(5)
    assert all("CallToken" not in fields for fields in world.asked("call")[1:])


def test_an_empty_response_hangs_up(world: Any) -> None:
    call = world.ring(lambda ask: "")
    assert (call.status, call.duration, world.codes()) == ("completed", 0, [])


def test_the_numbers_status_callback_fires_once_at_the_end(world: Any) -> None:
    call = world.ring("<Pause length='61'/>")
    world.run(10)
    assert world.notified("call-status") == []
    world.run(100)
    [fields] = world.notified("call-status")
    assert call.status == "completed"
    wanted = {
        "CallStatus": "completed",
        "CallDuration": "0",
        "Duration": "0",
        "SequenceNumber": "0",
        "CallbackSource": "call-progress-events",
        "Timestamp": "Sat, 14 Mar 2026 15:10:27 +0000",
        "SipResponseCode": "200",
    }
    assert {name: fields[name] for name in wanted} == wanted


def test_a_leading_pause_delays_answering(world: Any) -> None:
    call = world.ring("<Pause length='4'/><Say>Hello</Say>")
    world.run(3)
    assert call.status == "ringing"
    world.run(1.2)
    assert (call.status, call.answered_at - call.created_at) == ("in-progress", 4)


def test_redirect_drops_the_rest_and_relative_urls_follow_the_document(world: Any) -> None:
    world.page("/menu/main", "<Redirect method='GET'>next?x=1&amp;y=2</Redirect><Say>no</Say>")
    world.page("/menu/next", "<Say>there</Say>")
    call = world.ring("<Redirect>/menu/main</Redirect><Say>never</Say>")
    world.run(10)
    assert world.said(call) == ["there"]
    assert world.paths() == ["/voice", "/menu/main", "/menu/next?x=1&y=2"]
    assert [ask.method for ask in world.asks] == ["POST", "POST", "GET"]
    proof = {"CallToken", "StirVerstat"}
    assert set(world.asked("redirect")[0]) == set(world.asked("call")[0]) - proof


def test_relative_urls_follow_the_address_after_redirects(world: Any) -> None:
    world.page(
        "/voice",
        Answer(200, "text/xml", b"<Response><Play>a.mp3</Play></Response>", "https://cdn.test/d/e"),
    )
    call = world.ring()
    assert world.heard(call) == [("play", "https://cdn.test/d/a.mp3")]


def test_reject_refuses_without_answering(world: Any) -> None:
    call = world.ring("<Reject/>")
    assert (call.status, call.answered_at) == ("no-answer", None)
    busy = world.ring("<Reject reason='busy'/>")
    assert (busy.status, busy.sip_code, busy.duration) == ("busy", 486, 0)


def test_reject_after_an_answer_hangs_up(world: Any) -> None:
    call = world.ring("<Say>Hi</Say><Reject/>")
    world.run(5)
    assert call.status == "completed"


def test_hangup_ends_the_call_and_drops_the_rest(world: Any) -> None:
    call = world.ring("<Say>Bye</Say><Hangup/><Say>never</Say>")
    world.run(10)
    assert (world.said(call), call.status) == (["Bye"], "completed")


def test_loops_repeat_and_zero_goes_on_until_hang_up(world: Any) -> None:
    call = world.ring("<Say loop='3'>la</Say><Play loop='0'>x.mp3</Play>")
    world.run(31.6)
    world.exchange.hang_up(call.sid)
    assert world.said(call) == ["la"] * 3
    assert world.heard(call).count(("play", f"{SITE}/x.mp3")) == 7
    assert call.status == "completed"


def test_play_digits_needs_no_url(world: Any) -> None:
    call = world.ring("<Play digits='1w2'/><Say>after</Say>")
    world.run(0.9)
    assert world.heard(call) == [("tones", "1w2")]
    world.run(0.2)
    assert world.said(call) == ["after"]


def test_say_with_breaks_takes_longer(world: Any) -> None:
    call = world.ring("<Say>a<break time='1500ms'/>b</Say><Hangup/>")
    world.run(1.9)
    assert call.status == "in-progress"
    world.run(0.2)
    assert call.status == "completed"


def test_one_break_lasts_ten_seconds_at_most(world: Any) -> None:
    call = world.ring("<Say>a<break time='90s'/>b<break time='1s'/></Say><Hangup/>")
    world.run(11.4)
    assert call.status == "in-progress"
    world.run(0.2)
    assert call.status == "completed"


def test_leave_outside_a_queue_does_nothing(world: Any) -> None:
    call = world.ring("<Leave/><Say>still here</Say>")
    world.run(5)
    assert world.said(call) == ["still here"]


def test_echo_lasts_until_hang_up(world: Any) -> None:
    call = world.ring("<Echo/><Say>never</Say>")
    world.run(5000)
    assert (call.status, world.heard(call)) == ("in-progress", [("echo", "")])
    world.exchange.hang_up(call.sid)
    assert world.said(call) == []


def test_sms_sends_and_goes_to_its_action(world: Any) -> None:
    world.page("/sent", "<Say>sent</Say>")
    call = world.ring("<Sms action='/sent' statusCallback='/cb'>See you</Sms><Say>never</Say>")
    world.run(5)
    assert world.texts == [(OURS, CALLER, "See you", f"{SITE}/cb")]
    [fields] = world.asked("sms")
    assert (fields["MessageStatus"], fields["MessageSid"][:2]) == ("queued", "SM")
    assert world.said(call) == ["sent"]


def test_sms_without_text_is_reported_and_skipped(world: Any) -> None:
    call = world.ring("<Sms/><Say>on</Say>")
    world.run(5)
    assert (world.texts, world.codes(), world.said(call)) == ([], [14103], ["on"])


# --- what goes wrong ---


def test_a_failed_document_goes_to_the_fallback(world: Any) -> None:
    world.page("/fallback", "<Say>sorry</Say>")
    call = world.ring(Answer(500, "text/html", b"oops", f"{SITE}/voice"))
    world.run(5)
    [fields] = world.asked("fallback")
    assert (fields["ErrorCode"], fields["ErrorUrl"]) == ("11200", f"{SITE}/voice")
    assert fields["CallStatus"] == "ringing"
    assert (world.said(call), world.codes(), call.status) == (["sorry"], [11200], "completed")


def test_a_failed_fallback_ends_in_an_apology(world: Any) -> None:
    world.page("/fallback", Answer(404, "text/html", b"", f"{SITE}/fallback"))
    call = world.ring(Answer(200, "text/xml", b"<Response>", f"{SITE}/voice"))
    world.run(10)
    assert world.codes() == [12100, 11200]
    assert world.heard(call)[0][0] == "announcement"
    assert (call.status, world.paths()) == ("completed", ["/voice", "/fallback"])


def test_without_fallback_the_apology_comes_at_once(world: Any) -> None:
    world.numbers[OURS] = NumberSetup("PN" + "1" * 32, Script(f"{SITE}/voice"))
    call = world.ring(Answer(0, None, b"", f"{SITE}/voice", 11205, "no connection"))
    world.run(10)
    assert (world.codes(), call.status) == ([11205], "completed")
    assert world.troubles[0].ask.url == f"{SITE}/voice"
    assert world.troubles[0].message == "no connection"


def test_every_document_fault_reaches_the_debugger_with_its_code(world: Any) -> None:
    faults = {
        12100: Answer(200, "text/xml", b"<Response>&x;</Response>", f"{SITE}/voice"),
        12102: Answer(200, "text/xml", b"<Reply/>", f"{SITE}/voice"),
        12300: Answer(200, None, b"<Response/>", f"{SITE}/voice"),
        11750: Answer(200, "text/xml", b" " * 70_000, f"{SITE}/voice"),
        11770: Answer(200, "text/xml", b"", f"{SITE}/voice"),
        11215: Answer(0, None, b"", f"{SITE}/voice", 11215, "too many redirects"),
    }
    for code, answer in faults.items():
        world.troubles.clear()
        world.page("/fallback", "<Hangup/>")
        world.ring(answer)
        assert world.codes() == [code]
        assert world.asked("fallback")[-1]["ErrorCode"] == str(code)


def test_unknown_verbs_are_warned_of_and_skipped(world: Any) -> None:
    call = world.ring("<say>no</say><Say colour='red'>yes</Say>")
    world.run(5)
    assert world.said(call) == ["yes"]
    assert [(t.code, t.level) for t in world.troubles] == [(12200, "warning")] * 2
    assert "did you mean <Say>" in world.troubles[0].message
    assert world.troubles[0].answer.status == 200


def test_a_redirect_loop_stops_at_a_thousand_documents(world: Any) -> None:
    call = world.ring("<Redirect>/voice</Redirect>")
    world.run(10)
    assert len(world.asked("redirect")) == 999
    assert (world.codes(), call.status) == ([12400], "completed")


def test_say_without_or_with_too_much_text_is_skipped(world: Any) -> None:
    call = world.ring(f"<Say/><Say>{'x' * 4097}</Say><Say>ok</Say>")
    world.run(5)
    assert (world.codes(), world.said(call)) == ([13520, 13521], ["ok"])


def test_a_play_without_url_breaks_the_document(world: Any) -> None:
    world.page("/fallback", "<Say>sorry</Say>")
    call = world.ring("<Play/>")
    world.run(5)
    assert (world.codes(), world.said(call)) == ([11100], ["sorry"])


def test_an_action_that_is_no_web_address_breaks_the_document(world: Any) -> None:
    world.page("/fallback", "<Say>sorry</Say>")
    for bad in ("ftp://x.test/a", "http://[broken", "https://", "mailto:me"):
        world.troubles.clear()
        world.ring(f"<Redirect>{bad}</Redirect>")
        assert world.codes() == [11100], bad


def test_plain_text_is_spoken_and_audio_is_played(world: Any) -> None:
    spoken = world.ring(Answer(200, "text/plain", b"Just words", f"{SITE}/voice"))
    played = world.ring(Answer(200, "audio/mpeg", b"\xff\xfb", f"{SITE}/voice"))
    world.run(10)
    assert world.heard(spoken) == [("say", "Just words")]
    assert world.heard(played) == [("play", f"{SITE}/voice")]
    assert (spoken.status, played.status) == ("completed", "completed")


# --- REST ---


def test_rest_interrupts_whatever_runs(world: Any) -> None:
    world.page("/new", "<Say>new</Say>")
    call = world.ring("<Say>old</Say><Pause length='600'/><Say>never</Say>")
    world.run(10)
    world.exchange.update(call.sid, script=Script(f"{SITE}/new", "GET"))
    world.run(10)
    assert world.said(call) == ["old", "new"]
    assert (world.asks[-1].method, call.status) == ("GET", "completed")


def test_rest_keeps_the_fallback_of_before(world: Any) -> None:
    world.page("/fallback", "<Say>sorry</Say>")
    call = world.ring("<Pause length='60'/>")
    world.exchange.update(call.sid, script=Script(f"{SITE}/nowhere"))
    world.run(5)
    assert world.said(call) == ["sorry"]


def test_twiml_by_rest_has_no_base_for_relative_urls(world: Any) -> None:
    call = world.ring("<Pause length='60'/>")
    twiml = "<Response><Redirect>next</Redirect></Response>"
    world.exchange.update(call.sid, script=Script(twiml=twiml))
    world.run(10)
    assert world.codes()[0] == 15004


def test_rest_ends_a_call(world: Any) -> None:
    call = world.ring("<Say>Hello</Say><Pause length='60'/>")
    world.run(5)
    world.exchange.update(call.sid, status="completed")
    assert (call.status, call.duration) == ("completed", 5)


def test_a_caller_who_hangs_up_before_an_answer_was_not_answered(world: Any) -> None:
    call = world.ring("<Pause length='30'/>")
    world.run(5)
    world.exchange.hang_up(call.sid)
    world.run(60)
    assert (call.status, world.asks[1:]) == ("no-answer", [])


def test_a_hang_up_while_a_document_is_on_its_way_stops_it(world: Any) -> None:
    world.slow = 5.0
    call = world.ring("<Say>late</Say>")
    world.run(1)
    world.exchange.hang_up(call.sid)
    world.run(30)
    assert (call.status, world.heard(call)) == ("no-answer", [])


def test_the_time_limit_ends_a_call_and_is_reported(world: Any) -> None:
    call = world.ring("<Play loop='0'>x.mp3</Play>")
    world.exchange.update(call.sid, time_limit=20.0)
    world.run(60)
    assert (call.status, call.duration, world.codes()) == ("completed", 20, [32015])
