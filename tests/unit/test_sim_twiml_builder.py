"""Tests of our TwiML against the simulator's parser: the same verbs, and nothing injected."""

from typing import Any

import pytest

from ringback import verbs as a
from ringback.simulator.twiml import parse
from ringback.twilio.twiml import clean, document, message_document

URL = "https://app.test/a?x=1&y='2'"

VERBS = [
    (a.Say("Hi", voice="alice", language="en-GB", loop=2), {"voice": "alice", "loop": "2"}),
    (a.Play(URL, loop=3), {"loop": "3"}),
    (a.Play(digits="ww12#"), {"digits": "ww12#"}),
    (a.Pause(7), {"length": "7"}),
    (a.Enqueue("support", wait_url=URL, action="/left"), {"waitUrl": URL, "action": "/left"}),
    (
        a.Gather("/d", "dtmf speech", 4, 9, "", "de-DE", "yes, no", (a.Say("Go"), a.Pause(2))),
        {"action": "/d", "input": "dtmf speech", "numDigits": "4", "timeout": "9",
         "finishOnKey": "", "language": "de-DE", "hints": "yes, no"},
    ),
    (
        a.Record("/r", 60, 3, "#", play_beep=False, transcribe=True),
        {"action": "/r", "maxLength": "60", "timeout": "3", "finishOnKey": "#",
         "playBeep": "false", "transcribe": "true"},
    ),
    (
        a.Dial("+15550001111", caller_id="+15550002222", timeout=9, action="/x"),
        {"callerId": "+15550002222", "timeout": "9", "action": "/x"},
    ),
    (a.Dial(queue="support"), {}),
    (a.Dial(conference="team"), {}),
    (a.Dial(client="ann"), {}),
    (a.Redirect("/next?a=1&b=2"), {}),
    (a.Reject("busy"), {"reason": "busy"}),
    (a.Hangup(), {}),
]  # fmt: skip

PIECES = [
    "]]>", "&", "&amp;", "&#60;", "<", ">", '"', "'", "</Say>", "</Message>", "<Hangup/>",
    "<!DOCTYPE x>", "<!--", "-->", "<![CDATA[", "<?xml version='1.1'?>", "&xxe;", "%p;",
    "\x00", "\x01", "\x0b", "\x1f", "\x7f", "\x85", "\ud800", "\udfff", "\ufffe", "\uffff",
    "\u200b", "\u202e", "\u2028", "😀", "👨‍👩‍👧", "שלום", "مرحبا", "é", "\t", "\r\n",
    "a" * 4000, "{{ 7*7 }}",
]  # fmt: skip
HOSTILE = PIECES + ["Hello " + piece + " there" for piece in PIECES]


@pytest.mark.parametrize(("verb", "expected"), VERBS, ids=lambda value: type(value).__name__)
def test_every_verb_is_read_as_it_was_written(verb: Any, expected: Any) -> None:
    read = parse(document([verb]).encode(), "text/xml")
    assert read.problems == ()
    [element] = read.verbs
    assert element.name == type(verb).__name__
    assert {name: element.get(name) for name in expected} == expected
    assert element.written == set(expected) | ({"language"} if element.name == "Say" else set())


def test_nouns_and_prompts_come_with_their_verbs() -> None:
    read = parse(document([verb for verb, _ in VERBS]).encode(), "text/xml")
    nested = [(child.name, child.text) for verb in read.verbs for child in verb.children]
    assert nested == [
        ("Say", "Go"),
        ("Pause", ""),
        ("Number", "+15550001111"),
        ("Queue", "support"),
        ("Conference", "team"),
        ("Client", "ann"),
    ]


def test_there_are_eighty_hostile_texts() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) == 80


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_text_and_nothing_else(text: Any) -> None:
    verbs = [a.Say(text), a.Gather("/d", hints=text, prompts=(a.Say(text),)), a.Hangup()]
    read = parse(document(verbs).encode(), "text/xml")
    assert (read.error, read.problems) == (None, ())
    assert [verb.name for verb in read.verbs] == ["Say", "Gather", "Hangup"]
    assert [verb.name for verb in read.verbs[1].children] == ["Say"]
    assert read.verbs[0].text == " ".join(clean(text).split())

    sent = parse(message_document([text]).encode(), "text/xml", channel="message")
    assert (sent.error, sent.problems) == (None, ())
    [message] = sent.verbs
    assert (message.name, message.children) == ("Message", ())
    assert message.text == clean(text).replace("\r\n", "\n").strip()
