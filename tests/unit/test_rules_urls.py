"""Values inside of addresses: encoded where they stand, so that none adds a parameter or a path."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ringback.errors import BadRequest
from ringback.events import Event
from ringback.gateway.safe_http import Outbound
from ringback.rules.files.load import load_rules
from ringback.rules.interpreter.machine import begin
from ringback.rules.language.scope import NoFacts

NOON = datetime(2026, 11, 20, 17, 0, tzinfo=UTC)
OURS, THEIRS = "+15557654321", "+15551234567"
BODY = "look A&admin=1 #/?é"
SAFE = "look%20A%26admin%3D1%20%23%2F%3F%C3%A9"


def planned(tmp_path: Path, step: str, *, on: str = "message.received", body: str = BODY) -> Any:
    """What the step becomes."""
    source = f"version: 1\nrules:\n  - name: r\n    on: {on}\n    do:\n      - {step}\n"
    (tmp_path / "rules.yaml").write_text(source)
    loaded = load_rules(tmp_path)
    assert loaded.problems == []
    event = Event(
        "evt_1", on, NOON, NOON, sender=THEIRS, recipient=OURS, subject_sid="CA1",
        conversation=f"{OURS}/{THEIRS}",
        fields={"Body": body, "CallSid": "CA1", "CallerName": body, "MediaUrl0": body},
    )  # fmt: skip
    [rule] = loaded.rules
    return begin(rule, event, NoFacts(), NOON)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://e.org/?q=${{ event.body }}", f"https://e.org/?q={SAFE}"),
        ("https://e.org?q=${{ event.body }}&r=1", f"https://e.org?q={SAFE}&r=1"),
        ("https://e.org/?n=${{ event.from }}", "https://e.org/?n=%2B15551234567"),
        ("https://e.org/c/${{ event.body }}/x", f"https://e.org/c/{SAFE}/x"),
        ("https://e.org/c#${{ event.body }}", f"https://e.org/c#{SAFE}"),
        ("https://${{ event.body }}/x", f"https://{SAFE}/x"),
        ("https://${{ 'shop.e.org:8443' }}/x", "https://shop.e.org:8443/x"),
        ("${{ 'https://e.org/a?b=c' }}", "https://e.org/a?b=c"),
        ("${{ 'https://e.org/a' }}?q=${{ event.body }}", f"https://e.org/a?q={SAFE}"),
        ("https://e.org/a%20b?c=d&e=${{ 'f g' }}", "https://e.org/a%20b?c=d&e=f%20g"),
    ],
)
def test_a_value_in_the_address_of_http_is_encoded(tmp_path: Path, url: str, expected: str) -> None:
    [action] = planned(tmp_path, f'http: {{url: "{url}"}}').actions
    assert action.url == expected


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("https://e.org/c/${{ event.body }}/orders", ".."),
        ("https://e.org/c/${{ event.body }}", "."),
        ("https://e.org/c/.${{ event.body }}?a=b", "."),
        ("https://e.org/../c/${{ event.body }}${{ event.body }}/x", "."),
        ("${{ 'https://e.org/a' }}/${{ event.body }}/x", ".."),
    ],
)
def test_a_value_that_climbs_in_an_address_fails_the_step(
    tmp_path: Path, url: str, body: str
) -> None:
    """Whoever texts `..` asks for no other path of the same host, however it is encoded."""
    made = planned(tmp_path, f'http: {{url: "{url}"}}', body=body)
    assert made.actions == ()
    assert "that is another one" in made.end
    for harmless in ("...", "..a", "a..", "../.."):
        [action] = planned(tmp_path, f'http: {{url: "{url}"}}', body=harmless).actions
        assert harmless.replace("/", "%2F") in action.url


@pytest.mark.parametrize(
    ("step", "on", "name"),
    [
        ("notify: {text: x, webhook: 'https://e.org/?q=${{ event.body }}'}",
         "message.received", "url"),
        ("reply: {body: x, media: ['https://e.org/?q=${{ event.body }}']}",
         "message.received", "media"),
        ("call: {to: '+15551230000', url: 'https://e.org/?q=${{ event.body }}'}",
         "message.received", "url"),
        ("dequeue: {queue: QU0123456789abcdef0123456789abcdef, "
         "url: 'https://e.org/?q=${{ event.body }}'}", "message.received", "url"),
        ("play: 'https://e.org/?q=${{ event.body }}'", "call.received", "url"),
        ("redirect: 'https://e.org/?q=${{ event.body }}'", "call.received", "url"),
        ("enqueue: {queue: q, wait_url: 'https://e.org/?q=${{ event.body }}'}",
         "call.received", "wait_url"),
    ],
)  # fmt: skip
def test_so_it_is_in_every_other_address(tmp_path: Path, step: str, on: str, name: str) -> None:
    [action] = planned(tmp_path, step, on=on).actions
    made = action.verbs[0] if on == "call.received" else action
    found = getattr(made, name)
    assert (found[0] if isinstance(found, tuple) else found) == f"https://e.org/?q={SAFE}"


def test_a_text_is_no_address(tmp_path: Path) -> None:
    [action] = planned(tmp_path, 'reply: "see https://e.org/?q=${{ event.body }}"').actions
    assert action.body == f"see https://e.org/?q={BODY}"


@pytest.mark.parametrize("header", ['{X-A: "a\\nX-B: b"}', '{"X-A\\r\\nX-B": b}'])
def test_a_header_with_a_line_break_is_a_mistake_of_the_rule(tmp_path: Path, header: str) -> None:
    (tmp_path / "rules.yaml").write_text(
        "version: 1\nrules:\n  - name: r\n    on: message.received\n    do:\n"
        f"      - http: {{url: https://e.org, headers: {header}}}\n"
    )
    [problem] = load_rules(tmp_path).problems
    assert "has a line break" in problem.message


@pytest.mark.parametrize("value", ["a\r\nX-B: b", "a\nb", "a\rb"])
async def test_a_header_that_gets_a_line_break_is_not_sent(tmp_path: Path, value: str) -> None:
    step = "http: {url: 'https://e.org', headers: {X-A: '${{ event.body }}'}}"
    [action] = planned(tmp_path, step, body=value).actions
    async with Outbound(allow=("127.0.0.1:9",)) as outbound:
        with pytest.raises(BadRequest, match="line break"):
            await outbound.request("POST", "http://127.0.0.1:9/", headers=action.headers)
