"""Webhooks of other systems from outside: signed by their own means, forged, stale, twice."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from ringback.config import Settings
from ringback.hooks import definitions_file
from ringback.hooks.definitions import Hook
from ringback.receiver import refusals
from ringback.twilio.webhooks import events_from
from scenarios.conftest import BASE, Receiver, Reply
from scenarios.test_receiver_app import app_for, client_of, in_fastapi

KEY = "whsec_" + base64.b64encode(b"a secret of the shop, 24+").decode()
NEXT = "whsec_" + base64.b64encode(b"the secret that comes after").decode()
PLAIN = "a-plain-secret-of-31-characters"
HOOKS = {
    "shop": Hook("shop", ("SHOP", "SHOP_NEXT"), phone="data.customer.phone", id="data.id"),
    "plain": Hook("plain", ("SHOP",)),
    "pay": Hook("pay", ("PLAIN",), "stripe", phone="data.object.phone"),
    "git": Hook("git", ("PLAIN",), "github"),
    "store": Hook("store", ("PLAIN",), "shopify"),
    "door": Hook("door", ("PLAIN",), "token"),
    "unset": Hook("unset", ("NOBODY_SET_THIS",)),
    "wrong": Hook("wrong", ("BAD",)),
}
ORDER = {"type": "order.paid", "data": {"id": 17, "customer": {"phone": "(415) 555-0123"}}}
JSON = {"Content-Type": "application/json"}


BOTH_WAYS = pytest.mark.parametrize("transport", ["protocol", "asgi"])


@pytest.fixture
async def node(start_receiver: Callable[[Settings], Any], receiver_settings: Settings) -> Receiver:
    """A receiver that knows these hooks."""
    settings = replace(
        receiver_settings, sender="+12025550100",
        environ={"SHOP": KEY, "SHOP_NEXT": NEXT, "PLAIN": PLAIN},
    )  # fmt: skip
    settings.data.mkdir()
    definitions_file.write(settings.data, HOOKS)
    started: Receiver = await start_receiver(settings)
    return started


def text_of(data: Any) -> bytes:
    return json.dumps(data).encode()


def standard(body: bytes, *, key: str = KEY, name: str = "msg_1", ago: float = 0) -> dict[str, str]:
    """The headers that the official library makes."""
    moment = int(time.time() - ago)
    signed = Webhook(key).sign(name, datetime.fromtimestamp(moment, UTC), body.decode())
    named = {"webhook-id": name, "webhook-timestamp": str(moment)}
    return {**JSON, **named, "webhook-signature": signed}


def digest(signed: bytes) -> hmac.HMAC:
    return hmac.new(PLAIN.encode(), signed, hashlib.sha256)


def stripe(body: bytes, ago: float = 0) -> dict[str, str]:
    moment = int(time.time() - ago)
    found = digest(f"{moment}.".encode() + body).hexdigest()
    return {**JSON, "Stripe-Signature": f"t={moment},v1={'0' * 64},v1={found},v0=old"}


def github(body: bytes, delivery: str = "72d3162e") -> dict[str, str]:
    return {
        **JSON, "X-GitHub-Delivery": delivery, "X-GitHub-Event": "push",
        "X-Hub-Signature-256": f"sha256={digest(body).hexdigest()}",
    }  # fmt: skip


def shopify(body: bytes) -> dict[str, str]:
    return {**JSON, "X-Shopify-Hmac-Sha256": base64.b64encode(digest(body).digest()).decode()}


def bearer(_: bytes) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {PLAIN}"}


SIGNED = [
    ("shop", standard), ("pay", stripe), ("git", github), ("store", shopify), ("door", bearer),
]  # fmt: skip


@BOTH_WAYS
@pytest.mark.parametrize(("name", "sign"), SIGNED)
async def test_what_is_signed_is_kept_byte_for_byte(
    node: Receiver, name: str, sign: Callable[[bytes], dict[str, str]]
) -> None:
    body = b'{"data":  {"id": 17,\n"note": "\xc3\xa4\\u00e4"}}'
    assert (await node.send(f"/hook/{name}", body, sign(body))).status == 204
    (row,) = node.rows()
    assert (row.route, row.trust, row.source, row.body) == (
        f"hook/{name}",
        "signed",
        "webhook",
        body,
    )
    (event,) = events_from(row, lambda: "evt_1")
    assert event.type == f"hook.{name}"
    assert event.hook == {"data": {"id": 17, "note": "ää"}}


@pytest.mark.parametrize(("name", "sign"), SIGNED)
async def test_what_is_forged_is_refused_with_one_body(
    node: Receiver, name: str, sign: Callable[[bytes], dict[str, str]]
) -> None:
    body = text_of(ORDER)
    headers = sign(body)
    proof = next(word for word in headers if word.lower() in (
        "webhook-signature", "stripe-signature", "x-hub-signature-256", "x-shopify-hmac-sha256",
        "authorization",
    ))  # fmt: skip
    forged = headers | {proof: headers[proof].replace(headers[proof][-8:], "AAAAAAA=")}
    replies: list[Reply] = [
        await node.send(f"/hook/{name}", body, forged),
        await node.send(f"/hook/{name}", body, JSON),
        await node.send(f"/hook/{name}", body, headers | {proof: ""}),
    ]
    if name != "door":
        replies.append(await node.send(f"/hook/{name}", body + b" ", headers))
        replies.append(await node.send(f"/hook/{name}", body, bearer(body)))
    assert {(reply.status, reply.body) for reply in replies} == {(403, b"Forbidden\n")}
    assert node.rows() == []


@pytest.mark.parametrize(("name", "sign"), [("plain", standard), ("pay", stripe)])
@pytest.mark.parametrize("ago", [400, -400])
async def test_what_is_stale_is_refused(
    node: Receiver, name: str, sign: Callable[..., dict[str, str]], ago: int
) -> None:
    body = text_of(ORDER)
    assert (await node.send(f"/hook/{name}", body, sign(body, ago=ago))).status == 403
    assert (await node.send(f"/hook/{name}", body, sign(body, ago=ago * 0.7))).status == 204
    assert len(node.rows()) == 1


async def test_both_secrets_of_a_rotation_prove(node: Receiver) -> None:
    for number, key in enumerate((KEY, NEXT)):
        body = text_of({"data": {"id": number}})
        assert (await node.send("/hook/shop", body, standard(body, key=key))).status == 204
    third = "whsec_" + base64.b64encode(b"neither the one nor the other").decode()
    assert (await node.send("/hook/shop", body, standard(body, key=third))).status == 403
    node.node.intake.reload(replace(node.settings, environ={"SHOP": third}))  # at SIGHUP
    for number, (key, status) in enumerate(((KEY, 403), (NEXT, 403), (third, 204)), 5):
        body = text_of({"data": {"id": number}})
        assert (await node.send("/hook/shop", body, standard(body, key=key))).status == status


@pytest.mark.parametrize(
    ("name", "first", "second", "recorded"),
    [
        # By the id of the definition, whatever the delivery is called.
        ("shop", standard, lambda body: standard(body, name="msg_2"), 1),
        # By the id of the delivery, which is signed: sent again later it has another signature.
        ("plain", standard, lambda body: standard(body, ago=60), 1),
        ("plain", standard, lambda body: standard(body, name="msg_2"), 2),
        ("pay", stripe, lambda body: stripe(body, ago=60), 1),
        # The name that GitHub gives to a delivery is not signed, so another name is no other event.
        ("git", github, lambda body: github(body, "another"), 1),
        ("store", shopify, shopify, 1),
        # A token proves nothing of what is sent: the same again may be meant.
        ("door", bearer, bearer, 2),
        ("door", lambda body: bearer(body) | {"Webhook-Id": "a"},
         lambda body: bearer(body) | {"Webhook-Id": "a"}, 1),
    ],
)  # fmt: skip
async def test_what_comes_again_is_acknowledged_and_not_kept_twice(
    node: Receiver, name: str, first: Any, second: Any, recorded: int
) -> None:
    body = text_of(ORDER | {"id": "evt_of_stripe"})
    for sign in (first, second):
        assert (await node.send(f"/hook/{name}", body, sign(body))).status == 204
    assert len(node.rows()) == recorded
    keys = {events_from(row, str)[0].dedupe_key for row in node.rows()}
    assert len(keys) == recorded


async def test_the_phone_is_the_contact_in_our_spelling(node: Receiver) -> None:
    for number, phone in enumerate(("(415) 555-0123", "+14155550123", "nobody", 17, None)):
        body = text_of({"data": {"id": number, "customer": {"phone": phone}}})
        assert (await node.send("/hook/shop", body, standard(body))).status == 204
    found = [events_from(row, str)[0] for row in node.rows()]
    assert [event.from_ for event in found] == ["+14155550123"] * 2 + [""] * 3
    assert [event.conversation for event in found[:3]] == ["+12025550100/+14155550123"] * 2 + [""]
    assert found[0].theirs == "+14155550123"
    assert found[0].ours == "+12025550100"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{'a': 1}", b"\xff\xfe", b'{"a": NaN}', b"[" * 100 + b"]" * 100,
     b"[" * 200_000, b'{"a": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
async def test_malformed_json_is_400_when_it_is_proven(node: Receiver, body: bytes) -> None:
    assert (await node.send("/hook/git", body, github(body))).status == 400
    assert (await node.send("/hook/git", body, JSON)).status == 403
    assert node.rows() == []


@BOTH_WAYS
async def test_the_other_refusals(node: Receiver) -> None:
    body = text_of(ORDER)
    signed = standard(body)
    form = {**signed, "Content-Type": "application/x-www-form-urlencoded"}
    large = b'{"a": "' + b"x" * 262_144 + b'"}'
    assert (await node.send("/hook/nobody", body, signed)).status == 404
    assert (await node.send("/hook/shop/more", body, signed)).status == 404
    assert (await node.send("/hook/", body, signed)).status == 404
    assert (await node.send("/hook/Shop", body, signed)).status == 404
    assert (await node.send("/hook/shop", body, signed, "GET")).status == 405
    assert (await node.send("/hook/shop", body, form)).status == 415
    assert (
        await node.send("/hook/shop", body, signed | {"Content-Encoding": "gzip"})
    ).status == 415
    assert (await node.send("/hook/shop", large, standard(large))).status == 413
    whole = large[:262_100] + b'"}'
    assert (await node.send("/hook/plain", whole, standard(whole))).status == 204
    unset = await node.send("/hook/unset", body, signed)
    assert (unset.status, "retry-after" in unset.headers) == (503, True)
    twice = node.bytes_of("/hook/shop", body, signed).replace(
        b"\r\n\r\n", b"\r\nwebhook-id: msg_2\r\n\r\n", 1
    )
    assert (await node.raw(twice))[0].status == 403


@BOTH_WAYS
async def test_a_token_may_stand_in_the_path_or_the_query_of_its_own_scheme(node: Receiver) -> None:
    body = text_of(ORDER)
    for path, status in (
        (f"/hook/~{PLAIN}/door", 204), (f"/hook/door?a=1&token={PLAIN}", 204),
        ("/hook/~other/door", 403), ("/hook/door?token=other", 403),
        (f"/hook/door?token={PLAIN}&token={PLAIN}", 403), (f"/hook/~{PLAIN}/git", 403),
        ("/hook/door?token=%ff", 403),
    ):  # fmt: skip
        assert (await node.send(path, body, JSON)).status == status, path
    assert len(node.rows()) == 2
    assert not any(PLAIN in str(row) for row in node.rows())


async def test_what_is_known_changes_with_the_file_and_a_broken_one_changes_nothing(
    node: Receiver,
) -> None:
    body = text_of(ORDER)
    path = node.settings.data / "hooks.json"
    definitions_file.write(node.settings.data, {"plain": HOOKS["plain"]})
    assert (await node.send("/hook/shop", body, standard(body))).status == 404
    path.write_text("[")
    assert (await node.send("/hook/plain", body, standard(body))).status == 204
    path.unlink()
    assert (await node.send("/hook/plain", body, standard(body))).status == 204
    definitions_file.write(node.settings.data, HOOKS)
    assert (await node.send("/hook/shop", body, standard(body))).status == 204


async def test_before_the_rules_are_read_it_is_to_come_again(receiver: Receiver) -> None:
    body = text_of(ORDER)
    reply = await receiver.send("/hook/shop", body, standard(body))
    assert (reply.status, reply.headers["retry-after"]) == (503, "15")


async def test_the_hook_of_an_application_that_is_mounted(receiver_settings: Settings) -> None:
    settings = replace(receiver_settings, public_url=f"{BASE}/in", environ={"SHOP": KEY})
    settings.data.mkdir()
    definitions_file.write(settings.data, HOOKS)
    body = text_of(ORDER)
    async with client_of(in_fastapi(app_for(settings), "/in")) as client:
        for path, status in (("/in/hook/shop", 204), ("/in/hook/nobody", 404), ("/hook/shop", 404)):
            reply = await client.post(path, content=body, headers=standard(body))
            assert reply.status_code == status, path


async def test_a_prefix_of_the_public_address_may_stand_before_it(
    start_receiver: Callable[[Settings], Any], receiver_settings: Settings
) -> None:
    settings = replace(receiver_settings, public_url=f"{BASE}/in", environ={"SHOP": KEY})
    settings.data.mkdir()
    definitions_file.write(settings.data, HOOKS)
    node = await start_receiver(settings)
    body = text_of(ORDER)
    assert (await node.send("/in/hook/shop", body, standard(body))).status == 204
    assert (await node.send("/out/hook/shop", body, standard(body))).status == 404


async def test_in_dev_a_hook_without_its_secret_takes_what_comes_from_this_machine(
    start_receiver: Callable[[Settings], Any], receiver_settings: Settings
) -> None:
    settings = replace(receiver_settings, simulated=True, environ={"PLAIN": PLAIN, "BAD": "short"})
    settings.data.mkdir()
    definitions_file.write(settings.data, HOOKS)
    node = await start_receiver(settings)
    body = text_of(ORDER)
    assert (await node.send("/hook/shop", body, JSON)).status == 204
    assert (await node.send("/hook/git", body, JSON)).status == 403
    wrong = await node.send("/hook/wrong", body, JSON)
    assert wrong.status == 503, "a secret that cannot be used does not open it"
    assert [row.trust for row in node.rows()] == ["simulated"]


async def test_why_it_was_refused_is_kept_for_the_doctor(node: Receiver) -> None:
    body = text_of(ORDER)
    await node.send("/hook/shop", body, stripe(body))
    while not (kept := refusals.read(node.settings.data)):
        await asyncio.sleep(0.005)
    (cause,) = kept[0]["causes"]
    assert "scheme: stripe" in cause["says"]
    assert KEY not in str(kept)
