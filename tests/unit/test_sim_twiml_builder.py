"""Tests of the parser against those who write TwiML: our own writer, and the helper library."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from twilio.twiml import TwiML
from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import VoiceResponse

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


# --- what Twilio's own helper library can write ---


def written(parent: TwiML) -> Iterator[TwiML]:
    """Every child that a method of this builder can add, with every attribute it can have."""
    for _, method in inspect.getmembers(type(parent), inspect.isfunction):
        if method.__module__ == TwiML.__module__ or method.__name__.startswith("_"):
            continue
        arguments = list(inspect.signature(method).parameters.values())[1:]
        named = [one.name for one in arguments if one.kind is not one.VAR_KEYWORD]
        yield method(parent, **dict.fromkeys(named, "1"))
        parent.verbs.clear()


def places(root: TwiML) -> Iterator[tuple[tuple[TwiML, ...], TwiML]]:
    """Each place of an element once: the way to it from the root, and the element."""
    seen: set[type[TwiML]] = {type(root)}
    ways: list[tuple[TwiML, ...]] = [(root,)]
    for way in ways:
        for child in written(way[-1]):
            yield way, child
            if type(child) not in seen:
                seen.add(type(child))
                ways.append((*way, child))


@pytest.mark.parametrize(
    ("root", "channel", "least"),
    [(VoiceResponse(), "voice", 130), (MessagingResponse(), "message", 4)],
    ids=["voice", "message"],
)
def test_all_that_the_helper_library_can_write_is_known(
    root: Any, channel: Any, least: int
) -> None:
    found = list(places(root))
    assert len(found) >= least
    unknown = []
    for way, child in found:
        text = child.to_xml(xml_declaration=False)
        for parent in reversed(way):
            text = f"<{parent.name}>{text}</{parent.name}>"
        read = parse(text.encode(), "text/xml", channel=channel)
        assert read.error is None, text
        # A value such as "1" may be illegal; that is another complaint than an unknown name.
        unknown += [
            f"{child.name} in {way[-1].name}: {problem.message}"
            for problem in read.problems
            if not problem.message.endswith("is used")
        ]
    assert unknown == []


GOOD = [
    '<Connect><ConversationRelay url="wss://a.test" welcomeGreeting="Hi" interruptible="any"'
    ' welcomeGreetingInterruptible="speech" debug="debugging speaker-events"'
    ' ttsProvider="ElevenLabs" transcriptionProvider="Deepgram" elevenlabsTextNormalization="on">'
    '<Language code="sv-SE" ttsProvider="amazon" voice="Elin" speechModel="long"/>'
    '<Parameter name="a" value="b"/></ConversationRelay></Connect>',
    '<Connect><ConversationRelaySession connector="c" sessionConfiguration="s"/></Connect>',
    '<Connect><Conversation serviceInstanceSid="IS1" inboundAutocreation="true" inboundTimeout="3"'
    ' routingAssignmentTimeout="9" record="record-from-answer-dual" statusCallbackEvent="call"/>'
    "</Connect>",
    '<Connect><VirtualAgent connectorName="c" sentimentAnalysis="true">'
    '<Config name="a" value="b"/></VirtualAgent></Connect>',
    '<Start><Stream url="wss://a.test" audioFormat="audio/x-mulaw" sampleRate="8000"/></Start>',
    '<Start><Transcription statusCallbackUrl="https://a.test" partialResults="true"'
    ' track="both_tracks" enableProviderData="true"><Config name="a" value="b"/></Transcription>'
    "</Start>",
    '<Start><Siprec name="s" connectorName="c" track="both_tracks"/></Start>',
    '<Start><Recording recordingConfigurationId="x" channels="mono"/></Start>',
    '<Pay chargeAmount="20.45" tokenType="one-time" postalCode="94111" validCardTypes="visa amex">'
    '<Prompt for="payment-card-number" attempt="1 2" errorType="timeout"><Say>Card</Say><Pause/>'
    '<Play>https://a.test/x.mp3</Play></Prompt><Parameter name="a" value="b"/></Pay>',
    '<Dial><Sip>sip:a@b.test<Headers><Header name="X-A" value="b"/></Headers>'
    '<Uri priority="1" weight="2" username="u" password="p">sip:c@d.test</Uri></Sip></Dial>',
    '<Dial><Conference recordingConfigurationId="x">r</Conference></Dial>',
    '<Dial timeLimit="86400">+15550001111</Dial>',
    '<Reject reason="busy"><Parameter name="a" value="b"/></Reject>',
    '<Hangup><Parameter name="a" value="b"/></Hangup>',
    '<Say>Read <w role="amazon:VB">re<break time="1s"/><sub alias="ad">d</sub></w> it</Say>',
]


@pytest.mark.parametrize("verbs", GOOD, ids=range(len(GOOD)))
def test_good_twiml_of_newer_nouns_is_no_12200(verbs: str) -> None:
    read = parse(f"<Response>{verbs}</Response>".encode(), "text/xml")
    assert (read.error, read.problems) == (None, ())
