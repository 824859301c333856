"""Any order of texts, duplicates, faults, deaths, callbacks and hours: the checker finds nothing.

Hypothesis chooses what happens, down to the callback after which the worker dies, and looks for
the shortest story that breaks a promise.
"""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ringback.errors import UsageError
from ringback.store.attempts import Verdict
from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.worker.control import Control
from ringback.worker.send import classify
from simulation.checker import judge
from simulation.disturbances import JUMPS, Operator
from simulation.faults import CREATE, calm
from simulation.story import Story, quiet
from simulation.twilio import Record

MEMORY = Path("/dev/shm")
FAULTS = sorted(set(CREATE) - {"401"})
WORDS = (
    "echo", "hours", "desk", "alert", "ring", "later", "quick", "once", "plain", "awaited",
    "nothing",
)  # fmt: skip
STATUSES = {
    "messages": ("queued", "sending", "sent", "delivered", "undelivered"),
    "calls": ("initiated", "ringing", "in-progress", "completed", "no-answer"),
}


class Node(RuleBasedStateMachine):
    """A node whose every moment is chosen."""

    @initialize(seed=st.integers(0, 2**16), silence=st.sampled_from((0.0, 0.5, 1.0)))
    def begin(self, seed: int, silence: float) -> None:
        """A new project, in a world that loses this share of the callbacks."""
        quiet()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.story = Story(seed, self.folder, faults=replace(calm(), callback_lost=silence))

    @rule(texts=st.lists(st.tuples(st.sampled_from(WORDS), st.integers(0, 2)), min_size=2))
    def receive(self, texts: list[tuple[str, int]]) -> None:
        """Some people write."""
        story = self.story
        for word, person in texts:
            text = f"{word} {len(story.acknowledged)}"
            assert story.receive(story.text(text, f"+1555100{person:04d}"))

    @precondition(lambda self: self.story.acknowledged)
    @rule(which=st.integers(0, 1000))
    def duplicate(self, which: int) -> None:
        """A webhook of the past comes again."""
        known = self.story.acknowledged
        self.story.receive(known[which % len(known)])

    @rule(seconds=st.sampled_from((0.01, 0.5, 3.0, 30.0, 65.0, 200.0)))
    def clock(self, seconds: float) -> None:
        """Time passes."""
        self.story.run(self.story.clock.now + seconds)

    @rule(wrong=st.sampled_from((0.0, *JUMPS)))
    def clock_is_set(self, wrong: float) -> None:
        """Somebody sets the wall clock, to the right time or to another."""
        self.story.set_clock(wrong)

    @rule(word=st.sampled_from(("STOP", "START")), person=st.integers(0, 2))
    def consent(self, word: str, person: int) -> None:
        """Somebody wants to hear no more, or again."""
        self.story.write(word, person)

    @rule(seconds=st.sampled_from((0.5, 20.0, 100.0)))
    def pause(self, seconds: float) -> None:
        """An operator pauses sending for a while."""
        Operator(self.story, seconds).pause()

    @rule(callbacks=st.integers(1, 60))
    def evaluate(self, callbacks: int) -> None:
        """The worker gets a little further, and no more."""
        self.story.run(self.story.clock.now + 40.0, steps=callbacks)

    @precondition(lambda self: self.story.life is not None)
    @rule(callbacks=st.integers(0, 60))
    def crash(self, callbacks: int) -> None:
        """The worker dies after so many callbacks."""
        self.story.run(self.story.clock.now + 40.0, steps=callbacks)
        self.story.kill()

    @precondition(lambda self: self.story.life is None)
    @rule()
    def restart(self) -> None:
        """And comes back."""
        if self.story.life is None:
            self.story.start()

    @rule(faults=st.lists(st.sampled_from(FAULTS), min_size=1, max_size=6))
    def gateway_fault(self, faults: list[str]) -> None:
        """The next creates will go wrong like this."""
        self.story.twilio.next_create += faults

    @precondition(lambda self: self.story.twilio.records)
    @rule(which=st.integers(0, 1000), status=st.integers(0, 4))
    def callback(self, which: int, status: int) -> None:
        """Twilio reports some status of some record, in whatever order."""
        records: list[Record] = list(self.story.twilio.records.values())
        record = records[which % len(records)]
        self.story.twilio.call_back(record, STATUSES[record.resource][status])

    @precondition(lambda self: self.story.life is not None)
    @rule()
    def replay_in_doubt(self) -> None:
        """A person asks to send again what may have happened: refused without an explicit word."""
        life = self.story.life
        reader = connect_reader(self.folder / "journal.db")
        doubtful = [
            row[0] for row in reader.execute(
                "select uid from actions where state in ('unknown', 'parked') and tries > 0"
            )
        ]  # fmt: skip
        reader.close()
        if not doubtful or life is None:
            return

        async def reload() -> list[str]:
            return []

        control = Control(life.engine, life.runtime, reload)
        task = life.loop.create_task(control.handle({"op": "retry", "uid": doubtful[0]}))
        end = self.story.clock.now + 60.0
        while not task.done() and self.story.clock.now < end:  # a note waits for the next commit
            self.story.run(self.story.clock.now + 0.01, steps=1)
        assert isinstance(task.exception(), UsageError)

    @invariant()
    def nothing_is_wrong(self) -> None:
        """The checker, at every moment."""
        if hasattr(self, "story"):
            assert judge(self.story, drained=False).problems == []

    def teardown(self) -> None:
        """Everything comes to its end, and the whole story is judged."""
        if not hasattr(self, "story"):
            return
        try:
            if self.story.life is None:
                self.story.start()
            # Nothing goes wrong from now on: behind a breaker, which lets one request try in five
            # minutes, the faults that still stand in line would take longer than the end.
            self.story.twilio.next_create.clear()
            self.story.finish()
            self.story.end()
            assert judge(self.story).problems == []
        finally:
            shutil.rmtree(self.folder)


def explore(examples: int, steps: int, *, shrink: bool = True) -> None:
    """Tell that many stories of so many steps."""
    phases = set(Phase) - {Phase.explain} if shrink else {Phase.generate}
    run_state_machine_as_test(
        Node,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            derandomize=True, phases=phases, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_no_order_of_events_breaks_a_promise() -> None:
    """Short stories, a few seconds of them."""
    explore(3, 14)


@pytest.mark.slow
def test_a_broken_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a naive retry in the place of settling, some order of events doubles a text."""
    real = classify.bad

    def naive(*given: Any, **named: Any) -> Verdict:
        verdict = real(*given, **named)
        return (
            replace(verdict, state="planned", due_at=None)
            if verdict.state == "unknown"
            else verdict
        )

    monkeypatch.setattr(classify, "bad", naive)
    with pytest.raises(AssertionError, match="doubled"):
        explore(200, 30, shrink=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_long_order_of_events_breaks_a_promise() -> None:
    """More and longer ones. To shorten one that fails takes longer than the whole suite."""
    explore(120, 50, shrink=False)
