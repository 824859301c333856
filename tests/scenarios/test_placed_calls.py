"""Calls of ours as conversations: who answers is asked, a machine hears a message, else comes else.

On a node that is ended and begun anew between all steps, with the webhooks that Twilio makes.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from admission.node import Loaded, Node, settings_of
from admission.stories import OTHER, OURS, PEOPLE, Happens, text
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.store.queries.action_words import detail

ANN, BOB = PEOPLE[:2]
SID = f"CA{7:032x}"
RULES = """
rules:
  - name: remind
    on: message.received
    do:
      - call:
          to: "${{ event.body }}"
          timeout: 20s
          do:
            - gather:
                say: Press 1 to confirm.
                digits: 1
                as: key
                again: Not that.
                choices: {"1": [{say: Thank you.}]}
                else: [{say: Goodbye.}]
            - hangup
          machine: [{say: Please call us.}]
          else: [{reply: "No: ${{ reply.status }}"}]
      - reply: "Key ${{ vars.key }} of ${{ reply.from }}."
"""


class Story:
    """A node in one folder through several lives, and the calls that it has placed."""

    def __init__(self, folder: Path, rules: str = RULES) -> None:
        path = folder / "rules.yaml"
        path.write_text(rules)
        found = load_rules(path)
        assert found.problems == []
        self.loaded = Loaded(RuleSet(found.rules, found.language), PluginSet())
        self.settings = settings_of(folder, {"public_url": "https://hooks.example.org"})
        self.rows, self.time, self.leads = 0, 0.0, ""

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Node]:
        node = Node(self.settings, self.loaded)
        node.rows, node.time = self.rows, max(self.time, node.time)
        await node.start({})
        try:
            yield node
            await node.wait(1.0)
        finally:
            self.rows, self.time = node.rows, node.time
            await node.close()

    async def begins(self, body: str = BOB) -> None:
        async with self.life() as node:
            await node.happen(text(body))

    async def step(self, **fields: str) -> str:
        """What the callee hears at the next step of the call that was placed last."""
        async with self.life() as node:
            placed = "select params from actions where kind = 'place_call' order by id"
            last = node.reader.execute(placed).fetchall()[-1][0]
            nonce = self.leads or json.loads(last)["step"]
            heard = await node.hears("call/step", nonce, **self.callee(**fields))
            self.leads = "".join(re.findall(r"call/step/([a-z0-9]+)", heard)[:1])
            return heard

    def callee(self, **fields: str) -> dict[str, str]:
        return {
            "CallSid": SID, "From": OURS, "To": BOB, "Direction": "outbound-api",
            "CallStatus": "in-progress", **fields,
        }  # fmt: skip

    async def reports(self, status: str) -> None:
        """Twilio's callback, to the address of the attempt."""
        async with self.life() as node:
            tag = node.reader.execute("select tag from attempts order by id desc").fetchone()[0]
            said = self.callee(CallStatus=status, CallbackSource="call-progress-events")
            await node.record(Happens("call/status", said), tag)
            await node.happen()

    async def said(self) -> list[str]:
        async with self.life() as node:
            rows = node.reader.execute(
                "select params from actions where kind = 'send_message' order by id"
            )
            return [json.loads(params)["body"] for (params,) in rows]

    async def ended(self) -> list[tuple[str, str]]:
        async with self.life() as node:
            rows = node.reader.execute("select state, reason from runs order by id")
            return [(state, reason) for state, reason in rows]


async def test_who_answers_is_asked_through_restarts(tmp_path: Path) -> None:
    """A key that is none of the choices is asked for again; the run goes on behind the call."""
    story = Story(tmp_path)
    await story.begins()
    for status in ("initiated", "ringing", "in-progress"):
        await story.reports(status)
    assert "Press 1 to confirm." in await story.step(AnsweredBy="human")
    assert "Not that. Press 1" in (await story.step(Digits="7")).replace("</Say><Say>", " ")
    heard = await story.step(Digits="1")
    assert heard.endswith("<Say>Thank you.</Say><Hangup /></Response>")
    await story.reports("completed")
    assert await story.said() == [f"Key 1 of {OURS}."]
    assert await story.ended() == [("done", "")]


async def test_the_journal_and_the_trace_have_no_secret_of_its_address(tmp_path: Path) -> None:
    """Without an auth token the address has the secret in it by which Twilio is known."""
    story = Story(tmp_path)
    story.settings = replace(story.settings, auth_tokens=(), hook_secret="canary" * 4)
    async with story.life() as node:
        await node.happen(text(BOB))
        found = "select params from actions where kind = 'place_call'"
        params = node.reader.execute(found).fetchone()[0]
    assert "canary" not in params
    assert detail("place_call", json.loads(params)) == f"to {BOB}: a conversation"
    back = "https://hooks.example.org/twilio/~canary/call/step/abc"
    assert detail("answer_call", {"verbs": [{"verb": "record", "action": back}]}) == "record"


async def test_a_machine_hears_its_own_steps(tmp_path: Path) -> None:
    story = Story(tmp_path)
    await story.begins()
    assert "<Say>Please call us.</Say>" in await story.step(AnsweredBy="machine_end_beep")
    assert await story.said() == [f"Key  of {OURS}."]


Do = Callable[[Story], Awaitable[object]]


@pytest.mark.parametrize(
    ("happens", "says"),
    [
        ([lambda story: story.reports("busy")], "No: busy"),
        ([lambda story: story.reports("no-answer")], "No: no-answer"),
        ([lambda story: story.reports("failed")], "No: failed"),
        ([lambda story: story.reports("canceled")], "No: canceled"),
        (
            [lambda story: story.step(AnsweredBy="human"), lambda s: s.reports("completed")],
            "No: completed",
        ),
    ],
    ids=["busy", "no-answer", "failed", "canceled", "hung-up"],
)
async def test_nobody_answers_or_they_hang_up(happens: list[Do], says: str, tmp_path: Path) -> None:
    story = Story(tmp_path)
    await story.begins()
    for each in happens:
        await each(story)
    assert (await story.said())[0] == says
    assert [state for state, _ in await story.ended()] == ["done"]


async def test_a_call_that_the_gate_refuses_is_one_that_nobody_answers(tmp_path: Path) -> None:
    """Its event leads to `else`, though no rule listens to it."""
    story = Story(tmp_path)
    await story.begins(OURS)
    said, (end,) = await story.said(), await story.ended()
    assert said[0].startswith("No:")
    assert end[0] == "done"
    assert "nobody answered" in end[1]


async def test_a_call_of_which_nothing_is_heard_ends_in_its_time(tmp_path: Path) -> None:
    """Within the time to ring once Twilio has dialled, else within a day; and what is late finds
    nobody who waits."""
    for number, (rings, seconds) in enumerate(((True, 150.0), (False, 86_401.0))):
        folder = tmp_path / str(number)
        folder.mkdir()
        story = Story(folder)
        await story.begins()
        if rings:
            await story.reports("ringing")
        async with story.life() as node:
            await node.wait(seconds)
        assert (await story.said())[0] == "No: "
        assert "<Say" not in await story.step(AnsweredBy="human")


async def test_two_calls_of_one_person_are_told_apart(tmp_path: Path) -> None:
    """By the address that Twilio asks, though our number and theirs are the same."""
    rules = RULES.replace("Press 1 to confirm.", "Press 1, ${{ event.from }}.")
    story = Story(tmp_path, rules)
    async with story.life() as node:
        await node.happen(text(BOB, ANN), text(BOB, OTHER))
        steps = [
            json.loads(params)["step"]
            for (params,) in node.reader.execute(
                "select params from actions where kind = 'place_call' order by id"
            )
        ]
        assert len(set(steps)) == 2
        for number, (step, whose) in enumerate(zip(steps, (ANN, OTHER), strict=True)):
            fields = story.callee(CallSid=f"CA{number:032x}", AnsweredBy="human")
            assert f"Press 1, {whose}." in await node.hears("call/step", step, **fields)


async def test_a_caller_in_a_queue_and_who_is_called_are_two_calls(tmp_path: Path) -> None:
    """What stands in the call is said to the callee, what stands behind it to the caller."""
    rules = """
rules:
  - name: line
    on: call.received
    do:
      - enqueue: support
      - call:
          to: "+15550100001"
          do:
            - gather: {say: Press 1., digits: 1, choices: {"1": [{say: You have them.}]}}
      - redirect: https://example.org/agent.xml
"""
    story = Story(tmp_path, rules)
    caller = f"CA{1:032x}"
    async with story.life() as node:
        rings = {"From": ANN, "To": OURS, "CallStatus": "ringing", "Direction": "inbound"}
        assert "<Enqueue" in await node.hears("call", CallSid=caller, **rings)
        await node.wait(11.0)
    assert "Press 1." in await story.step()
    assert "You have them." in await story.step(Digits="1")
    async with story.life() as node:
        (params,) = node.reader.execute(
            "select params from actions where kind = 'answer_call' order by id desc"
        ).fetchone()
    assert json.loads(params)["call_sid"] == caller
    assert "agent.xml" in params


HUNT = """
rules:
  - name: hunt
    on: call.received
    do:
      - dial:
          numbers: ["+14155550177", "sip:anna@example.com", "client:ben"]
          in_turn: true
          record: true
          whisper: For ${{ event.to }}.
          screen: Press 1 to take it.
          else: [{say: Nobody is here.}]
"""
LEG = "CA" + "b" * 32


@pytest.mark.parametrize(("key", "hears"), [("1", "<Pause"), ("2", "<Hangup")])
async def test_who_picks_up_is_asked_whether_they_take_the_call(
    key: str, hears: str, tmp_path: Path
) -> None:
    """The run answers on the leg of who was rung, and goes on when it is known how that went."""
    story = Story(tmp_path, HUNT)
    caller = {"CallSid": SID, "From": ANN, "To": OURS, "Direction": "inbound"}
    leg = {
        "CallSid": LEG, "ParentCallSid": SID, "From": ANN, "To": "+14155550177",
        "Direction": "outbound-dial", "CallStatus": "in-progress",
    }  # fmt: skip
    async with story.life() as node:
        twiml = await node.hears("call", CallStatus="ringing", **caller)
    whisper = re.findall(r'<(Number|Sip|Client) url="https://[^"]*/call/step/([a-z0-9]+)">', twiml)
    assert [noun for noun, _ in whisper] == ["Number", "Sip", "Client"]
    assert 'sequential="true" record="record-from-answer-dual"' in twiml
    assert 'recordingStatusCallback="https://hooks.example.org/twilio/recording"' in twiml
    async with story.life() as node:
        asked = await node.hears("call/step", whisper[0][1], **leg)
        assert f"<Say>For {OURS}.</Say><Gather" in asked
        assert "Press 1 to take it." in asked
    async with story.life() as node:
        nonce = re.findall(r"call/step/([a-z0-9]+)", asked)[0]
        assert hears in await node.hears("call/step", nonce, Digits=key, **leg)
    async with story.life() as node:
        went = {"1": "completed", "2": "no-answer"}[key]
        nonce = re.findall(r'action="https://[^"]*/call/step/([a-z0-9]+)', twiml)[0]
        live = {**caller, "CallStatus": "in-progress", "DialCallStatus": went}
        heard = await node.hears("call/step", nonce, **live)
    assert ("Nobody is here." in heard) == (key == "2")
    assert [state for state, _ in await story.ended()] == ["done"]
