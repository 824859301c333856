"""Simulation of the real worker in seeded faults and kills: nothing is lost, doubled or stuck.

The other half of the proof: each safeguard taken away is noticed by the checker.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback.actions import SendMessage
from ringback.errors import GatewayError
from ringback.runtime import from_iso, iso
from ringback.store import consents, evidence, matching
from ringback.store.actions import Actions
from ringback.store.attempts import Attempts, Departure
from ringback.store.attempts import Verdict as SendVerdict
from ringback.store.evidence import Evidence, Shown
from ringback.store.facts import JournalGateFacts
from ringback.store.runs import RunStep
from ringback.twilio.rest import request_for
from ringback.worker import outgoing
from ringback.worker.match.judge import Judge
from ringback.worker.match.matcher import Matcher
from ringback.worker.match.schedules import Schedules
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.recovery.repair import Repairer
from ringback.worker.recovery.watchdogs import Watch
from ringback.worker.run import plan, runner
from ringback.worker.run.hooks import Hooks
from ringback.worker.run.resume import Resumer
from ringback.worker.send import classify, settle
from ringback.worker.send.sender import Sender
from ringback.worker.send.server_clock import ServerClock
from ringback.worker.send.settle import Settler
from simulation import disturbances, facts, life, story
from simulation.batch import run_story
from simulation.faults import CREATE, Faults, calm
from simulation.verdict import Verdict

INTENTS = 50
STORIES = 100
"""At most so many are told until the absence of a safeguard shows."""
COMMAND = [sys.executable, str(Path(__file__).parents[1] / "simulation")]


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, **environ},
    )  # fmt: skip


def figure(shown: str, name: str) -> int:
    """One number of the table that the command prints."""
    found = re.search(rf"^ *([\d,]+)  {name}", shown, re.MULTILINE)
    assert found, f"{name} is not in:\n{shown}"
    return int(found[1].replace(",", ""))


def held(seeds: int, intents: int = INTENTS) -> str:
    """Run that many stories and expect all of them to hold; the table."""
    done = command("--seeds", str(seeds), "--intents", str(intents), "--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert figure(done.stdout, "seeds") == seeds
    assert figure(done.stdout, "events") > seeds * intents
    assert figure(done.stdout, "kills of the worker") > seeds / 2
    assert figure(done.stdout, "events fetched back") > seeds
    assert figure(done.stdout, "faults of Twilio") > seeds * 10
    for name in (
        "lost",
        "doubled",
        "stuck",
        "unexplained",
        "false claim",
        "order regress",
        "untrue",
    ):
        assert figure(done.stdout, name) == 0
    return done.stdout


def test_the_checker_knows_each_rule() -> None:
    """Of a project with others it does not judge verdicts and texts."""
    rules = life.rules(life.SCHEDULE).ruleset.rules
    assert {rule.name for rule in rules} == facts.RULES


@pytest.mark.timeout(600)
def test_a_story_holds() -> None:
    """As much as each run of the tests has time for."""
    held(1, 30)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_stories_hold() -> None:
    """What CI has time for; a change of sending survives more, by `python tests/simulation`."""
    held(100)


@pytest.mark.slow
def test_the_same_seed_is_the_same_story() -> None:
    """In another process with other hashes too; and another seed is another story."""
    traces = {
        command("--seed", seed, "--intents", "12", PYTHONHASHSEED=salt).stdout.partition("trace ")[
            2
        ]
        for seed, salt in (("4", "1"), ("4", "2"), ("5", "1"))
    }
    assert len(traces - {""}) == 2


@pytest.mark.slow
def test_a_calm_world_settles_everything() -> None:
    """Without faults nothing fails, nothing is parked, and each action is one record."""
    verdict, _ = run_story(1, INTENTS, faults=calm())
    assert verdict.problems == []
    assert (verdict.kills, verdict.faults, verdict.failed, verdict.refused) == (0, 0, 0, 0)
    assert verdict.parked_checked + verdict.parked_once + verdict.parked_other == 0
    assert verdict.sends >= INTENTS


@pytest.mark.slow
def test_what_cannot_be_proven_is_parked_and_not_sent_again() -> None:
    """A call is placed at most once: when its answer is lost and no record shows, a person
    decides. A text is sent again, because three looks have shown that it is not there."""
    lost = replace(calm(), create={"timeout_before": 0.5})
    verdict, _ = run_story(3, INTENTS, faults=lost)
    assert verdict.problems == []
    assert verdict.parked_once > 0
    assert verdict.sends > INTENTS / 2


@pytest.mark.slow
def test_a_story_that_fails_says_how_to_replay_it() -> None:
    """With no settle time the protocol cannot hold; the exit code and the last line say so."""
    done = command("--seeds", "4", "--settle", "0")
    assert done.returncode == 1
    replay = done.stdout.strip().splitlines()[-1]
    assert replay.startswith("replay it: python tests/simulation --seed ")
    again = command(*replay.partition("tests/simulation ")[2].split())
    assert again.returncode == 1
    assert "doubled: seed" not in again.stdout
    assert re.search(r"^ +\d+\.\d+ twilio +POST messages", again.stdout, re.MULTILINE)
    assert re.search(r"^seed \d+: doubled: ", again.stdout, re.MULTILINE)


def naive(kind: str, policy: str, error: GatewayError, **rest: Any) -> SendVerdict:
    """Retry whatever is not refused, as a client library would."""
    verdict = REAL_BAD(kind, policy, error, **rest)
    if verdict.state != "unknown":
        return verdict
    return replace(verdict, result="failed", state="planned", due_at=iso(rest["now"]))


async def forgetful(attempts: Attempts, boot: str, now: str, settle_at: str) -> int:
    """A restart that takes up what was under way as if nothing had left."""

    def forget(connection: Any) -> None:
        connection.execute(
            "update attempts set ended_at = ? where ended_at is null and boot <> ?", (now, boot)
        )
        connection.execute(
            "update actions set state = 'planned', due_at = null, reason = 'again' "
            "where state = 'sending'"
        )

    await attempts._database.write(forget)
    return 0


async def blind(*_: Any) -> int:
    """A restart that does not see what was under way."""
    return 0


async def nothing(*_: Any) -> None:
    """What was to be done is not done."""


async def hasty(matcher: Matcher, looked: Any) -> Any:
    """The cursor moves before what it passes is written."""
    await matcher._journal.meta.set(matching.CURSOR, str(matcher._read_to))
    return await REAL_RECORD(matcher, looked)


def newest(kind: str, current: str, status: str) -> str:
    """The status that came last, not the one that is furthest."""
    return status


async def greedy(evidence: Evidence, action: Any, record: Any, *rest: Any) -> str:
    """Claim a record that is not the one found."""
    other = replace(record, sid="SM" + action.uid[-32:].lower())
    return await REAL_CLAIM(evidence, action, other, *rest)


async def certain(*_: Any) -> tuple[int, int, Departure]:
    """The list counts as read often enough before it is read."""
    return 99, 0, Departure("2026-01-01T00:00:00.000Z", None, "")


def hurried(kind: str, policy: str, error: GatewayError, **rest: Any) -> SendVerdict:
    """`fast` taken for a word that allows to send again at once."""
    return naive(kind, policy, error, **rest) if policy == "fast" else REAL_BAD(
        kind, policy, error, **rest
    )  # fmt: skip


def by_our_clock(patch: pytest.MonkeyPatch) -> None:
    """What was sent is looked for by a clock that somebody sets."""
    patch.setattr(ServerClock, "now", lambda clock: clock._runtime.now())
    patch.setattr(ServerClock, "starts", lambda _, departure: (from_iso(departure.at),))


async def ours(repairer: Repairer) -> Any:
    """The lists are read back by a clock that somebody sets."""
    return repairer._runtime.now()


def patient(question: Any) -> Any:
    """What was put off waits until the clock comes to it, however long that is."""
    return lambda actions, now, limit, far: question(actions, now, limit, far="9")


def by_time(connection: Any, *given: Any, late: bool = False) -> None:
    """The word counts that is the last by a clock that somebody sets."""
    REAL_NOTE(connection, *given, late=True)


def by_its_time(patch: pytest.MonkeyPatch) -> None:
    """Three people change their minds, and what they say is put in order by that clock."""
    patch.setattr(consents, "note", by_time)
    for place in (story, disturbances):
        patch.setattr(place, "PEOPLE", 3)


def codeless(record: Any, *rest: Any) -> Shown:
    """A record without its error code."""
    return Shown(record, rest[0], 0)


def shortened(run: Any, progress: Any, planned: Any) -> RunStep:
    """What waits goes on at the beginning of the minute in which it should, or before."""
    step = REAL_STEP(run, progress, planned)
    return replace(step, due_at=step.due_at[:17] + "00.000Z" if step.due_at else None)


def mute(judge: Judge, event: Any, **given: Any) -> Any:
    """Rules start, and the event does not say so."""
    judged = REAL_JUDGE(judge, event, **given)
    judged.admission.verdicts.clear()
    return judged


def garbled(wanted: Any, **given: Any) -> Any:
    """Another text is sent than the one that was planned."""
    if isinstance(wanted, SendMessage):
        wanted = replace(wanted, body=wanted.body.upper())
    return REAL_REQUEST(wanted, **given)


async def silent(*_: Any) -> str:
    """A notice that nobody gets."""
    return "recorded"


def twins(patch: pytest.MonkeyPatch) -> None:
    """Two sends that look the same may be under way at once; few people write."""
    patch.setattr(plan, "collision_key", lambda *_: "")
    patch.setattr(story, "PEOPLE", 3)


REAL_NOTE = consents.note
REAL_STEP = runner._step
REAL_JUDGE = Judge.judge
REAL_REQUEST = request_for
REAL_BAD = classify.bad
REAL_RECORD = Matcher._record
REAL_CLAIM = Evidence.claim

Break = Callable[[pytest.MonkeyPatch], None]


def instead(where: object, name: str, what: object) -> Break:
    """Put another thing in the place of a safeguard."""
    return lambda patch: patch.setattr(where, name, what)


DEADLY = replace(Faults(), kill_hot=0.02)
STERN = replace(Faults(), create=CREATE | {"rejected": 0.2})
SILENT = replace(calm(), create={"reset_after": 0.5}, callback_lost=1.0)
SET = replace(SILENT, clock_set=1.0)
SET_BACK = replace(Faults(), clock_set=1.0)
LOST_WEBHOOKS = replace(calm(), webhook_lost=0.3, clock_set=1.0)
STOPPING = replace(calm(), stop=1.0)
STOPPING_AND_SET = replace(STOPPING, clock_set=1.0)
PAUSING = replace(calm(), pause=1.0)
QUIET = replace(calm(), callback_lost=0.5, undelivered=0.5)
THROTTLED = replace(calm(), create={"429_wait": 0.8}, clock_set=1.0)
"""What is refused so opens no breaker, whose probe would let go what was put off."""
LATE = replace(calm(), create={"timeout_after": 0.5}, landing=300.0)
DOUBTFUL = replace(calm(), create={"reset_after": 0.3, "500_before": 0.2}, callback_late=0.9)


def slow(*case: Any) -> Any:
    """A safeguard whose absence takes long, or many stories, to show."""
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "faults", "kind"),
    [
        (instead(classify, "bad", naive), Faults(), "doubled"),
        slow(instead(Evidence, "progress", certain), DOUBTFUL, "doubled"),
        slow(instead(Attempts, "recover", forgetful), DEADLY, "doubled"),
        slow(instead(Attempts, "recover", blind), DEADLY, "stuck"),
        slow(instead(Matcher, "_record", hasty), DEADLY, "lost"),
        slow(instead(Hooks, "report_pending", nothing), DEADLY, "lost"),
        slow(instead(evidence, "advance", newest), Faults(), "order_regress"),
        (instead(Evidence, "claim", greedy), SILENT, "false_claim"),
        slow(twins, SILENT, "false_claim"),
        slow(instead(classify, "_refusal", lambda _: ""), STERN, "unexplained"),
        slow(by_our_clock, SET, "doubled"),
        slow(instead(Repairer, "_now", ours), LOST_WEBHOOKS, "lost"),
        slow(instead(Actions, "unknown", patient(Actions.unknown)), SET_BACK, "stuck"),
        slow(instead(Actions, "sendable", patient(Actions.sendable)), THROTTLED, "stuck"),
        slow(instead(classify, "bad", hurried), SILENT, "doubled"),
        slow(instead(JournalGateFacts, "opted_out", lambda *_: ""), STOPPING, "unwanted"),
        slow(by_its_time, STOPPING_AND_SET, "unwanted"),
        slow(instead(Sender, "_held", lambda sender: sender.stopping), PAUSING, "unwanted"),
        slow(instead(matching, "_action_behind", lambda *_: None), calm(), "untrue"),
        slow(instead(matching, "state_for", lambda *_: "accepted"), calm(), "untrue"),
        slow(instead(Watch, "stuck", nothing), QUIET, "untrue"),
        slow(instead(settle, "Shown", codeless), replace(SILENT, undelivered=0.5), "untrue"),
        slow(instead(evidence, "made_twice", lambda *_: None), LATE, "untrue"),
        slow(instead(matching, "heard_from", lambda *_: None), calm(), "untrue"),
        slow(instead(consents, "note", lambda *_, **__: None), STOPPING, "untrue"),
        slow(instead(Judge, "judge", mute), calm(), "untrue"),
        slow(
            instead(Incidents, "resolve", nothing),
            replace(LOST_WEBHOOKS, clock_set=0.0),
            "untrue",
        ),
        slow(instead(Schedules, "step", nothing), calm(), "untrue"),
        slow(instead(runner, "_step", shortened), calm(), "untrue"),
        slow(instead(outgoing, "request_for", garbled), calm(), "untrue"),
        slow(instead(life._RecordedNotices, "give", silent), STERN, "untrue"),
    ],
    ids=[
        "a naive retry", "one look at the list", "a restart that sends again",
        "a restart that forgets", "a cursor ahead of the events", "an end reported only once",
        "the last status wins", "a claim without proof", "twins at the same time",
        "a refusal without words", "a clock that is set", "a clock that is set, for the lists",
        "a look put off by a clock that was set back", "a send put off by it",
        "a hurried `fast`", "a STOP that is not heard", "a STOP before a START of the future",
        "a pause that is none", "outcomes that are never advanced", "an end that is none",
        "a callback that is not missed", "a record without its error", "a double that is not told",
        "a text that is not counted", "consent that is not noted", "a verdict that is not given",
        "an incident without end", "a schedule that does not ring", "a wait cut short",
        "a text that was not planned", "a notice that nobody gets",
    ],
)  # fmt: skip
def test_the_checker_notices(
    broken: Break, faults: Faults, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Take one safeguard away, and the checker names what follows from it."""
    broken(monkeypatch)
    total = Verdict(stories=0)
    for seed in range(STORIES):
        total.add(run_story(seed, INTENTS, faults=faults)[0])
        if getattr(total, kind):
            return
    pytest.fail(f"{STORIES} stories without this safeguard, and nothing {kind}: {total}")


def only(patch: pytest.MonkeyPatch, *words: str, people: int = 25) -> None:
    """So many people write, and about nothing else."""
    patch.setattr(story, "WORDS", words)
    patch.setattr(story, "PEOPLE", people)


def blamed(faults: Faults, kind: str) -> int:
    """How many of a few stories it takes until something of this kind is found; 0 for never."""
    for seed in range(20):
        if getattr(run_story(seed, INTENTS, faults=faults)[0], kind):
            return seed + 1
    return 0


@pytest.mark.slow
def test_fast_doubles_by_its_contract_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where records show up to 80 s after a request that lands up to 26 s late, the third look of
    `checked` at 107 s comes behind both, and `fast` sends again before, as it says. That is
    counted, and hides no other double: `checked` made none."""
    only(monkeypatch, "quick", "echo")
    late = replace(SILENT, slow_list=1.0, lag=80.0)
    total = Verdict(stories=0)
    for seed in range(6):
        total.add(run_story(seed, INTENTS, faults=late)[0])
    assert total.problems == []
    assert total.fast_doubled > 0


@pytest.mark.slow
def test_the_same_text_from_a_number_and_from_a_service_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their records differ in the service only. Without looking at it they are mixed up."""
    only(monkeypatch, "hours", "desk", people=4)
    assert not blamed(SILENT, "bad")

    def mixed(settler: Settler, action: Any, record: Any) -> bool:
        return record.get("direction") in (None, "", "outbound-api")

    monkeypatch.setattr(Settler, "_like", mixed)
    assert blamed(SILENT, "false_claim")


@pytest.mark.slow
def test_a_handler_that_died_with_the_worker_is_called_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plain and async handlers live through deaths. When a new life forgets them, it shows."""
    only(monkeypatch, "plain", "awaited")
    assert not blamed(replace(DEADLY, kill_anywhere=0.002), "bad")
    monkeypatch.setattr(Resumer, "restore", nothing)
    assert blamed(replace(DEADLY, kill_anywhere=0.002), "stuck")
