"""Webhooks of other systems, the pure parts: vectors of the schemes, paths, identities, `hook`."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.errors import Malformed, RuleErrors, UsageError
from ringback.hooks import definitions_file, proof
from ringback.hooks.definitions import SCHEMES, Hook, bad_path, read, written
from ringback.hooks.reading import at, identity, parsed
from ringback.json_data import data_of
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.language.cel import Fault, Program, plain_language
from ringback.rules.language.named_values import answer_saved, restored
from ringback.rules.language.scope import NoFacts, Scope
from ringback.rules.starts import start_event
from ringback.testing import OURS, THEIRS, Bench, hook, started, webhook

STANDARD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def sent(body: bytes, query: bytes = b"", **headers: str) -> proof.Sent:
    lines = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return proof.Sent(lines, query, None, body)


@pytest.mark.parametrize(
    ("scheme", "secret", "request_", "now"),
    [
        # https://github.com/standard-webhooks/standard-webhooks, the tests of its libraries
        ("standard", STANDARD, sent(
            b'{"test": 2432232314}', webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
            webhook_timestamp="1614265330",
            webhook_signature="v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ), 1614265330 + 299),
        # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
        ("github", "It's a Secret to Everybody", sent(
            b"Hello, World!", x_hub_signature_256="sha256="
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ), 0),
        ("token", "a-plain-secret-of-31-characters", sent(
            b"{}", authorization="bearer a-plain-secret-of-31-characters",
        ), 0),
    ],
)  # fmt: skip
def test_the_vectors_of_the_specifications(
    scheme: str, secret: str, request_: proof.Sent, now: float
) -> None:
    system = Hook("shop", ("X",), scheme)
    others = ("another secret of ours", secret)
    assert proof.lacks(system, request_.headers, b"", None) == ""
    assert proof.check(system, others, request_, now).why == ""
    assert proof.check(system, others[:1], request_, now).why
    assert proof.check(system, others, request_._replace(body=b"x"), now).why or scheme == "token"
    if scheme == "standard":
        assert "ago" in proof.check(system, others, request_, now + 2).why
        assert "in 301 s" in proof.check(system, others, request_, now - 600).why


NAMES = (*proof.ALONE, b"x-github-delivery", b"x-shopify-webhook-id")
LINES = st.dictionaries(st.sampled_from(NAMES), st.binary(max_size=40) | st.sampled_from([
    b"t=1,v1=", b"t=1,t=2", b"sha256=", b"v1,", b"v1,a v1,b", b"1", b"Bearer ", b"bearer x",
]))  # fmt: skip


@settings(max_examples=60)
@given(st.sampled_from(SCHEMES), LINES, st.binary(max_size=30), st.binary(max_size=20))
def test_whatever_comes_is_refused_and_never_an_error(
    scheme: str, headers: dict[bytes, bytes], body: bytes, query: bytes
) -> None:
    system, secrets = Hook("shop", ("X",), scheme), (STANDARD, "a-plain-secret-of-31-characters")
    proof.lacks(system, headers, query, None)
    found = proof.check(system, secrets, proof.Sent(headers, query, None, body), 1.0)
    assert found.why
    assert len(proof.unsigned_id(system, headers)) <= 200
    try:
        value = parsed(body)
    except Malformed:
        return
    assert identity(system, value, "", body)


def test_the_older_names_of_the_standard_are_known() -> None:
    new = sent(b"{}", webhook_id="a", webhook_timestamp="1", webhook_signature="v1,x")
    old = {name.replace(b"webhook-", b"svix-"): value for name, value in new.headers.items()}
    system = Hook("shop", ("X",))
    assert proof.lacks(system, old, b"", None) == ""
    assert "fits no secret" in proof.check(system, (STANDARD,), new._replace(headers=old), 1).why


def test_definitions_come_back_as_they_were_written() -> None:
    hooks = {name: Hook(name, (name.upper(), "B"), name, "a.b", "c", 60.0) for name in SCHEMES}
    assert read(written(hooks)) == hooks
    for text in ("", "[1]", '[{"name": 1}]', '[{"secrets": 1}]'):
        with pytest.raises(ValueError, match=r"hooks|value"):
            read(text)


def test_a_disk_that_takes_no_definitions_keeps_no_node_from_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hooks.json").mkdir()
    definitions_file.put(tmp_path, {"shop": Hook("shop", ("X",))})
    assert "the hooks stay as they were" in caplog.text
    (tmp_path / "hooks.json").rmdir()
    definitions_file.put(tmp_path, {"shop": Hook("shop", ("X",))})
    assert definitions_file.load(tmp_path) == {"shop": Hook("shop", ("X",))}
    assert (tmp_path / "hooks.json").stat().st_mode & 0o777 == 0o600
    assert not definitions_file.write(tmp_path, {"shop": Hook("shop", ("X",))})


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.b", "1"), ("a", ""), ("list.1.c", "x y"), ("list.9.c", ""), ("list.c", ""), ("no.way", ""),
     ("flag", ""), ("none", ""), ("float", "1.5"), ("", "")],
)  # fmt: skip
def test_a_path_finds_texts_and_numbers_alone(path: str, found: str) -> None:
    value = {"a": {"b": 1}, "list": [0, {"c": " x\n y\0 "}], "flag": True, "none": None,
             "float": 1.5}  # fmt: skip
    assert at(value, path) == found
    assert (bad_path(path) == "") == bool(path)


def test_an_event_is_known_by_what_is_signed() -> None:
    value, body = {"id": "evt_1", "data": {"id": 7}}, b"{}"
    assert identity(Hook("a", ("X",), id="data.id"), value, "msg_1", body) == "7"
    assert identity(Hook("a", ("X",), id="data.nothing"), value, "msg_1", body) == "msg_1"
    assert identity(Hook("a", ("X",), "stripe"), value, "", body) == "evt_1"
    assert identity(Hook("a", ("X",), "github"), value, "", body).startswith("body:")
    long = identity(Hook("a", ("X",), id="id"), {"id": "x" * 5000}, "", body)
    assert long.startswith("sha256:")
    assert len(long) < 80
    huge = parsed(b'{"data": {"id": 1e400}}')  # or all of those would be one event
    assert identity(Hook("a", ("X",), id="data.id"), huge, "msg_1", body) == "msg_1"


def test_json_is_read_under_limits() -> None:
    assert parsed(b'{"a": [' + b"[" * 60 + b"]" * 60 + b"]}") is not None
    for wrong in ("[" * 65 + "]" * 65, '{"a": Infinity}', "nul", "\ud800"):
        with pytest.raises(Malformed):
            parsed(wrong.encode("utf-8", "surrogatepass"))
    with pytest.raises(Malformed, match="the body has a number of more than 4,300 digits"):
        parsed(b"9" * 5000)


def value_of(source: str, data: Any) -> Any:
    program = plain_language().compile(source, want=())
    assert isinstance(program, Program), program
    scope = Scope(hook("shop", data), NoFacts())
    found = program.evaluate(scope)
    return found.message if isinstance(found, Fault) else found


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("hook.total > 100", True), ("hook.total == 120.0", True), ("hook.price > 99", True),
        ("hook.paid", True), ("hook.name + '!'", "Ann!"), ("hook.items[1].sku", "B"),
        ("hook.items.exists(i, i.sku == 'B')", True), ("'a' in hook.tags", True),
        ("has(hook.coupon)", False), ("has(hook.coupon) ? hook.coupon : 'none'", "none"),
        ("hook.coupon == 'x'", "there is no 'coupon'; has(…) asks for it"),
        ("hook.zip > 3", "No matching overloads found : _>_(string, int64)"),
        ("hook.note.keyword(['tent'])", True), ("hook.big > 1000.0", True),
        ("hook.nothing == null", True), ("hook.odd", "a\ufffd?"), ("size(hook.items)", 2),
    ],
)  # fmt: skip
def test_what_hook_says_is_looked_at_when_it_comes(source: str, value: Any) -> None:
    data = {
        "total": 120, "price": 99.5, "paid": True, "name": "Ann", "tags": ["a"], "zip": "94110",
        "items": [{"sku": "A"}, {"sku": "B"}], "note": "one tent, please", "big": 10**30,
        "nothing": None, "odd": "a\0\ud800",
    }  # fmt: skip
    assert value_of(source, data) == value


def test_what_is_no_json_is_an_empty_object() -> None:
    texts = ("", "{", "[" * 100_000, '{"a": NaN}', "[-Infinity]", "7", '"a"')
    assert [data_of(text) for text in texts] == [{}, {}, {}, {}, {}, 7, "a"]


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("number", ["1e400", "9" * 400, "9" * 5000])
def test_what_is_larger_than_any_number_is_the_largest(sign: str, number: str) -> None:
    """In what is posted and in what is answered: it can be compared, and written as JSON again."""
    largest = float(f"{sign}{sys.float_info.max}")
    whole = f"[{2**63 - 1}, {2**63}]"
    text = rf'{{"n": {sign}{number}, "s": "\ud800\u0000", "whole": {whole}}}'
    found = {"n": largest, "s": "?\ufffd", "whole": [2**63 - 1, 2.0**63]}
    assert data_of(text) == found
    assert restored(answer_saved(200, text))["json"] == found
    json.dumps(found, allow_nan=False)


def test_an_answer_that_is_no_json_is_null() -> None:
    for text in ("", "{", "[" * 100_000, '{"a": NaN}', "[Infinity]"):
        assert restored(answer_saved(200, text))["json"] is None


RULES = """
hooks: {shop: {secret: {$env: SHOP}, phone: phone}}
rules:
  - name: order
    on: hook.shop
    if: hook.total > 100
    do: [{reply: "Thanks ${{ hook.name }}"}]
  - name: any
    on: hook.*
    state: shadow
    do: [{reply: seen}]
  - name: remind
    on: [message.received, rule.started]
    if: "false"
    from: +14155550000
    do: [{reply: "See you ${{ hook.when }}"}]
  - name: resting
    on: rule.started
    state: off
    do: [{notify: x}]
  - name: paid
    on: message.received
    do:
      - wait_for: {on: hook.shop, timeout: 1h}
      - reply: "Paid ${{ reply.hook.total }}"
"""


@pytest.fixture
def bench(tmp_path: Any) -> Bench:
    (tmp_path / "rules.yaml").write_text(RULES)
    return Bench.load(tmp_path / "rules.yaml")


def test_the_kit_lets_other_systems_deliver(bench: Bench) -> None:
    order = hook("shop", {"total": 120, "name": "Ann"}, identity="7")
    found = bench.react(order)
    assert (found.texts, found.fired) == (["Thanks Ann"], ["order", "any"])
    assert bench.react(hook("shop", {"total": 1}, identity="7")).fired == []
    assert bench.react(hook("shop", {"total": 1})).why_not("order") == "if:1"
    assert "there is no 'total'" in bench.react(hook("shop", {})).why_not("order")


def test_a_delivery_is_made_again_of_its_fields() -> None:
    order = hook("shop", {"total": 120, "note": "\u00e4"}, identity="7")
    again = webhook("hook/shop", order.fields, at=order.at)
    assert replace(again, uid=order.uid) == order
    assert (again.sender, again.hook) == (THEIRS, {"total": 120, "note": "\u00e4"})


def test_a_run_waits_for_another_system(bench: Bench) -> None:
    from ringback.testing import sms

    bench.react(sms("order", from_=THEIRS))
    assert "Paid 120" in bench.react(hook("shop", {"total": 120, "name": "A"})).texts


def test_a_start_starts_the_rule_that_it_names_and_no_other(bench: Bench) -> None:
    found = bench.react(started("remind", {"when": "Monday"}, to=THEIRS))
    assert (found.texts, found.fired) == (["See you Monday"], ["remind"])
    assert bench.react(started("resting")).why_not("resting") == "off"
    assert bench.react(started("nobody")).fired == []


PLUGIN = """
from ringback import Event, reply, rule


@rule(["hook.shop", "rule.started"], if_="hook.total > 100")
def thanks(event: Event):
    return reply(event, f"Thanks {event.hook['name']}")
"""


def test_a_rule_in_python_meets_them_too(tmp_path: Any) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "rules" / "shop.yaml").write_text("hooks: {shop: {secret: {$env: SHOP}}}")
    (tmp_path / "plugins" / "orders.py").write_text(PLUGIN)
    bench = Bench.load(tmp_path)
    assert bench.react(hook("shop", {"total": 120, "name": "Ann"})).texts == ["Thanks Ann"]
    assert bench.react(hook("shop", {"total": 20})).why_not("orders.thanks") == "if:1"
    begun = started("orders.thanks", {"name": "Zoe"}, to=THEIRS)
    assert bench.react(begun).texts == ["Thanks Zoe"]
    (tmp_path / "rules" / "shop.yaml").write_text("hooks: {other: {secret: {$env: SHOP}}}")
    with pytest.raises(RuleErrors, match="no hook is named 'shop'"):
        Bench.load(tmp_path)


@pytest.mark.parametrize(
    ("to", "given"),
    [
        ("12", ""), ("nobody", ""), ("+1415555", ""), ("", "{"), ("", "NaN"),
        ("", '"' + "x" * 262_144),
    ],
)  # fmt: skip
def test_a_start_that_cannot_be_is_refused(to: str, given: str) -> None:
    event = started("remind")
    with pytest.raises(UsageError):
        start_event("a", to=to, ours=OURS, given=given, at=event.at, mint=lambda _: "evt_1")


def test_the_language_knows_the_hooks(bench: Bench) -> None:
    ruleset: RuleSet = bench.ruleset
    assert ruleset.language.hooks == {"shop": Hook("shop", ("SHOP",), phone="phone")}
