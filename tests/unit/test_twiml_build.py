"""TwiML out of verbs: well-formed for every text, and refused where no call could run it."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.twiml.messaging_response import MessagingResponse
from twilio.twiml.voice_response import VoiceResponse

from ringback import verbs as a
from ringback.errors import UsageError
from ringback.twilio.twiml import DECLARATION, EMPTY, document, message_document

# Lone surrogates are part of what a JSON body may smuggle in, so they are part of any text here.
ANY_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=200)


def test_no_verb_is_the_empty_response() -> None:
    assert document(()) == EMPTY
    assert message_document(()) == EMPTY
    assert ElementTree.fromstring(EMPTY.encode()).tag == "Response"


@given(ANY_TEXT, ANY_TEXT.filter(lambda t: any(c.isalnum() for c in t) and len(t) <= 60))
def test_every_text_gives_a_document_that_parses_and_keeps_the_text(said: str, queue: str) -> None:
    text = document((a.Say(said, voice=said[:40]), a.Enqueue(queue), a.Play(digits="1" + said)))
    root = ElementTree.fromstring(text.encode("utf-8"))
    say, enqueue = root[0], root[1]
    printable = "".join(c for c in said if c >= " " and not "\ud800" <= c <= "\udfff")
    heard = "".join(c for c in say.text or "" if c >= " ")
    assert heard == printable.replace("￾", "").replace("￿", "")
    assert enqueue.tag == "Enqueue"


def test_verbs_come_out_as_the_official_builders_write_them() -> None:
    official = VoiceResponse()
    official.say("A & B", voice="alice", language="en-GB", loop=2)
    official.play("https://example.com/a.mp3?x=1&y=2")
    official.pause(length=3)
    gather = official.gather(action="/step/1", num_digits=1, timeout=7, finish_on_key="")
    gather.say("Press one.")
    official.record(action="/step/2", max_length=30, play_beep=False, transcribe=True)
    official.enqueue("support", wait_url="https://example.com/wait")
    dial = official.dial(caller_id="+15550001111", timeout=20, action="/done")
    dial.number("+15550002222")
    official.redirect("https://example.com/next")
    official.hangup()
    ours = document(
        (
            a.Say("A & B", voice="alice", language="en-GB", loop=2),
            a.Play("https://example.com/a.mp3?x=1&y=2"),
            a.Pause(3),
            a.Gather(
                action="/step/1",
                num_digits=1,
                timeout=7,
                finish_on_key="",
                prompts=(a.Say("Press one."),),
            ),
            a.Record(action="/step/2", max_length=30, play_beep=False, transcribe=True),
            a.Enqueue("support", wait_url="https://example.com/wait"),
            a.Dial("+15550002222", caller_id="+15550001111", timeout=20, action="/done"),
            a.Redirect("https://example.com/next"),
            a.Hangup(),
        )
    )
    assert ElementTree.canonicalize(ours) == ElementTree.canonicalize(official.to_xml())


def test_messages_come_out_as_the_official_builder_writes_them() -> None:
    official = MessagingResponse()
    official.message("1 < 2")
    official.message("two")
    ours = message_document(["1 < 2", "two"])
    assert ours.startswith(DECLARATION)
    assert ElementTree.canonicalize(ours) == ElementTree.canonicalize(official.to_xml())


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (a.Say("x" * 4097), "4097 characters"),
        (a.Play(), "needs url or digits"),
        (a.Play("ftp://example.com/a"), "not an http"),
        (a.Play("http://[broken"), "not a URL"),
        (a.Enqueue(""), "needs queue"),
        (a.Enqueue("\x00 "), "needs queue"),
        (a.Enqueue("q" * 65), "has 65 characters, Twilio takes 64"),
        (a.Dial(), "exactly one"),
        (a.Dial("+1555", queue="q"), "exactly one"),
        (a.Redirect(""), "needs url"),
        (a.Reject("later"), "rejected or busy"),
        (a.Gather(prompts=(a.Hangup(),)), "a prompt is"),  # type: ignore[arg-type]
    ],
)
def test_what_no_call_could_run_is_refused(verb: a.Verb, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        document((verb,))


def test_relative_urls_are_for_webhook_answers_only() -> None:
    verbs = (a.Gather(action="/twilio/call/step/n1"),)
    assert 'action="/twilio/call/step/n1"' in document(verbs)
    with pytest.raises(UsageError, match="must be absolute"):
        document(verbs, absolute=True)


def test_more_than_twilio_reads_is_refused() -> None:
    with pytest.raises(UsageError, match="64 KiB"):
        document(a.Say("x" * 4000) for _ in range(17))
    with pytest.raises(UsageError, match="at most 10"):
        message_document(["x"] * 11)
