"""States that people give to rules, over those of their files: with the real worker."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from ringback.cli.main import cli
from ringback.errors import Conflict, UsageError
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.runtime import encode_ulid, iso
from ringback.store.queries.questions import Questions
from simulation import life
from simulation.story import Story

ANN = "+15550100044"
RULES = """
version: 1
rules:
  - name: hello
    on: message.received
    if: event.body == 'hello'
    do: [{reply: Hello.}]
  - name: quiet
    on: message.received
    if: event.body == 'hello'
    state: shadow
    do: [{notify: "heard ${{ event.from }}"}]
  - name: daily
    schedule: "*/5 * * * *"
    do: [{notify: Tick.}]
"""
Begin = Callable[..., Story]
HOUR = 3600.0
TEXTS = "type = 'message.received' order by id"
BOB = {"who": "bob", "role": "operate", "via": "console"}
ADA = {"who": "ada", "role": "admin", "via": "console"}


def ask(story: Story, state: str, rule: str = "hello", **more: Any) -> Any:
    """A person puts a rule into a state; the answer, or what was raised."""
    assert story.life is not None
    message = {"op": "rule_state", "rule": rule, "state": state, "by": BOB, "reason": "a test"}
    task = story.life.loop.create_task(story.life.control.handle({**message, **more}))
    story.run(story.clock.now + 5.0)
    return task.exception() or task.result()


def hello(story: Story) -> str:
    """Ann says hello: the verdict of the rule, and the state of its action."""
    story.receive(story.text("hello", ANN))
    story.run(story.clock.now + 30.0)
    (*_, (verdicts, uid)) = story.ask(f"select verdicts, uid from events where {TEXTS}")
    rows = story.ask(f"select state from actions where event_uid = '{uid}' and rule = 'hello'")
    return " ".join([json.loads(verdicts)["hello"], *(row[0] for row in rows)])


def in_time(story: Story, seconds: float) -> str:
    """A moment of the story that lies so far ahead."""
    assert story.life is not None
    return iso(story.life.runtime.now() + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("state", "seen"), [("off", "off"), ("shadow", "fired captured"), ("draft", "fired parked")]
)
@pytest.mark.parametrize("restarted", [False, True])
def test_the_next_event_meets_the_state_that_a_person_gave(
    begin: Begin, state: str, seen: str, restarted: bool
) -> None:
    """Without a restart, and after one; until the person puts it back."""
    story = begin(rules=RULES)
    assert hello(story) == "fired settled"
    answer = ask(story, state, expect={"state": "live"})
    assert (answer["state"], answer["file"], answer["until"]) == (state, "live", None)
    if restarted:
        story.kill()
        story.start()
        story.run(story.clock.now + 5.0)
    assert hello(story) == seen
    assert ask(story, "file")["state"] == "live"
    assert hello(story).startswith("fired ")
    assert hello(story) != seen


def test_it_ends_at_its_time(begin: Begin) -> None:
    """By itself, also when the worker stands still at that moment."""
    story = begin(rules=RULES)
    ask(story, "off", until=in_time(story, 600.0))
    assert hello(story) == "off"
    story.run(story.clock.now + 600.0)
    assert hello(story) == "fired settled"
    assert story.ask("select count(*) from rule_states") == [(0,)]
    ask(story, "off", until=in_time(story, 600.0))
    story.kill()
    story.run(story.clock.now + HOUR)
    story.start()
    assert hello(story).startswith("fired ")


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (lambda text: text.replace("Hello.", "Hi."), True),
        (lambda text: text.replace("    do: [{reply", "    state: draft\n    do: [{reply"), True),
        (lambda text: text.replace("version: 1\n", "version: 1\n# a comment\n"), False),
        (lambda text: text.replace("Tick.", "Tock."), False),
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_it_ends_with_the_revision_of_its_rule(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str], ends: bool,
    restarted: bool,
) -> None:  # fmt: skip
    """Not with a rule that only moves, or with another one; and it does not come back."""
    story = begin(rules=RULES)
    ask(story, "off")
    assert change(RULES) != RULES
    for text in (change(RULES), RULES):
        (story.folder / "rules.yaml").write_text(text)
        loaded = load_rules([story.folder / "rules.yaml"])
        given = life.Rules(RuleSet(loaded.rules, loaded.language))
        monkeypatch.setattr(life, "rules", lambda given=given: given)
        assert story.life is not None
        if restarted:
            story.kill()
            story.start()
        else:
            story.life.engine.reload(given)
        story.run(story.clock.now + 5.0)
        assert (hello(story) == "off") is not ends


def test_a_schedule_that_is_off_does_not_come_due(begin: Begin) -> None:
    """It is found by its name, not by an event that came in."""
    story = begin(rules=RULES)
    ticks = "select count(*) from events where type = 'timer.due'"
    story.run(story.clock.now + 310.0)
    ((before,),) = story.ask(ticks)
    assert before
    ask(story, "off", "daily")
    story.run(story.clock.now + 310.0)
    assert story.ask(ticks) == [(before,)]
    ask(story, "file", "daily")
    story.run(story.clock.now + 310.0)
    assert story.ask(ticks) > [(before,)]


def test_more_than_the_file_says_wants_an_admin(begin: Begin) -> None:
    """Less does not, nor does back to the file."""
    story = begin(rules=RULES)
    refused = ask(story, "live", "quiet")
    assert isinstance(refused, UsageError)
    assert "wants the role admin" in str(refused)
    assert ask(story, "live", "quiet", by=ADA)["state"] == "live"
    assert ask(story, "off", "quiet")["state"] == "off"
    assert ask(story, "file", "quiet")["state"] == "shadow"
    with Questions(story.folder) as asked:
        rows = asked.doings(op="rule_state", subject="quiet")
    assert [(row["who"], row["was"], row["became"], row["outcome"]) for row in rows[::-1]] == [
        ("bob", "shadow", "shadow", "refused"), ("ada", "shadow", "live", "done"),
        ("bob", "live", "off", "done"), ("bob", "off", "shadow", "done"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "more", "why"),
    [
        ("asleep", {}, "a rule is off, shadow, draft, live"),
        ("off", {"rule": "nobody"}, "no rule 'nobody'"),
        ("off", {"reason": " "}, "the reason is empty"),
        ("off", {"until": "soon"}, "is no time"),
        ("off", {"until": "2020-01-01T00:00Z"}, "is in the past"),
        ("off", {"until": "2099-01-01T00:00Z"}, "not within the next"),
        ("off", {"until": "2026-03-04T17:00"}, "has no zone"),
        ("file", {}, "as its file says: live"),
        ("off", {"expect": {"state": "draft"}}, "its state is 'live' now"),
    ],
)
def test_what_cannot_be_changes_nothing(
    begin: Begin, state: str, more: dict[str, Any], why: str
) -> None:
    """And says why."""
    story = begin(rules=RULES)
    refused = ask(story, state, **more)
    assert isinstance(refused, UsageError)
    assert why in str(refused)
    assert hello(story) == "fired settled"


def test_of_two_at_once_the_second_hears_what_the_first_did(begin: Begin) -> None:
    """And the same request again is answered as at first, although the rule is another by now."""
    story = begin(rules=RULES)
    request = encode_ulid(1_790_000_000_000, 1)
    first: dict[str, Any] = {"expect": {"state": "live"}, "request": request}
    answer = ask(story, "off", **first)
    late = ask(story, "draft", expect={"state": "live"}, by=ADA)
    assert isinstance(late, Conflict)
    assert late.now["state"] == "off"
    ask(story, "file")
    assert ask(story, "off", **first) == answer
    assert hello(story) == "fired settled"


def test_it_is_seen_where_rules_are_shown(begin: Begin) -> None:
    """`rules list` and `show`, `check`, and the traces of that time and of no other."""
    story = begin(rules=RULES)
    hello(story)
    ask(story, "off", until=in_time(story, HOUR))
    hello(story)
    ask(story, "file")
    hello(story)
    events = [uid for (uid,) in story.ask("select uid from events where " + TEXTS)]
    with Questions(story.folder) as asked:
        traces = [asked.trace(uid) for uid in events]
    assert [bool(each and each["overrides"]) for each in traces] == [False, True, False]
    assert traces[1] is not None
    said = traces[1]["overrides"]["hello"]
    assert (said["state"], said["file"], said["by"], said["reason"]) == (
        "off", "live", "bob", "a test",
    )  # fmt: skip
    ask(story, "shadow")
    folder = story.folder
    (folder / "rules").mkdir(exist_ok=True)
    (folder / "rules" / "all.yaml").write_text(RULES)
    (folder / "ringback.toml").write_text("")

    def shown(*words: str) -> str:
        place = ("--project", str(folder), "--data", str(folder))
        done = CliRunner().invoke(cli, [*place, *words], catch_exceptions=False)
        return done.output

    rows = [json.loads(line) for line in shown("rules", "list", "--json").splitlines()]
    (row,) = [each for each in rows if each["name"] == "hello"]
    assert (row["state"], row["file"], row["override"]["state"], row["override"]["by"]) == (
        "shadow", "live", "shadow", "bob",
    )  # fmt: skip
    assert "shadow (file: live)" in shown("rules", "list")
    assert "shadow, says bob: a test" in shown("rules", "show", "hello")
    assert "rule 'hello' is shadow, says bob: a test" in shown("check")
    assert "(off, not live: bob said so until" in shown("trace", events[1])
    assert "said so" not in shown("trace", events[0])
