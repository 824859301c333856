"""The bundled plugin retry_failed, with what an author has: the kit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback import PlaceCall, Say, SendMessage
from ringback.testing import Bench, message_status, settled, sms
from ringback.testing.events import OURS, THEIRS

PLUGIN = Path(__file__).parents[2] / "plugins" / "retry_failed.py"
WA = "whatsapp:"
GERMAN = "+4930123456"
OTHER = "+15557650000"


def bench(**config: Any) -> Bench:
    """The plugin, for the texts of one rule."""
    return Bench.load(PLUGIN, config={"retry_failed": {"rules": ["news"], **config}})


def tried(
    code: int, wish: SendMessage | None = None, *, rule: str = "news", **config: Any
) -> SendMessage | PlaceCall | None:
    """What is tried in place of a text that failed with this code."""
    text = wish or SendMessage(to=THEIRS, body="hello", sender=OURS)
    ended = settled(text, state="failed", error_code=code, rule=rule)
    reaction = bench(**config).settle(ended)
    assert len(reaction.actions) <= 1
    action = reaction.actions[0] if reaction.actions else None
    assert action is None or isinstance(action, SendMessage | PlaceCall)
    return action


def text(action: SendMessage | PlaceCall | None) -> SendMessage:
    assert isinstance(action, SendMessage)
    return action


def test_the_same_leaves_later_where_that_can_help() -> None:
    """30008: half an hour later."""
    again = text(tried(30008))
    assert (again.to, again.sender, again.body) == (THEIRS, OURS, "hello")
    assert again.retries == 1
    assert again.not_before == "2026-03-04T17:30:00.000Z"


@pytest.mark.parametrize("code", [21610, 30004, 30005, 30007, 63050, 21211, 12345, 0])
def test_what_cannot_help_is_not_tried(code: int) -> None:
    """Whoever has left, numbers that do not exist, filters, and what nobody knows."""
    every: Any = {"senders": [OTHER], "channels": ["whatsapp", "sms", "call"], "tries": 5}
    assert tried(code) is None
    assert tried(code, **every) is None


def test_nothing_is_tried_for_a_rule_that_is_not_named() -> None:
    assert tried(30008, rule="other") is None
    assert tried(30008, rule="other", rules=["*"]) is not None
    assert Bench.load(PLUGIN).settle(settled(state="failed", error_code=30008)).actions == ()


def test_each_text_is_tried_so_often_and_waits_longer_each_time() -> None:
    """30017 may be tried often; a repeat of 30008 may reach a person twice, so it is tried once."""
    first = text(tried(30017, tries=2))
    second = text(tried(30017, first, rule="retry_failed.on_settled", tries=2))
    assert (second.retries, second.not_before > first.not_before) == (2, True)
    assert tried(30017, second, rule="retry_failed.on_settled", tries=2) is None
    assert tried(30008, text(tried(30008)), rule="retry_failed.on_settled", tries=5) is None


def test_a_text_that_is_good_for_a_short_time_is_not_sent_when_it_is_over() -> None:
    wish = SendMessage(to=THEIRS, body="your code is 4711", sender=OURS, send_by=600)
    assert tried(30008, wish) is None


def test_another_sender_takes_over_when_the_sender_is_at_fault() -> None:
    """30034: not registered. Each of the list once."""
    senders = [OURS, OTHER, "MG" + "1" * 32]
    again = text(tried(30034, senders=senders, tries=5))
    assert (again.sender, again.not_before) == (OTHER, "")
    last = text(tried(30034, again, rule="retry_failed.on_settled", senders=senders, tries=5))
    assert (last.sender, last.messaging_service_sid) == ("", senders[2])
    assert tried(30034, last, rule="retry_failed.on_settled", senders=senders, tries=5) is None
    assert tried(30034) is None


def test_another_channel_takes_over_in_its_order() -> None:
    """63024: not on WhatsApp; then a text; and a landline is called."""
    wish = SendMessage(to=WA + GERMAN, body="hello", sender=WA + OURS)
    order = ["whatsapp", "sms", "call"]
    again = text(tried(63024, wish, channels=order, tries=3))
    assert (again.to, again.sender, again.retries) == (GERMAN, OURS, 1)
    rule = "retry_failed.on_settled"
    called = tried(30006, again, rule=rule, channels=order, tries=3, numbers={"call": OTHER})
    assert called == PlaceCall(GERMAN, (Say("hello"),), sender=OTHER)
    assert tried(30006, again, rule=rule, channels=["whatsapp", "sms"], tries=3) is None


def test_marketing_of_whatsapp_is_tried_a_day_later_but_not_in_the_usa() -> None:
    """63049; there, another channel is what helps."""
    german = SendMessage(to=WA + GERMAN, body="hello", sender=WA + OURS)
    assert text(tried(63049, german)).not_before
    american = replace(german, to=WA + "+12125550100")
    assert tried(63049, american) is None
    assert text(tried(63049, american, channels=["whatsapp", "sms"])).to == "+12125550100"


def test_in_a_storm_of_failures_nothing_is_tried() -> None:
    """A third of all texts fail with the class: that is no matter of single texts."""
    it = bench()
    for number in range(30):
        status = "undelivered" if number % 3 == 0 else "delivered"
        it.react(message_status(status, error_code=30008 if number % 3 == 0 else 0))
    failed = settled(state="failed", error_code=30008, rule="news")
    assert it.settle(failed).actions == ()
    it.wait("1h")
    assert len(it.settle(failed).actions) == 1


def test_a_later_try_waits_in_the_gate_and_who_leaves_meanwhile_gets_none() -> None:
    it = bench()
    failed = settled(state="failed", error_code=30008, rule="news")
    (held,) = it.settle(failed).held
    assert (held.state, held.reason) == ("deferred", "it is to leave at 2026-03-04T17:30:00.000Z")
    assert it.wait("29m").texts == []
    assert it.wait("2m").texts == ["hello"]
    it.settle(failed)
    it.react(sms("STOP"))
    assert it.wait("1h").texts == []
