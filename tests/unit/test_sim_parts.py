"""Tests of the simulator's parts: overrides, addresses, forms, random numbers, faults, phones."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.errors import ConfigError
from ringback.simulator.faults import Plan, fault_from
from ringback.simulator.form import Form, legal_url, moment, parse
from ringback.simulator.handset import Handset
from ringback.simulator.main import Start, options_of
from ringback.simulator.numbering import (
    channel_of,
    friendly,
    is_channel,
    is_e164,
    is_name,
    is_voice,
    toll_free,
)
from ringback.simulator.override import Override, read_override
from ringback.simulator.randomness import SeededRandom
from ringback.simulator.refusal import Refusal
from ringback.simulator.seed import seeded_world
from ringback.simulator.signing import signature, signed_url, with_body_hash
from ringback.simulator.world import identity_of


@pytest.mark.parametrize(
    ("url", "plain", "override"),
    [
        ("http://a.test/x", "http://a.test/x", Override()),
        ("http://a.test/x#part", "http://a.test/x", Override()),
        ("http://a.test/#ct=2000&rc=3&rp=ct,5xx", "http://a.test/",
         Override(connect=2.0, retries=3, policy=frozenset({"ct", "5xx"}))),
        ("http://a.test/#rt=100&tt=15000&e=dublin,ashburn-ix", "http://a.test/",
         Override(read=0.1, total=15.0)),
        ("http://a.test/#ct=99", "http://a.test/", Override(problem=11321)),
        ("http://a.test/#rc=6", "http://a.test/", Override(problem=11321)),
        ("http://a.test/#rp=often", "http://a.test/", Override(problem=11243)),
        ("http://a.test/#e=moon", "http://a.test/", Override(problem=11240)),
    ],
)  # fmt: skip
def test_an_override_is_read_from_the_fragment(url: str, plain: str, override: Override) -> None:
    assert read_override(url) == (plain, override)


@given(st.text(max_size=60))
def test_any_fragment_is_read(text: str) -> None:
    plain, override = read_override("http://a.test/#" + text)
    assert plain == "http://a.test/"
    assert 0 <= override.retries <= 5


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://a.test/x?y=z", True), ("http://127.0.0.1:80/", True), ("http://[::1]/", True),
        ("http://localhost", True), ("HTTP://A.TEST", True),
        ("a.test/x", False), ("/x", False), ("ftp://a.test", False), ("http://", False),
        ("http://a_b.test", False), ("http://a test", False), ("http://a.test/\n", False),
        ("http://a.test:99999", False), ("http://-a.test", False), ("http://[::1", False),
        ("http://a.test/" + "x" * 5000, False),
    ],
)  # fmt: skip
def test_which_urls_are_legal(url: str, good: bool) -> None:
    assert legal_url(url) is good


def test_addresses() -> None:
    assert is_e164("+14155550100")
    assert not is_e164("+04155550100")
    assert not is_e164("+1415555010٣")
    assert is_name("Bank 24")
    assert not is_name("12345")
    assert not is_name("x" * 12)
    assert is_channel("whatsapp:+14155550100")
    assert not is_channel("whatsapp:me")
    assert channel_of("messenger:me") == "messenger"
    assert channel_of("+14155550100") == ""
    assert is_voice("client:ann")
    assert is_voice("sip:ann@a.test")
    assert not is_voice("ann")
    assert toll_free("+18885550102")
    assert friendly("+14155550100") == "(415) 555-0100"
    assert friendly("+4930123456") == "+4930123456"


def test_a_form_keeps_order_blanks_and_repeats() -> None:
    form = parse(b"a=1&b=&a=2&c=%2B1")
    assert form.pairs == [("a", "1"), ("b", ""), ("a", "2"), ("c", "+1")]
    assert form.many("a") == ["1", "2"]
    assert "b" in form
    assert form.text("z", "no") == "no"


@pytest.mark.parametrize(
    "ask",
    [
        lambda form: form.flag("word"),
        lambda form: form.number("word", 0, 0, 9),
        lambda form: form.number("high", 0, 0, 9),
        lambda form: form.choice("word", ("a",), "a"),
        lambda form: form.method("word"),
        lambda form: form.url("word"),
        lambda form: form.required("none", 20001),
        lambda form: parse(b"a=%ff"),
        lambda form: parse(b"\xff=1"),
        lambda form: moment("2026-13-01", "x"),
        lambda form: moment("Someday, sometime", "x"),
    ],
)
def test_what_cannot_be_read_is_refused(ask: Any) -> None:
    with pytest.raises(Refusal):
        ask(Form([("word", "word"), ("high", "10")]))


@pytest.mark.parametrize(
    "text",
    ["2026-02-09T20:00:00Z", "2026-02-09 20:00:00", "Mon, 09 Feb 2026 20:00:00 +0000",
     "2026-02-09T21:00:00+01:00"],
)  # fmt: skip
def test_dates_are_read_in_every_form(text: str) -> None:
    found, whole = moment(text, "x")
    assert found.isoformat() == "2026-02-09T20:00:00+00:00"
    assert not whole
    assert moment("2026-02-09", "x")[1]


def test_streams_of_chance_do_not_disturb_each_other() -> None:
    first, second = SeededRandom(3), SeededRandom(3)
    first.sid("CA")
    first.between("delay", 0, 1)
    assert first.sid("SM") == second.sid("SM")
    assert first.sid("SM") != SeededRandom(4).sid("SM")
    assert SeededRandom(3, "x").sid("SM") != SeededRandom(3, "y").sid("SM")
    assert len(first.uuid("u")) == 36


def test_no_account_repeats_the_main_one() -> None:
    assert identity_of(1).account_sid != SeededRandom(1).sid("AC")
    assert identity_of(1) == identity_of(1)
    assert len(identity_of(1).auth_token) == 32


def test_a_fault_strikes_at_its_chances_and_no_more() -> None:
    plan = Plan(SeededRandom(1))
    plan.add(fault_from({"on": "messages.*", "do": "throttle", "nth": [2, 3], "times": 1}))
    struck = [plan.for_request("messages.create") is not None for _ in range(4)]
    assert struck == [False, True, False, False]
    assert plan.for_request("calls.create") is None
    assert plan.for_webhook("message") == []


@pytest.mark.parametrize(
    ("pattern", "purpose", "covered"),
    [
        ("callback", "message/status", True), ("callback", "message", False),
        ("webhook:*", "message", True), ("webhook:call", "call/gather", False),
        ("webhook:call*", "call/gather", True),
    ],
)  # fmt: skip
def test_which_webhooks_a_fault_covers(pattern: str, purpose: str, covered: bool) -> None:
    plan = Plan(SeededRandom(1), [fault_from({"on": pattern, "do": "lose"})])
    assert bool(plan.for_webhook(purpose)) is covered


@pytest.mark.parametrize(
    ("number", "fate", "calls"),
    [
        ("+14155550123", ("delivered", 0), "answer"),
        ("+15005530003", ("undelivered", 30003), "answer"),
        ("+15005530034", ("failed", 30034), "answer"),
        ("+15005563016", ("failed", 63016), "answer"),
        ("+15005550021", ("sent", 0), "answer"),
        ("+15005550031", ("delivered", 0), "busy"),
    ],
)
def test_the_number_says_how_a_phone_behaves(number: Any, fate: Any, calls: Any) -> None:
    phone = Handset(number)
    assert phone.message_fate() == fate
    assert phone.call_outcome() == calls


def test_a_phone_behaves_as_set() -> None:
    phone = Handset("+14155550123")
    phone.set({"messages": "failed", "calls": "fax", "ring_seconds": 1, "talk_seconds": None})
    assert phone.message_fate() == ("failed", 30001)
    for wrong in ({"messages": "x"}, {"calls": "x"}, {"talk_seconds": "x"}, {"mood": 1}):
        with pytest.raises(ConfigError):
            phone.set(wrong)


def test_what_goes_into_a_signature() -> None:
    assert signed_url("https://me:x@a.test:8443/p?q#f", voice=True) == "https://a.test/p?q"
    assert signed_url("https://a.test:8443/p", voice=False) == "https://a.test:8443/p"
    assert signed_url("http://a.test:8080/p", voice=True) == "http://a.test:8080/p"
    twice = [("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
    once = [("Digits", "1234"), ("Digits", "5678")]
    assert signature("t", "http://a.test", twice) == signature("t", "http://a.test", once)
    assert with_body_hash("http://a.test/?a=b", b"{}").startswith(
        "http://a.test/?a=b&bodySHA256=44136f"
    )


@pytest.mark.parametrize(
    ("plan", "word"),
    [
        ("faults: 3", "list"),
        ("colour: red", "colour"),
        ("faults: [{on: messages.create, do: nothing}]", "nothing"),
        ("[1, 2]", "mapping"),
        ("seed: red", "whole number"),
        ("speed: 0", "above 0"),
        ("handsets: [1]", "mapping"),
        ("handsets: {'+14155550123': 3}", "mapping"),
        ("numbers: {'+14155550100': {colour: red}}", "colour"),
        ("messaging: {rate: 3}", "rates"),
        ("messaging: {rates: {default: 0}}", "above 0"),
        ("messaging: {latency: [3, 1]}", "latency"),
        ("maton: {rate: fast}", "rate"),
        ("faults: [{on: message.create, do: error}]", "did you mean 'messages.create'"),
        ("faults: [{on: 'webhook:text', do: lose}]", "webhook:text"),
        ("faults: [{on: callback, do: delay, seconds: soon}]", "not a number"),
        ("{", "cannot read"),
        ("handsets: {'+14155550123': {mood: bad}}", "mood"),
        ("handsets: {'+14155550123': {messages: perhaps}}", "perhaps"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_mend(tmp_path: Path, plan: str, word: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(plan)
    with pytest.raises(ConfigError, match=re.escape(word)):
        seeded_world(options_of(Start(plan=file)))


def test_every_problem_of_a_plan_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("seed: x\nspeed: 0\nfaults: [{on: callback, do: x}, {on: x, do: error}]")
    with pytest.raises(ConfigError) as caught:
        options_of(Start(plan=file))
    assert len(caught.value.problems) == 4
    assert all(problem.startswith(str(file)) for problem in caught.value.problems)
