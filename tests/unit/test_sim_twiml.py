"""Tests of the TwiML parser: what Twilio accepts, its complaints, and the cost of hostile
documents."""

import time
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.simulator import vocabulary
from ringback.simulator.twiml import MAX_BYTES, Element, default_element, parse


def voice(verbs: str, content_type: str | None = "text/xml") -> Any:
    return parse(f"<Response>{verbs}</Response>".encode(), content_type)


def message(verbs: str) -> Any:
    return parse(f"<Response>{verbs}</Response>".encode(), "text/xml", channel="message")


def codes(document: Any) -> list[int]:
    return [problem.code for problem in document.problems]


# --- documents that are fine ---


def test_a_declaration_comments_and_space_are_no_matter() -> None:
    declared = b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<!-- hi -->\n'
    body = declared + b"<Response>\n <Say> a\n  &amp; b </Say></Response>\n"
    document = parse(body, "application/xml; charset=utf-8")
    assert [(verb.name, verb.text) for verb in document.verbs] == [("Say", "a & b")]
    assert document.problems == ()


@pytest.mark.parametrize("media", ["text/xml", "application/xml", "text/html", "TEXT/XML; a=b"])
def test_markup_types_are_read(media: Any) -> None:
    assert voice("<Hangup/>", media).verbs[0].name == "Hangup"


def test_an_empty_response_has_no_verbs_and_no_error() -> None:
    document = parse(b"<Response/>", "text/xml")
    assert (document.verbs, document.error, document.problems) == ((), None, ())


def test_every_attribute_has_its_default() -> None:
    [gather] = voice("<Gather/>").verbs
    defaults = {
        "input": "dtmf",
        "method": "POST",
        "timeout": "5",
        "finishOnKey": "#",
        "actionOnEmptyResult": "false",
        "language": "en-US",
        "profanityFilter": "true",
        "bargeIn": "true",
    }
    assert {name: gather.get(name) for name in defaults} == defaults
    assert not gather.given("timeout")
    [record] = voice("<Record/>").verbs
    assert (record.number("timeout"), record.number("maxLength")) == (5, 3600)
    assert (record.get("finishOnKey"), record.flag("playBeep")) == ("1234567890*#", True)
    [dial] = voice("<Dial/>").verbs
    assert (dial.number("timeout"), dial.number("timeLimit")) == (30, 14400)
    assert dial.get("record") == "do-not-record"
    assert default_element("Conference").number("maxParticipants") == 250
    assert default_element("Pause").number("length") == 1


def test_given_values_win_and_are_marked() -> None:
    [gather] = voice('<Gather numDigits="4" finishOnKey="" timeout=" 9 "/>').verbs
    assert (gather.number("numDigits"), gather.get("finishOnKey")) == (4, "")
    assert (gather.number("timeout"), gather.given("finishOnKey")) == (9, True)


def test_nouns_nest_where_they_belong() -> None:
    [dial] = voice(
        "<Dial><Number>+1555</Number><Client><Identity>ann</Identity>"
        "<Parameter name='a' value='b'/></Client></Dial>"
    ).verbs
    number, client = dial.children
    assert (number.text, [child.name for child in client.children]) == (
        "+1555",
        ["Identity", "Parameter"],
    )
    assert next(client.nested("Identity")).text == "ann"


def test_speech_markup_keeps_its_words_in_place() -> None:
    [say] = voice(
        "<Say>One <emphasis level='strong'>two</emphasis> <sub alias='three'>3</sub>"
        "<break time='1s'/> <say-as interpret-as='digits'>4</say-as></Say>"
    ).verbs
    assert say.text == "One two three 4"
    assert [child.name for child in say.children] == ["emphasis", "sub", "break", "say-as"]


def test_message_text_keeps_its_line_breaks() -> None:
    [sent] = message("<Message>one\n two</Message>").verbs
    assert sent.text == "one\n two"
    [parts] = message("<Message><Body>b</Body><Media>u</Media><Media>v</Media></Message>").verbs
    assert [child.text for child in parts.children] == ["b", "u", "v"]


def test_plain_text_is_run_if_it_is_twiml_else_spoken_or_sent() -> None:
    assert parse(b" <Response><Hangup/></Response>", "text/plain").verbs[0].name == "Hangup"
    [say] = parse(b"Hello <there", "text/plain").verbs
    assert (say.name, say.text, say.get("language")) == ("Say", "Hello <there", "en-US")
    [broken] = parse(b"<Response>", "text/plain").verbs
    assert (broken.name, broken.text) == ("Say", "<Response>")
    [sent] = parse(b"Hi\nyou", "text/plain; charset=utf-8", channel="message").verbs
    assert (sent.name, sent.text) == ("Message", "Hi\nyou")


def test_audio_answers_a_call_but_not_a_message() -> None:
    document = parse(b"\xff\xfb\x90", "audio/mpeg")
    assert ([verb.name for verb in document.verbs], document.audio) == (["Play"], True)
    assert codes(parse(b"\xff", "audio/mpeg", channel="message")) == [12300]


# --- what Twilio complains of ---


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        (b"<Response>", "text/xml", 12100),
        (b"<Response><Say>a</Response>", "text/xml", 12100),
        (b"<Response>a & b</Response>", "text/xml", 12100),
        (b"\n<?xml version='1.0'?><Response/>", "text/xml", 12100),
        (b"<Response/><Response/>", "text/xml", 12100),
        (b"<Response>\xff</Response>", "text/xml", 12100),
        (b"<Response>\x00</Response>", "text/xml", 12100),
        (b"<Response a='1' a='2'/>", "text/xml", 12100),
        (b"plain words", "text/xml", 12100),
        (b"<!DOCTYPE html><html/>", "text/html", 12100),
        (b"<?xml version='1.1'?><Response/>", "text/xml", 12101),
        (b"<response/>", "text/xml", 12102),
        (b"<html><body/></html>", "text/html", 12102),
        (b"<Response/>", None, 12300),
        (b"<Response/>", "", 12300),
        (b"{}", "application/json", 12300),
        (b"", "text/xml", 11770),
        (b" \n", "text/xml", 11770),
        (b" ", "text/plain", 11770),
        (b"<Response>" + b" " * MAX_BYTES + b"</Response>", "text/xml", 11750),
    ],
)
def test_a_worthless_document_is_an_error_with_its_code(body: Any, media: Any, code: Any) -> None:
    for channel in ("voice", "message"):
        document = parse(body, media, channel=channel)
        assert document.error is not None
        assert (document.error.code, document.error.level) == (code, "error")
        assert (document.verbs, document.problems) == ((), (document.error,))


def test_a_document_of_exactly_64_kb_is_read() -> None:
    body = b"<Response><Say>" + b"a" * (MAX_BYTES - 32) + b"</Say></Response>"
    assert len(body) == MAX_BYTES
    assert parse(body, "text/xml").error is None


def test_problems_name_the_place() -> None:
    document = voice("\n  <Sway/>")
    [problem] = document.problems
    assert (problem.code, problem.line, problem.column, problem.level) == (12200, 2, 3, "warning")
    error = parse(b"<Response>\n<Say></Response>", "text/xml").error
    assert error is not None
    assert (error.line, error.code) == (2, 12100)


def test_unknown_names_are_warned_of_and_skipped_with_all_inside() -> None:
    document = voice("<Bogus><Say>inside</Say></Bogus><Say>after</Say>")
    assert [verb.text for verb in document.verbs] == ["after"]
    assert codes(document) == [12200]


def test_case_counts_and_the_hint_says_so() -> None:
    document = voice("<say>x</say><gather/>")
    assert document.verbs == ()
    assert "did you mean <Say>" in document.problems[0].message
    assert "did you mean <Gather>" in document.problems[1].message


def test_an_unknown_attribute_is_skipped_and_its_verb_runs() -> None:
    document = voice("<Say Voice='alice'>x</Say>")
    assert (codes(document), document.verbs[0].get("voice")) == ([12200], "man")
    assert document.verbs[0].get("Voice") == ""


@pytest.mark.parametrize(
    ("verb", "code", "attribute", "default"),
    [
        ("<Dial method='PUT'/>", 13210, "method", "POST"),
        ("<Dial timeout='soon'/>", 13212, "timeout", "30"),
        ("<Dial timeout='601'/>", 13212, "timeout", "30"),
        ("<Dial hangupOnStar='yes'/>", 13213, "hangupOnStar", "false"),
        ("<Dial timeLimit='0'/>", 13216, "timeLimit", "14400"),
        ("<Dial record='maybe'/>", 13217, "record", "do-not-record"),
        ("<Gather finishOnKey='12'/>", 13310, "finishOnKey", "#"),
        ("<Gather method='x'/>", 13312, "method", "POST"),
        ("<Gather timeout='-1'/>", 13313, "timeout", "5"),
        ("<Gather numDigits='0'/>", 13314, "numDigits", ""),
        ("<Gather input='touch'/>", 13326, "input", "dtmf"),
        ("<Gather speechTimeout='x'/>", 13327, "speechTimeout", ""),
        ("<Gather language='12'/>", 13331, "language", "en-US"),
        ("<Gather actionOnEmptyResult='1'/>", 13338, "actionOnEmptyResult", "false"),
        ("<Play loop='x'/>", 13410, "loop", "1"),
        ("<Play digits='abc'/>", 13430, "digits", ""),
        ("<Say loop='-1'/>", 13510, "loop", "1"),
        ("<Say language='!'/>", 13512, "language", "en-US"),
        ("<Record method='x'/>", 13610, "method", "POST"),
        ("<Record timeout='x'/>", 13611, "timeout", "5"),
        ("<Record maxLength='x'/>", 13612, "maxLength", "3600"),
        ("<Record finishOnKey='x'/>", 13613, "finishOnKey", "1234567890*#"),
        ("<Record transcribe='x'/>", 13614, "transcribe", "false"),
        ("<Redirect method='x'/>", 13710, "method", "POST"),
        ("<Reject reason='x'/>", 13810, "reason", "rejected"),
        ("<Pause length='x'/>", 13910, "length", "1"),
        ("<Enqueue method='x'/>", 14201, "method", "POST"),
        ("<Enqueue waitUrlMethod='x'/>", 14206, "waitUrlMethod", "POST"),
    ],
)
def test_an_illegal_value_is_reported_and_the_default_stands_in(
    verb: Any, code: Any, attribute: Any, default: Any
) -> None:
    document = voice(verb)
    assert codes(document) == [code]
    assert document.verbs[0].get(attribute) == default
    assert not document.verbs[0].given(attribute)


def test_an_unknown_recording_event_is_reported() -> None:
    document = voice("<Record recordingStatusCallbackEvent='completed never'/>")
    assert codes(document) == [13621]
    assert document.verbs[0].get("recordingStatusCallbackEvent") == "completed"


@pytest.mark.parametrize(
    ("noun", "code"),
    [
        ("<Number method='x'>1</Number>", 13221),
        ("<Number sendDigits='12x'>1</Number>", 13222),
        ("<Conference muted='x'>r</Conference>", 13230),
        ("<Conference endConferenceOnExit='x'>r</Conference>", 13231),
        ("<Conference startConferenceOnEnter='x'>r</Conference>", 13232),
        ("<Conference waitMethod='x'>r</Conference>", 13234),
        ("<Conference beep='x'>r</Conference>", 13235),
        ("<Sip method='x'>sip:a@b</Sip>", 13241),
        ("<Queue method='x'>q</Queue>", 14210),
        ("<Say>x</Say>", 13215),
    ],
)
def test_nouns_of_dial_have_their_own_codes(noun: Any, code: Any) -> None:
    assert codes(voice(f"<Dial>{noun}</Dial>")) == [code]


def test_verbs_in_the_wrong_place_have_the_code_of_that_place() -> None:
    assert codes(voice("<Gather><Dial/></Gather>")) == [13320]
    assert codes(voice("<Number>1</Number>")) == [12200]
    assert codes(message("<Say>x</Say><Message>y</Message>")) == [14110]
    assert codes(voice("<Message>y</Message>")) == [12200]


def test_the_eleventh_message_is_dropped() -> None:
    document = message(
        "".join(f"<Message>{n}</Message>" for n in range(12)) + "<Redirect>u</Redirect>"
    )
    assert [verb.text for verb in document.verbs] == [*map(str, range(10)), "u"]
    assert codes(document) == [14109]


def test_every_word_of_the_vocabulary_can_be_written() -> None:
    for channel, words in (("voice", vocabulary.VOICE), ("message", vocabulary.MESSAGE)):
        for name in words["Response"].children:
            assert (
                codes(
                    parse(f"<Response><{name}/></Response>".encode(), "text/xml", channel=channel)
                )
                == []
            )
        for parent, word in words.items():
            assert word.children <= words.keys(), parent
            for attribute in word.attributes.values():
                assert not attribute.default or attribute.legal(attribute.default), parent


# --- hostile pages ---

BOMB = (
    "<!DOCTYPE x [<!ENTITY a 'ha'>"
    + "".join(
        f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]><Response><Say>&i;</Say></Response>"
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB.encode(),
        b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'><Response/>",
        b"<!DOCTYPE x [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><Response><Say>&f;</Say></Response>",
        b"<!DOCTYPE x [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/'>%p;]><Response/>",
        b"<Response>" + b"<a>" * 100_000,
        b"<Response>" + b"<a>" * 20_000,
        b"<Response><Say>" + b"<p>" * 20_000,
        b"<Response>" + b"<Say/>" * 100_000 + b"</Response>",
        b"<Response><Say " + b" ".join(b"a%d='1'" % n for n in range(6000)) + b"/></Response>",
        b"<Response><Say a='" + b"&#65;" * 12_000 + b"'/></Response>",
        b"<" * 60_000,
        b"<Response>" + b"<![CDATA[" * 7_000,
    ],
    ids=range(12),
)
def test_hostile_documents_cost_nothing(body: Any) -> None:
    began = time.thread_time()
    document = parse(body, "text/xml")
    assert time.thread_time() - began < 1.0
    assert document.verbs == () or len(document.verbs) == 1
    assert len(document.problems) <= 50


def test_a_doctype_is_refused_before_its_entities_exist() -> None:
    error = parse(BOMB.encode(), "text/xml").error
    assert error is not None
    assert (error.code, error.line) == (12100, 1)
    assert "document type" in error.message


def test_nesting_stops_at_32() -> None:
    deep = "<p>" * 30 + "</p>" * 30
    assert voice(f"<Say>{deep}</Say>").error is None
    deeper = "<p>" * 31 + "</p>" * 31
    error = voice(f"<Say>{deeper}</Say>").error
    assert error is not None
    assert (error.code, "deeper than 32" in error.message) == (12100, True)
    unknown = "<x>" * 32 + "</x>" * 32
    assert voice(unknown).error is not None


def test_a_thousand_warnings_are_fifty() -> None:
    assert len(voice("<x/>" * 1000).problems) == 50


def test_another_encoding_cannot_be_chosen() -> None:
    body = "<?xml version='1.0' encoding='utf-16'?><Response/>".encode("utf-16")
    assert codes(parse(body, "text/xml")) == [12100]


XML_TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"),
    max_size=60,
)


@given(XML_TEXT)
def test_what_is_escaped_comes_back_as_text_and_never_as_a_verb(text: Any) -> None:
    document = parse(
        f"<Response><Message>{escape(text)}</Message></Response>".encode(),
        "text/xml",
        channel="message",
    )
    assert document.error is None
    assert [verb.name for verb in document.verbs] == ["Message"]
    assert document.verbs[0].text == text.strip()


@given(st.binary(max_size=400), st.sampled_from(["text/xml", "text/plain", "audio/wav", None]))
def test_no_bytes_make_the_parser_raise(body: Any, media: Any) -> None:
    document = parse(body, media)
    assert isinstance(document.verbs, tuple)
    assert all(isinstance(verb, Element) for verb in document.verbs)
