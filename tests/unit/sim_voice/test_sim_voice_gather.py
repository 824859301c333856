"""Tests of Gather: keys and speech, in prompts and after; when the action is asked and when not."""

from typing import Any

import pytest

SITE = "https://app.test"
AFTER = "<Say>nothing came</Say>"


def test_digits_up_to_the_limit_go_to_the_action(world: Any) -> None:
    world.page("/digits", "<Say>thanks</Say>")
    call = world.ring(f"<Gather numDigits='3' action='/digits'/>{AFTER}")
    world.exchange.press(call.sid, "123456")
    world.run(5)
    [fields] = world.asked("gather")
    assert (fields["Digits"], fields["FinishedOnKey"]) == ("123", "")
    assert (fields["CallStatus"], fields["CallSid"]) == ("in-progress", call.sid)
    assert world.said(call) == ["thanks"]


def test_the_finishing_key_ends_it_and_is_not_a_digit(world: Any) -> None:
    world.page("/digits", "<Hangup/>")
    call = world.ring(f"<Gather action='/digits'/>{AFTER}")
    world.exchange.press(call.sid, "42#9")
    [fields] = world.asked("gather")
    assert (fields["Digits"], fields["FinishedOnKey"]) == ("42", "#")


def test_another_finishing_key_makes_the_hash_a_digit(world: Any) -> None:
    world.page("/digits", "<Hangup/>")
    call = world.ring("<Gather action='/digits' finishOnKey='*'/>")
    world.exchange.press(call.sid, "4#*")
    assert world.asked("gather")[0]["Digits"] == "4#"


def test_without_a_finishing_key_only_time_ends_it(world: Any) -> None:
    world.page("/digits", "<Hangup/>")
    call = world.ring("<Gather action='/digits' finishOnKey='' timeout='2'/>")
    world.exchange.press(call.sid, "4#")
    world.run(1.9)
    assert world.asked("gather") == []
    world.run(0.2)
    assert world.asked("gather")[0]["Digits"] == "4#"


def test_the_timeout_starts_after_the_prompt_and_again_after_each_key(world: Any) -> None:
    world.page("/digits", "<Hangup/>")
    call = world.ring("<Gather action='/digits' timeout='5'><Pause length='10'/></Gather>")
    world.run(14)
    assert (world.state(call), world.asked("gather")) == ("gathering", [])
    world.exchange.press(call.sid, "1")
    world.run(4)
    world.exchange.press(call.sid, "2")
    world.run(4.9)
    assert world.asked("gather") == []
    world.run(0.2)
    assert world.asked("gather")[0]["Digits"] == "12"


def test_a_key_interrupts_the_prompts_and_counts(world: Any) -> None:
    world.page("/digits", "<Hangup/>")
    prompts = "<Say>Press one for sales</Say><Play>a.mp3</Play><Say>or two</Say>"
    call = world.ring(f"<Gather numDigits='2' action='/digits'>{prompts}</Gather>")
    world.run(2)
    world.exchange.press(call.sid, "1")
    world.run(1)
    world.exchange.press(call.sid, "7")
    assert world.asked("gather")[0]["Digits"] == "17"
    assert [kind for kind, _ in world.heard(call)] == ["say", "play"]


def test_nothing_entered_makes_no_request_and_falls_through(world: Any) -> None:
    call = world.ring(f"<Gather action='/digits' timeout='3'/>{AFTER}")
    world.run(4)
    assert (world.asked("gather"), world.said(call)) == ([], ["nothing came"])


def test_the_finishing_key_alone_is_nothing(world: Any) -> None:
    call = world.ring(f"<Gather action='/digits'><Say>Press</Say></Gather>{AFTER}")
    world.exchange.press(call.sid, "#")
    world.run(1)
    assert (world.asked("gather"), world.said(call)) == ([], ["Press", "nothing came"])


@pytest.mark.parametrize(
    ("listens", "blanks"),
    [
        ("dtmf", {"Digits": ""}),
        ("speech", {"SpeechResult": ""}),
        ("dtmf speech", {"Digits": "", "SpeechResult": ""}),
    ],
)
def test_empty_results_are_blank_when_they_are_wanted(
    world: Any, listens: Any, blanks: Any
) -> None:
    world.page("/empty", "<Hangup/>")
    world.ring(f"<Gather input='{listens}' actionOnEmptyResult='true' action='/empty'/>")
    world.run(6)
    [fields] = world.asked("gather")
    assert {n: v for n, v in fields.items() if n in {"Digits", "SpeechResult"}} == blanks


def test_without_action_the_same_document_is_asked_again(world: Any) -> None:
    def page(ask: Any) -> Any:
        digits = dict(ask.fields).get("Digits")
        return f"<Say>got {digits}</Say>" if digits else "<Gather method='GET' numDigits='1'/>"

    call = world.ring(page)
    world.exchange.press(call.sid, "8")
    world.run(2)
    assert [(ask.url, ask.method) for ask in world.asks] == [
        (f"{SITE}/voice", "POST"),
        (f"{SITE}/voice", "GET"),
    ]
    assert world.said(call) == ["got 8"]


def test_keys_pressed_before_are_lost(world: Any) -> None:
    call = world.ring(f"<Say>Welcome to us</Say><Gather numDigits='1' action='/d'/>{AFTER}")
    world.exchange.press(call.sid, "1")
    world.run(10)
    assert (world.asked("gather"), world.said(call)[-1]) == ([], "nothing came")


def test_speech_goes_to_the_action_with_its_confidence(world: Any) -> None:
    world.page("/speech", "<Hangup/>")
    call = world.ring(
        "<Gather input='speech' action='/speech' speechTimeout='2' language='en-GB'/>"
    )
    world.exchange.speak(call.sid, "book a table", 0.83, seconds=3)
    world.run(4.9)
    assert world.asked("gather") == []
    world.run(0.2)
    [fields] = world.asked("gather")
    assert (fields["SpeechResult"], fields["Confidence"]) == ("book a table", "0.83")
    assert (fields["Language"], "Digits" in fields) == ("en-GB", False)


def test_without_a_speech_timeout_the_timeout_ends_speech(world: Any) -> None:
    world.page("/speech", "<Hangup/>")
    call = world.ring("<Gather input='speech' action='/speech' timeout='4'/>")
    world.exchange.speak(call.sid, "hello", seconds=2)
    world.run(5.9)
    assert world.asked("gather") == []
    world.run(0.2)
    assert len(world.asked("gather")) == 1


def test_speech_is_waited_for_as_long_as_it_lasts(world: Any) -> None:
    world.page("/speech", "<Hangup/>")
    call = world.ring("<Gather input='speech' action='/speech' timeout='3' speechTimeout='auto'/>")
    world.run(2)
    world.exchange.speak(call.sid, "a long story", seconds=20)
    world.run(22)
    assert len(world.asked("gather")) == 1


def test_words_interrupt_a_prompt_only_with_barge_in(world: Any) -> None:
    world.page("/speech", "<Hangup/>")
    gather = "<Gather input='speech' action='/speech' bargeIn='{}'><Say>{}</Say></Gather>"
    call = world.ring(gather.format("true", "x" * 300) + AFTER)
    world.exchange.speak(call.sid, "stop", seconds=1)
    world.run(7)
    assert len(world.asked("gather")) == 1
    deaf = world.ring(gather.format("false", "x" * 300) + AFTER)
    world.exchange.speak(deaf.sid, "stop", seconds=1)
    world.run(30)
    assert len(world.asked("gather")) == 1
    assert world.said(deaf)[-1] == "nothing came"


def test_a_gather_for_keys_is_deaf_to_words_and_the_reverse(world: Any) -> None:
    keys = world.ring(f"<Gather action='/d'/>{AFTER}")
    world.exchange.speak(keys.sid, "hello")
    words = world.ring(f"<Gather input='speech' action='/d'/>{AFTER}")
    world.exchange.press(words.sid, "1")
    world.run(10)
    assert world.asked("gather") == []


def test_after_a_digit_words_do_not_count(world: Any) -> None:
    world.page("/d", "<Hangup/>")
    call = world.ring("<Gather input='dtmf speech' action='/d' timeout='4'/>")
    world.exchange.press(call.sid, "5")
    world.exchange.speak(call.sid, "six")
    world.run(10)
    [fields] = world.asked("gather")
    assert (fields["Digits"], "SpeechResult" in fields) == ("5", False)


def test_partial_results_are_reported(world: Any) -> None:
    world.page("/d", "<Hangup/>")
    call = world.ring(
        "<Gather input='speech' action='/d' partialResultCallback='/partial'"
        " partialResultCallbackMethod='GET'/>"
    )
    world.exchange.speak(call.sid, "one two")
    world.run(10)
    [fields] = world.notified("partial-speech")
    assert (fields["StableSpeechResult"], fields["SequenceNumber"]) == ("one two", "0")
    assert fields["CallSid"] == call.sid
    [notify] = [notify for notify in world.notices if notify.kind == "partial-speech"]
    assert (notify.url, notify.method) == (f"{SITE}/partial", "GET")


def test_hanging_up_while_gathering_asks_for_nothing(world: Any) -> None:
    call = world.ring("<Gather action='/d'/>")
    world.exchange.press(call.sid, "12")
    world.exchange.hang_up(call.sid)
    world.run(10)
    assert (world.asked("gather"), call.status) == ([], "completed")


def test_pauses_between_keys(world: Any) -> None:
    world.page("/d", "<Hangup/>")
    call = world.ring("<Gather action='/d' timeout='1'/>")
    world.exchange.press(call.sid, "1w2W3")
    world.run(5)
    assert world.asked("gather")[0]["Digits"] == "12"


def test_keys_and_words_prepared_come_when_the_call_first_listens(world: Any) -> None:
    world.page("/d", "<Gather input='speech' action='/s'/>")
    world.page("/s", "<Hangup/>")
    world.ring("<Say>Hello</Say><Gather action='/d' numDigits='2'/>", keys="42", say="yes")
    world.run(20)
    assert world.asked("gather")[0]["Digits"] == "42"
    assert world.asked("gather")[1]["SpeechResult"] == "yes"


def test_prompts_that_cannot_be_spoken_are_skipped(world: Any) -> None:
    call = world.ring(f"<Gather timeout='1'><Say/><Say>Choose</Say></Gather>{AFTER}")
    world.run(5)
    assert (world.codes(), world.said(call)) == ([13520], ["Choose", "nothing came"])


def test_what_a_nested_verb_may_be(world: Any) -> None:
    call = world.ring("<Gather timeout='1'><Say>a</Say><Redirect>/x</Redirect></Gather>")
    world.run(5)
    assert (world.codes(), world.said(call), world.asked("redirect")) == ([13320], ["a"], [])


def test_digits_in_twiml_without_a_base_need_an_action(world: Any) -> None:
    call = world.ring("<Pause length='99'/>")
    from_rest = "<Response><Gather numDigits='1'/></Response>"
    script = type(world.numbers["+15559990000"].script)(twiml=from_rest)
    world.exchange.update(call.sid, script=script)
    world.exchange.press(call.sid, "1")
    world.run(5)
    assert world.codes()[0] == 15004
