"""Sentence of a trace in twelve situations, each played by the worker in a stepped world."""

import asyncio
import html
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from admission.console import Api
from simulation.faults import calm
from simulation.story import Story

RULES = """
rules:
  - name: hours
    on: message.received
    if: event.body.keyword('hours')
    do: [{reply: We are open from 9 to 5.}]
  - name: gold
    on: message.received
    if:
      - event.body.size() > 2
      - event.body.keyword('gold')
    do: [{reply: "Hello, gold customer."}]
  - name: refund
    on: message.received
    state: draft
    if: event.body.keyword('refund')
    do: [{reply: You get it back.}]
  - name: tell
    on: message.received
    if: event.body.keyword('tell')
    do: [{send: {to: +15550100078, body: Somebody has asked., policy: at_most_once}}]
  - name: book
    on: message.received
    if: event.body.keyword('book')
    do:
      - reply: For which day?
      - wait_for: {on: message.received, timeout: 7d}
      - reply: Noted.
  - name: line
    on: call.received
    do: [{say: Hello.}]
"""
ANN, OURS = "+15551000001", "+15550000001"
LAST = "where type = 'message.received' order by id desc limit 1"
Begin = Callable[..., Story]


def sentence(story: Story, which: str = "order by id limit 1") -> str:
    """What the page of a trace says about an event on top."""
    ((uid,),) = story.ask(f"select uid from events {which}")

    async def read(api: Api) -> str:
        answer = await api.client.get(f"http://node/console/t/{uid}")
        assert answer.status_code == 200, answer.text
        return answer.text

    api = Api(story._settings, "admin", unmasked=True)
    try:
        page = asyncio.run(read(api))
    finally:
        api.close()
    found = re.search(r'<p class="sentence \w+">(.*?)</p>', page, re.S)
    assert found, page
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", found[1])).split())


def text(story: Story, body: str, *creates: str, seconds: float = 120.0) -> None:
    """Ann writes; the next requests that create something meet these faults."""
    story.twilio.next_create = list(creates)
    story.receive(story.text(body, ANN))
    story.run(story.clock.now + seconds)


def answered(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "hours")
    return sentence(story)


def silent(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "hello")
    return sentence(story)


def opted_out(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "STOP")
    text(story, "hours")
    return sentence(story, LAST)


def quiet_hours(begin: Begin) -> str:
    story = begin(rules=RULES, quiet_hours="00:00-23:59", quiet_zone="UTC")
    text(story, "tell")
    return sentence(story)


def lost_answer(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "hours", "timeout_after")
    return sentence(story)


def parked(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "tell", "timeout_before", seconds=900.0)
    return sentence(story)


def undelivered(begin: Begin) -> str:
    story = begin(replace(calm(), undelivered=1.0), rules=RULES)
    text(story, "hours")
    return sentence(story)


def replayed(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "hours")
    assert story.life is not None
    ((uid,),) = story.ask("select uid from events order by id limit 1")
    story.life.loop.create_task(story.life.control.handle({"op": "replay", "uid": uid}))
    story.run(story.clock.now + 60.0)
    return sentence(story, "where source = 'replay'")


def waited(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "book")
    waits = sentence(story)
    text(story, "Monday")
    return f"{waits} {sentence(story, LAST)}"


def call_with_fallback(begin: Begin) -> str:
    """The worker is dead when it comes, and the call is over when it is answered."""
    story = begin(rules=RULES)
    story.kill()
    fields = {"CallSid": f"CA{1:032x}", "From": ANN, "To": OURS, "CallStatus": "ringing"}
    story.receive(story.entry("call", "", {**fields, "Direction": "inbound"}))
    story.run(100.0)
    story.start()
    story.run(200.0)
    return sentence(story)


def draft(begin: Begin) -> str:
    story = begin(rules=RULES)
    text(story, "refund")
    return sentence(story)


def duplicate(begin: Begin) -> str:
    """Twilio sends one webhook twice: there is one event, answered once."""
    story = begin(rules=RULES)
    entry = story.text("hours", ANN)
    story.receive(entry)
    story.run(60.0)
    story.receive(entry)
    story.run(120.0)
    assert story.ask("select count(*) from events where type = 'message.received'") == [(1,)]
    return sentence(story)


ANSWERED = (
    r"● ?hours answered within \d+ ms; Twilio took it at once; the phone has it after [\d.]+ s\."
)
SITUATIONS: dict[Callable[[Begin], str], str] = {
    answered: ANSWERED,
    silent: r"· ?Nobody answered: 5 rules looked, gold came closest: line 2 does not hold: event.*",
    opted_out: r"▲ ?Not sent: \+15551000001 opted out of \S+ \(text 'STOP', 2026-01-01T.*",
    quiet_hours: r"▲ ?Held until 01 Jan 2026 04:59:00: quiet hours for \+15550100078\.",
    lost_answer: r"● ?hours answered within \d+ ms; Twilio's answer got lost, but Twilio has it; "
    r"the phone has it after [\d.]+ s\.",
    parked: r"◆ ?A person decides: no record of it was found; at_most_once never sends again\.",
    undelivered: r"■ ?hours answered .*; it did not arrive: error 30003: Handset is off, .*",
    replayed: ANSWERED.replace("answered", "(answered|texted)"),
    waited: r"● ?book answered .* book waits until 08 Jan 2026 00:00:00 for message\.received\. "
    r"● ?book had waited for it: took it as the answer to “For which day\?”\.",
    call_with_fallback: r"■ ?line answered only after 1 min 40 s; until then the caller heard the "
    r"fallback; Twilio refused it, error 20404: .*",
    draft: r"◆ ?refund has written a draft, which waits for a person's yes\.",
    duplicate: ANSWERED,
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_the_sentence_says_what_happened(begin: Begin, situation: Callable[[Begin], str]) -> None:
    assert re.fullmatch(SITUATIONS[situation], situation(begin))
