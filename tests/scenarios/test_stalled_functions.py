"""Functions of plugins that do not answer: events that need them wait aside, the others go on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from ringback.config import Settings
from ringback.errors import PluginBlocked
from ringback.events import Event
from ringback.plugins.manifest import manifest_of, read_manifest
from ringback.plugins.requests import FunctionCalls, Request
from ringback.project import Project
from ringback.runtime import iso
from ringback.store.log import Entry
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.store.upkeep.rebuild import rebuild
from ringback.testing import OURS
from ringback.worker.match import matcher
from scenarios.test_rules_timing import ANN, BOB, World
from simulation.calls import Here

PLUGIN = """
from ringback import hookimpl

@hookimpl
def register_functions(register):
    register("{name}", lambda text: "bad" in text, args=["string"], returns="bool")
"""
RULES = """
version: 1
rules:
  - name: culprit
    on: [message.received, call.received, action.settled]
    if: ["event.body.contains('word') || event.type != 'message.received'",
         "hang_a(event.body + event.field('CallerName')) || hang_b(event.body) ||
          hang_c(event.body)"]
    do: [{notify: "${{ event.body }}"}]
  - name: good
    on: message.received
    do: [{notify: "good ${{ event.body }}"}]
"""
ASKS = """
  - name: asks
    on: message.received
    if: event.body == 'ask'
    do:
      - wait_for:
          timeout: 1m
          do: [{notify: "heard ${{ reply.body }}"}]
          else: [{notify: "nothing from ${{ event.from }}"}]
  - name: alarm
    on: message.received
    key: "${{ event.body.contains('7') ? 'order 7' : event.body }}"
    if: event.body.startsWith('order')
    unless: message.received
    within: 1m
    do: [{notify: "unpaid ${{ event.body }}"}]
"""
PLUGINS = ("hang_a", "hang_b", "hang_c")


class Stalled(Here):
    """Carries requests out here; a function with `bad` in its text blocks until it is let go."""

    released: asyncio.Event
    asked: Counter[tuple[str, str]]

    async def call(self, request: Request, *, limit: float) -> Any:
        if isinstance(request, FunctionCalls):
            for name, (text, *_) in request.calls:
                if f"bad {name}" in text or "bad call" in text:
                    if len(request.calls) == 1:
                        self.asked[name, text] += 1
                    await self.released.wait()
                    owner = f"{request.plugin}.{name}"
                    raise PluginBlocked(request.plugin, f"took longer than {limit:g} s", owner)
        return await super().call(request, limit=limit)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(matcher, "PATIENCE_SECONDS", 0.03)
    monkeypatch.setattr("ringback.worker.questions.STALL_SECONDS", 0.01)
    files = {f"plugins/{name}.py": PLUGIN.format(name=name) for name in PLUGINS}
    for path, text in {**files, "rules/all.yaml": RULES + ASKS}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    real = Project.load(Settings(project=tmp_path))
    assert real.problems == []
    data = manifest_of(real.plugins, real.ruleset.by_name, ())
    told = Project.described(real.settings, read_manifest(data))
    Stalled.released, Stalled.asked = asyncio.Event(), Counter()
    world = World(tmp_path, told.ruleset, calls=Stalled, hosts=real)
    world.loaded.plugins = told.plugins
    await world.boot()
    yield world
    Stalled.released.set()
    await world.close()


def rows(world: World, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(connect_reader(world.settings.data / "journal.db")) as journal:
        return journal.execute(query, values).fetchall()


def fired(world: World, rule: str = "good") -> list[str]:
    """The texts of the notices of a rule, in the order of their planning."""
    found = rows(world, "select json_extract(params, '$.text') from actions where rule = ?", rule)
    return [row[0].removeprefix("good ") for row in found]


async def until(world: World, holds: Callable[[], object]) -> None:
    """Let the worker work until something holds."""
    async with asyncio.timeout(10):
        while not holds():
            await world.work()
            await asyncio.sleep(0.001)


async def everybody(world: World, count: int) -> list[str]:
    """So many people text, and six more whose texts make three functions of three plugins block."""
    good = [f"ping {number}" for number in range(count)]
    for number, body in enumerate(good):
        if number < 6:
            name = PLUGINS[number % 3]
            await world.record(f"+1415556{number:04d}", f"word bad {name} {number}")
        await world.record(f"+1415557{number:04d}", body)
    return good


async def test_the_others_of_a_batch_are_answered_while_functions_of_three_plugins_block(
    world: World,
) -> None:
    """Nobody waits for the limit of a function but those who need it; these have their verdict
    when it is over. They are asked side by side, and each question once."""
    good = await everybody(world, 20)
    await until(world, lambda: len(fired(world)) >= len(good) and len(Stalled.asked) == 6)
    assert fired(world) == good
    assert not rows(world, "select 1 from events where verdicts like '%took longer%'")
    Stalled.released.set()
    await until(world, lambda: len(fired(world)) == len(good) + 6)
    assert set(Stalled.asked.values()) == {1}
    struck = rows(world, "select rule, count from strikes order by rule")
    assert [(rule, count) for rule, count in struck] == [(f"{name}.{name}", 2) for name in PLUGINS]
    assert world.engine.matcher.cursor == world.texts


async def test_what_a_person_writes_next_waits_behind_and_nobody_else(world: World) -> None:
    """Also what comes in later batches, and the same delivery once more."""
    await world.record(ANN, "word bad hang_a")
    await world.record(ANN, "second")
    await world.record(BOB, "first of Bob")
    await world.work()
    assert fired(world) == ["first of Bob"]  # also for `alarm`, whose key everybody may share
    await world.record(ANN, "third")
    world.texts = 0
    await world.record(ANN, "word bad hang_a")  # delivered again
    world.texts = 4
    await world.record(BOB, "second of Bob")
    await until(world, lambda: len(fired(world)) == 2)
    assert fired(world) == ["first of Bob", "second of Bob"]
    Stalled.released.set()
    await until(world, lambda: len(fired(world)) == 5)
    assert fired(world)[2:] == ["word bad hang_a", "second", "third"]
    assert Stalled.asked["hang_a", "word bad hang_a"] == 1


@pytest.mark.parametrize("words", [("START", "STOP"), ("STOP", "START")])
async def test_stop_and_start_keep_their_order_behind_a_function_that_blocks(
    world: World, words: tuple[str, str]
) -> None:
    """A text that says START in Twilio's own word waits for an answer, and STOP comes."""
    for word, body in zip(words, ("word bad hang_a", "again"), strict=True):
        world.texts += 1
        form = {
            "MessageSid": f"SM{world.texts:032x}", "AccountSid": world.settings.account_sid,
            "From": ANN, "To": OURS, "Body": body, "OptOutType": word, "SmsStatus": "received",
        }  # fmt: skip
        text = urlencode(form).encode()
        kind = "application/x-www-form-urlencoded"
        await world.log.append(
            Entry(iso(world.now), "message", "signed", "webhook", "", kind, text)
        )
    await world.record(BOB, "first of Bob")
    await until(world, lambda: fired(world))
    assert rows(world, "select 1 from consents") == []
    Stalled.released.set()
    await until(world, lambda: len(fired(world)) == 3)
    ((state,),) = rows(world, "select distinct state from consents")
    assert state == {"START": "in", "STOP": "out"}[words[-1]]


async def test_a_worker_that_ends_meanwhile_finds_what_waited_and_repeats_nothing(
    world: World,
) -> None:
    """The cursor stays in front of what waits, and what was written behind it is known."""
    good = await everybody(world, 8)
    await until(world, lambda: len(fired(world)) == len(good))
    assert world.engine.matcher.cursor == 0
    await world.restart()
    Stalled.released.set()
    await until(world, lambda: world.engine.matcher.cursor == world.texts)
    await until(world, lambda: len(fired(world)) == world.texts)
    assert len(set(fired(world))) == world.texts


async def test_a_rebuilt_journal_keeps_what_was_matched_before_its_turn(world: World) -> None:
    await world.record(ANN, "word bad hang_a")
    await world.record(BOB, "early")
    await until(world, lambda: fired(world))
    await world.end()
    rebuild(world.settings.data, lambda: world.runtime.uid("evt"), "before")
    Stalled.released.set()
    await world.boot()
    await until(world, lambda: world.engine.matcher.cursor == world.texts)
    assert sorted(fired(world)) == ["early", "word bad hang_a"]


async def test_a_function_that_asks_for_ever_new_things_is_judged_without_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event waits for ever: after so many tries it is judged as it is."""
    monkeypatch.setattr(matcher, "MOST_TRIES", 0)
    await world.record(ANN, "word bad hang_a")
    await until(world, lambda: fired(world))
    assert rows(world, "select 1 from events where verdicts like '%was not asked yet%'")


async def test_the_others_go_on_while_a_call_waits_for_a_function(world: World) -> None:
    """A row that is matched ahead of the others is asked about before its turn."""
    form = {
        "CallSid": "CA" + "1" * 32, "AccountSid": world.settings.account_sid, "From": ANN,
        "To": OURS, "CallStatus": "ringing", "Direction": "inbound", "CallerName": "bad call",
    }  # fmt: skip
    kind = "application/x-www-form-urlencoded"
    body = urlencode(form).encode()
    await world.log.append(Entry(iso(world.now), "call", "signed", "webhook", "", kind, body))
    world.texts += 1
    asked = asyncio.ensure_future(world.engine._match_row(1))
    await asyncio.sleep(0)
    await world.record(BOB, "beside a call")
    await until(world, lambda: fired(world))
    assert not asked.done()
    assert Stalled.asked["hang_a", "bad call"] == 1
    Stalled.released.set()
    await asked
    await until(world, lambda: world.engine.matcher.cursor == 2)
    assert len(rows(world, "select 1 from events where type = 'call.received'")) == 1


async def test_the_others_go_on_while_a_proven_claim_waits_for_a_function(world: World) -> None:
    await world.record(ANN, "word bad hang_a", trust="claimed")
    await until(world, lambda: rows(world, "select 1 from events"))
    ((uid,),) = rows(world, "select uid from events")
    proof = asyncio.ensure_future(world.engine._proof(uid, "confirmed", ""))
    await asyncio.sleep(0)
    await world.record(BOB, "beside a claim")
    await until(world, lambda: fired(world))
    assert not proof.done()
    Stalled.released.set()
    await proof
    await until(world, lambda: len(fired(world)) == 2)


async def test_events_of_our_own_wait_aside_too(world: World) -> None:
    """Of three that are recorded, the two that need no answer are matched."""
    moment = world.now
    base = Event("evt_0", "action.settled", moment, moment, source="internal", trust="signed")
    for number, body in enumerate(("", "bad call", "")):
        event = replace(
            base, uid=f"evt_{number}", subject_sid=f"act_{number}", dedupe_key=f"own:{number}",
            fields={"Body": body},
        )  # fmt: skip
        assert await world.journal.events.record_internal(event)
    await until(world, lambda: len(rows(world, OPEN)) == 1)
    assert [row[0] for row in rows(world, OPEN)] == ["evt_1"]
    Stalled.released.set()
    await until(world, lambda: not rows(world, OPEN))


OPEN = "select uid from events where verdicts is null"


async def test_the_times_of_others_are_over_while_an_event_waits_for_a_function(
    world: World,
) -> None:
    """But for a run that the event may be for: it came in time, and is taken when its turn is."""
    await world.record(ANN, "ask")
    await world.record(BOB, "ask")
    await until(world, lambda: len(rows(world, WAITING)) == 2)
    world.time += 50
    await world.record(ANN, "word bad hang_a")
    world.time += 20
    await until(world, lambda: len(fired(world, "asks")) == 1)
    await world.work()
    assert fired(world, "asks") == [f"nothing from {BOB}"]
    assert len(rows(world, WAITING)) == 1
    Stalled.released.set()
    await until(world, lambda: not rows(world, WAITING))
    assert fired(world, "asks")[1:] == ["heard word bad hang_a"]


async def test_a_key_of_a_rule_may_find_what_waits_for_a_function(world: World) -> None:
    """Somebody else pays an order in time, and the function that is asked then does not answer."""
    await world.record(ANN, "order 7")
    await world.record(ANN, "order 8")
    await until(world, lambda: len(rows(world, WAITING)) == 2)
    world.time += 50
    await world.record(BOB, "word bad hang_a pays 7")
    world.time += 20
    await world.work()
    assert len(rows(world, WAITING)) == 2
    Stalled.released.set()
    await until(world, lambda: not rows(world, WAITING))
    assert fired(world, "alarm") == ["unpaid order 8"]


WAITING = "select 1 from runs where rule in ('asks', 'alarm') and state = 'waiting'"
