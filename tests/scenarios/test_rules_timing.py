"""Timing and overlap through restarts: the worker on real files, beside the bench as its model.

The same texts at the same times go to both. The worker is ended and started again between any two
steps, also between deciding what to do and doing it. What it does must be what the bench
does, which lives in memory and never ends.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.actions import Notify
from ringback.config import Settings
from ringback.errors import Problem
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import Runtime, from_iso, iso
from ringback.store.journal import DatabaseJournal, Store, open_store
from ringback.store.log import Entry, Log, LogReader
from ringback.store.runs import RunStep
from ringback.store.sqlite.sqlite_database import SqliteDatabase
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.testing import NOON, OURS, sms
from ringback.testing.bench import Bench
from ringback.worker.engine import Engine
from ringback.worker.send.notices import Notices
from simulation.calls import Here

RULES = """
rules:
  - name: once
    on: message.received
    if: event.body == 'once'
    once_within: 10m
    do: [{notify: "once ${{ event.from }}"}]
  - name: burst
    on: message.received
    if: event.body.startsWith('burst')
    once_after: 5s
    max_wait: 12s
    do: [{notify: "burst ${{ burst.texts.join('+') }}"}]
  - name: count
    on: message.received
    if: event.body == 'count'
    key: everybody
    accumulate_within: 60s
    threshold: 3
    do: [{notify: "count ${{ burst.count }}"}]
  - name: unless
    on: message.received
    if: event.body == 'quiet'
    unless: {on: message.received, if: reply.body == 'ok'}
    within: 5m
    do: [{notify: "nobody said ok to ${{ event.from }}"}]
  - name: ask
    on: message.received
    if: event.body == 'ask'
    mode: single
    do:
      - notify: asked
      - wait_for:
          if: reply.body in ['ok', 'no']
          timeout: 3m
          as: answer
          do: [{notify: "answer ${{ vars.answer }}"}]
          else: [{notify: no answer}]
      - wait: 30s
      - notify: "after ${{ vars.answer }}"
  - name: again
    on: message.received
    if: event.body == 'again'
    mode: restart
    cancel_on: {on: message.received, if: reply.body == 'no'}
    do: [{notify: again}, {wait: 2m}, {notify: "again after two minutes"}]
  - name: queue
    on: message.received
    if: event.body.startsWith('queue')
    mode: queued
    max: 2
    do: [{notify: "${{ event.body }} begins"}, {wait: 1m}, {notify: "${{ event.body }} ends"}]
  - name: rest
    on: message.received
    if: event.body == 'x'
    backstop: true
    do: [{notify: rest}]
"""
ANN, BOB = "+14155550111", "+14155550122"
BODIES = ["once", "burst a", "burst b", "count", "quiet", "ok", "no", "ask", "again", "x"]


@dataclass
class Loaded:
    """What a project gives to its worker."""

    ruleset: RuleSet
    plugins: PluginSet = field(default_factory=PluginSet)
    problems: list[Problem] = field(default_factory=list)


def near_store(data: Path) -> Store:
    """A store in files, each write of which is committed where it is made."""
    return open_store(data, threaded=False)


class FarDatabase(SqliteDatabase):
    """A database behind a network: whoever asks or writes has to wait, and `work` runs in a
    thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, threaded=False)
        self._turn = asyncio.Lock()

    async def read(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        async with self._turn:
            return await asyncio.to_thread(partial(work, self.connection(), *args, **kwargs))

    async def note(self, work: Any, *args: Any, **kwargs: Any) -> Any:
        async with self._turn:
            result = await super().note(work, *args, **kwargs)
            await asyncio.sleep(0.0001)
        return result


def far_store(data: Path) -> Store:
    """A store whose journal is far away."""
    log = LogReader(data / "log.db")
    return Store(DatabaseJournal(FarDatabase(data / "journal.db"), log), log)


class World:
    """A worker on real files, with a clock in our hand, driven stage by stage."""

    def __init__(
        self,
        folder: Path,
        ruleset: RuleSet,
        opened: Callable[[Path], Store] = near_store,
        *,
        calls: type[Here] = Here,
        hosts: Any = None,
    ) -> None:
        self.opened = opened
        self.calls = calls
        self.hosts = hosts
        self.settings = Settings(
            project=folder,
            data=folder / "data",
            account_sid="AC" + "0" * 32,
            auth_tokens=("t" * 32,),
        )
        self.settings.data.mkdir()
        self.loaded = Loaded(ruleset)
        self.time = NOON.timestamp()
        self.runtime = Runtime(time=lambda: self.time)
        self.log = Log.open(self.settings.data / "log.db")
        self.texts = 0

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    async def boot(self) -> None:
        """Start a worker: it finds in the files what the last one left."""
        self.store = self.opened(self.settings.data)
        self.journal = self.store.journal
        outbound = Outbound()
        channels = Channels({}, outbound, environ={})
        self.engine = Engine(
            settings=self.settings, loaded=self.loaded,
            journal=self.journal, gateway=None, runtime=self.runtime,
            notices=Notices(outbound, channels, self.runtime),
            calls=self.calls(
                self.hosts or self.loaded, self.journal.facts(self.runtime), self.runtime
            ),
        )  # fmt: skip
        await self.engine.recover()
        await self.work()

    async def work(self) -> None:
        """Let it do all that there is to do now."""
        while True:
            await self.engine.resumer.due()
            while await self.engine._match():
                pass
            if not len(self.engine.queue):
                break
            await self.engine.queue.idle()
        await self.engine.sender.idle()

    async def end(self) -> None:
        """End the worker, whatever is under way."""
        tasks = list(self.engine.queue._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.engine.sender.idle()
        self.store.close()

    async def text(self, who: str, body: str, *, crash: bool = False) -> None:
        """Somebody texts us. `crash` ends the worker when it has decided and done nothing yet."""
        await self.record(who, body)
        if crash:
            await self.engine._match()
            await self.restart()
        await self.work()

    async def record(self, who: str, body: str, *, trust: str = "signed") -> None:
        """Somebody's text is recorded, and the worker does not look yet."""
        self.texts += 1
        form = {
            "MessageSid": f"SM{self.texts:032x}", "AccountSid": self.settings.account_sid,
            "From": who, "To": OURS, "Body": body, "NumMedia": "0", "SmsStatus": "received",
        }  # fmt: skip
        kind = "application/x-www-form-urlencoded"
        entry = Entry(
            iso(self.now), "message", trust, "webhook", "", kind, urlencode(form).encode()
        )
        await self.log.append(entry)

    async def wait(self, seconds: float) -> None:
        """Let time pass, stopping at each moment at which something is due."""
        end = self.time + seconds
        while (due := await self.journal.runs.next_due()) is not None:
            moment = from_iso(due).timestamp()
            if moment > end:
                break
            self.time = max(self.time, moment)
            await self.work()
        self.time = end
        await self.work()

    async def restart(self) -> None:
        """End the worker and start another."""
        await self.end()
        await self.boot()

    def actions(self) -> list[str]:
        """All notices that were planned, in order."""
        with closing(connect_reader(self.settings.data / "journal.db")) as journal:
            rows = journal.execute(
                "SELECT json_extract(params, '$.text') FROM actions "
                "WHERE kind = 'notify' ORDER BY id"
            ).fetchall()
        return [row[0] for row in rows]

    async def close(self) -> None:
        """Close everything."""
        await self.end()
        self.log.close()


def modelled(ruleset: RuleSet, steps: Sequence[tuple[str, str, int]]) -> list[str]:
    """What the bench does."""
    bench = Bench(ruleset)
    made: list[str] = []
    for who, body, seconds in steps:
        happened = bench.react(sms(body, from_=who)) if body else bench.wait(seconds)
        made += [action.text for action in happened.actions if isinstance(action, Notify)]
    return made


async def lived(
    folder: Path,
    ruleset: RuleSet,
    steps: Sequence[tuple[str, str, int]],
    plan: str,
    opened: Callable[[Path], Store] = near_store,
) -> list[str]:
    """What the worker does. `plan` says per step: `.` goes on, `r` restart, `c` crash."""
    world = World(folder, ruleset, opened)
    await world.boot()
    try:
        for number, (who, body, seconds) in enumerate(steps):
            what = plan[number % len(plan)]
            if body:
                await world.text(who, body, crash=what == "c")
            else:
                await world.wait(seconds)
            if what == "r":
                await world.restart()
        return world.actions()
    finally:
        await world.close()


@pytest.fixture(scope="module")
def ruleset(tmp_path_factory: pytest.TempPathFactory) -> RuleSet:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(RULES)
    loaded = load_rules(path)
    assert loaded.problems == []
    return RuleSet(loaded.rules, loaded.language)


STORY = [
    (ANN, "ask", 0),
    (ANN, "x", 0),
    (BOB, "once", 0),
    (BOB, "once", 0),
    (ANN, "ok", 0),
    ("", "", 30),
    (BOB, "burst a", 0),
    ("", "", 3),
    (BOB, "burst b", 0),
    ("", "", 5),
    (ANN, "count", 0),
    (BOB, "count", 0),
    ("", "", 59),
    (ANN, "count", 0),
    (ANN, "again", 0),
    ("", "", 60),
    (ANN, "again", 0),
    ("", "", 120),
    (ANN, "again", 0),
    (ANN, "no", 0),
    (BOB, "quiet", 0),
    ("", "", 300),
    (BOB, "ask", 0),
    ("", "", 180),
    ("", "", 30),
    (BOB, "once", 0),
    (ANN, "x", 0),
]
EXPECTED = [
    "asked",
    "rest",
    f"once {BOB}",
    "answer ok",
    "after ok",
    "burst burst a+burst b",
    "count 3",
    "again",
    "again",
    "again after two minutes",
    "again",
    f"nobody said ok to {BOB}",
    "asked",
    "no answer",
    "after ",
    f"once {BOB}",
    "rest",
]
PLANS = [".", "r", "c", "rc", ".rc"]


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.slow
async def test_a_story_goes_the_same_way_however_often_the_worker_ends(
    tmp_path: Path, ruleset: RuleSet, plan: str
) -> None:
    actions = await lived(tmp_path, ruleset, STORY, plan)
    assert actions == EXPECTED
    assert actions == modelled(ruleset, STORY)


@pytest.mark.parametrize("plan", [".", pytest.param("rc", marks=pytest.mark.slow)])
async def test_a_story_goes_the_same_way_on_a_database_that_is_far(
    tmp_path: Path, ruleset: RuleSet, plan: str
) -> None:
    """Nothing in the worker counts on answers in place: each question and each write suspends."""
    assert await lived(tmp_path, ruleset, STORY, plan, far_store) == EXPECTED


@pytest.mark.parametrize("plan", PLANS)
async def test_a_queue_goes_one_by_one_and_no_longer_than_its_max(
    tmp_path: Path, ruleset: RuleSet, plan: str
) -> None:
    steps = [(ANN, "queue 1", 0), (ANN, "queue 2", 0), (ANN, "queue 3", 0), (BOB, "queue 4", 0)]
    actions = await lived(tmp_path, ruleset, [*steps, ("", "", 60), ("", "", 60)], plan)
    assert sorted(actions[:2]) == ["queue 1 begins", "queue 4 begins"]
    assert sorted(actions[2:5]) == ["queue 1 ends", "queue 2 begins", "queue 4 ends"]
    assert actions[5:] == ["queue 2 ends"]


STEP = st.one_of(
    st.tuples(st.sampled_from([ANN, BOB]), st.sampled_from(BODIES), st.just(0)),
    st.tuples(st.just(""), st.just(""), st.sampled_from([1, 3, 5, 7, 31, 61, 121, 181, 301, 601])),
)


@settings(deadline=None, max_examples=8)
@given(st.lists(STEP, min_size=1, max_size=14), st.text("...rc", min_size=1, max_size=14))
def test_the_worker_does_what_the_model_does(
    ruleset: RuleSet, steps: list[tuple[str, str, int]], plan: str
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        actions = asyncio.run(lived(folder, ruleset, steps, plan))
    finally:
        shutil.rmtree(folder)
    assert sorted(actions) == sorted(modelled(ruleset, steps))


SLOW = """
rules:
  - name: slow
    on: message.received
    once_after: 5s
    do: [{notify: "got ${{ burst.texts.join('+') }}"}, {wait: 1h}, {notify: later}]
"""


@pytest.mark.parametrize("plan", PLANS)
async def test_a_burst_that_waits_afterwards_takes_no_further_texts(
    tmp_path: Path, plan: str
) -> None:
    """What comes after the burst begins a burst of its own, though the first run goes on."""
    path = tmp_path / "slow.yaml"
    path.write_text(SLOW)
    loaded = load_rules(path)
    steps = [(ANN, "a", 0), (ANN, "b", 0), ("", "", 5), (ANN, "c", 0), ("", "", 5), ("", "", 3600)]
    actions = await lived(tmp_path, RuleSet(loaded.rules, loaded.language), steps, plan)
    assert actions == ["got a+b", "got c", "later", "later"]


async def test_a_queue_goes_on_after_a_crash_between_two_of_its_runs(
    tmp_path: Path, ruleset: RuleSet
) -> None:
    """The end of the first is committed, and nobody has started the second yet."""
    world = World(tmp_path, ruleset)
    await world.boot()
    await world.text(ANN, "queue 1")
    await world.text(ANN, "queue 2")
    waiting = [run async for run, _ in world.journal.open_runs.in_state("waiting")]
    (first,) = [run.uid for run in waiting if run.memory]
    await world.journal.runs.finish(RunStep(first, "done", ""), iso(world.now))
    await world.restart()
    assert world.actions() == ["queue 1 begins", "queue 2 begins"]
    await world.close()


@pytest.mark.parametrize("left", ["", "parallel"])
async def test_a_queue_does_not_outlive_its_rule(
    tmp_path: Path, ruleset: RuleSet, left: str
) -> None:
    """One whose rule is gone is given up after a day, one whose rule queues no longer goes on at
    once."""
    world = World(tmp_path, ruleset)
    await world.boot()
    await world.text(ANN, "queue 1")
    await world.text(ANN, "queue 2")
    queue = ruleset.by_name["queue"]
    rules = [rule for rule in ruleset.rules if rule is not queue]
    rules += [replace(queue, mode=left)] if left else []
    world.engine.reload(Loaded(RuleSet(rules, ruleset.language)))
    await world.work()
    begun = ["queue 1 begins", "queue 2 begins"] if left else ["queue 1 begins"]
    assert world.actions() == begun
    await world.wait(61 if left else 86_461)
    assert not [run async for run, _ in world.journal.open_runs.in_state("waiting")]
    await world.close()
