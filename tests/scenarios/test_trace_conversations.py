"""Traces of conversations: which question of which run a text answered, and what came of it."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from admission.node import Loaded, Node, settings_of
from admission.stories import OURS, PEOPLE, Happens, text
from ringback.cli.main import run
from ringback.plugins.loader import load_plugins
from ringback.rules.engine.ruleset import RuleSet
from ringback.store.queries.questions import Questions
from ringback.testing import Bench, sms
from ringback.testing.assembly import ruleset_of
from ringback.testing.export import regression

ANN = PEOPLE[0]
RULES = """
rules:
  - name: book
    on: message.received
    if: event.body == 'book'
    do:
      - reply: Which day?
      - wait_for: {if: reply.body.endsWith('day'), timeout: 1h, as: day}
      - reply: "Noted ${{ vars.day }}."
  - name: night
    on: message.received
    if: event.body != 'day'
    do: [{reply: We are closed.}]
  - {name: rest, on: message.received, backstop: true, do: [{reply: Thanks.}]}
"""
PLUGIN = """
from ringback import Conversation, rule


@rule("message.received", if_="event.body == 'book'")
async def book(convo: Conversation):
    day = await convo.ask("Which day?", timeout="1h")
    convo.tell(f"Noted {day}.")
"""
YAML, PYTHON = "book", "shop.book"
RULES_OF_BOTH = [YAML, pytest.param(PYTHON, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of this machine reaches a test; the working folder is the project."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def project(folder: Path, rule: str, rules: str = RULES) -> Loaded:
    """A project on disk whose booking is in YAML or in Python."""
    (folder / "ringback.toml").write_text("")
    for name in ("rules", "plugins"):
        (folder / name).mkdir()
    if rule == PYTHON:
        rules = rules.replace("event.body == 'book'", "false")
    (folder / "rules" / "all.yaml").write_text(rules)
    if rule == PYTHON:
        (folder / "plugins" / "shop.py").write_text(PLUGIN)
    return loaded(folder)


def loaded(folder: Path) -> Loaded:
    """The rules of the project as they are now."""
    plugins = load_plugins(folder / "plugins")
    ruleset, problems = ruleset_of(plugins, folder / "rules")
    assert problems == []
    return Loaded(ruleset, plugins)


async def talked(folder: Path, rule: str, *bodies: str, rules: str = RULES) -> list[str]:
    """Let somebody text a node; the ids of the events."""
    node = Node(settings_of(folder, {}), project(folder, rule, rules))
    await node.start({})
    try:
        for body in bodies:
            await node.happen(text(body))
            await node.wait(9.0)
        return [row[0] for row in node.reader.execute("select uid from events order by id")]
    finally:
        await node.close()


def talk(folder: Path, rule: str, *bodies: str) -> list[str]:
    """The same for tests that use the shell afterwards, which has a loop of its own."""
    return asyncio.run(talked(folder, rule, *bodies))


def shell(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints."""
    capsys.readouterr()
    assert run(list(words)) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("rule", RULES_OF_BOTH)
def test_the_trace_of_an_answer_names_run_and_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    """And shows what came of it, which is not what the run did before."""
    began, answer = talk(tmp_path, rule, "book", "Monday")
    shown = shell(capsys, "trace", answer)
    assert f"✓ {rule}  took it as the answer to “Which day?”" in shown
    assert f"begun by {began}" in shown
    assert "Noted Monday." in shown
    assert "Which day?”  " not in shown.replace("to “Which day?”", "")
    assert f"✗ night  answer: {rule} has asked for it, run_" in shown
    assert f"✗ rest  backstop: {rule} took it" in shown


@pytest.mark.parametrize("rule", RULES_OF_BOTH)
def test_the_trace_of_a_run_names_the_texts_that_woke_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    """Between what was said before and what came of them; not those that it did not take."""
    between = ["later"] if rule == YAML else []
    began, *others, answer = talk(tmp_path, rule, "book", *between, "Monday")
    shown = shell(capsys, "trace", began)
    lines = shown.splitlines()
    (woken,) = [line for line in lines if answer in line]
    assert "“Monday” answers “Which day?”" in woken
    noted = next(line for line in lines if "Noted Monday." in line)
    asked = next(line for line in lines if "send_message" in line and "Which day?" in line)
    assert lines.index(asked) < lines.index(woken) < lines.index(noted)
    assert not any(other in shown for other in others)


def test_a_text_that_a_condition_fails_on_is_not_said_to_be_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run has noted that, and waits on: neither trace nor bench take that for an answer."""
    rules = RULES.replace("reply.body.endsWith('day')", "reply.body.number() > 1.0")
    uids = asyncio.run(talked(tmp_path, YAML, "book", "soon", "2", rules=rules))
    assert "answer" not in shell(capsys, "trace", uids[1])
    assert "2” answers “Which day?”" in (began := shell(capsys, "trace", uids[0]))
    assert "soon" not in began
    bench = Bench.load(tmp_path)
    bench.react(sms("book"))
    assert [len(bench.react(sms(body)).woke) for body in ("soon", "2")] == [0, 1]


def test_the_trace_for_programs_has_the_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began, answer = talk(tmp_path, YAML, "book", "Monday")
    told = json.loads(shell(capsys, "trace", answer, "--json"))
    (woke,) = told["woke"]
    assert (woke["rule"], woke["question"], woke["began"]) == (YAML, "Which day?", began)
    assert [action["params"]["body"] for action in woke["actions"]] == ["Noted Monday."]
    first = json.loads(shell(capsys, "trace", began, "--json"))
    runs = {each["rule"]: each["run"] for each in first["rules"]}
    assert [turn["event"] for turn in runs[YAML]["turns"]] == [answer]
    assert runs["night"]["turns"] == []
    verdict = {each["rule"]: each["verdict"] for each in told["rules"]}["night"]
    assert verdict == f"answer: book has asked for it, {woke['run']}"


def exported(folder: Path, uid: str) -> str:
    """The test that is written about an event, which fails at its last line and nowhere else."""
    with Questions(folder / "data") as asked:
        source = regression(asked, uid)
    path = folder / "tests" / "test_what_happened.py"
    space: dict[str, Any] = {"__file__": str(path), "__name__": "test_what_happened"}
    exec(compile(source, str(path), "exec"), space)
    (played,) = [value for name, value in space.items() if name.startswith("test_")]
    with pytest.raises(pytest.fail.Exception, match="this is what happened"):
        played()
    return source


@pytest.mark.parametrize("rule", RULES_OF_BOTH)
@pytest.mark.parametrize("which", [0, 1])
def test_an_answer_becomes_a_test_that_says_what_happened(
    tmp_path: Path, rule: str, which: int
) -> None:
    uids = talk(tmp_path, rule, "book", "Monday")
    source = exported(tmp_path, uids[which])
    assert "Noted Monday." in source if which else "Noted" not in source.partition("def test")[2]


def test_a_dry_replay_of_an_answer_names_run_and_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, answer = talk(tmp_path, YAML, "book", "Monday")
    shown = shell(capsys, "replay", answer)
    assert "✓ book  took it as the answer to “Which day?”" in shown
    assert "Noted Monday." in shown
    told = json.loads(shell(capsys, "replay", answer, "--json"))
    assert told["woke"] == [{"rule": "book", "question": "Which day?"}]


async def test_a_rule_that_was_edited_since_shows_its_old_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it fired or not; events that came later show the new ones."""
    node = Node(settings_of(tmp_path, {}), project(tmp_path, YAML))
    await node.start({})
    try:
        await node.happen(text("day"))
        await node.happen(text("hello"))
        path = tmp_path / "rules" / "all.yaml"
        path.write_text(path.read_text().replace("event.body != 'day'", "event.body == 'new'"))
        node.engine.reload(loaded(tmp_path))
        await node.happen(text("hello"))
        uids = [row[0] for row in node.reader.execute("select uid from events order by id")]
        (old, new) = (row[0] for row in node.reader.execute(
            "select text from revisions where rule = 'night' order by id"))  # fmt: skip
    finally:
        await node.close()
    assert "✗ if event.body != 'day'" in shell(capsys, "trace", uids[0])
    assert "✓ if event.body != 'day'" in shell(capsys, "trace", uids[1])
    assert "✗ if event.body == 'new'" in shell(capsys, "trace", uids[2])
    assert (json.loads(old)["if"], json.loads(new)["if"]) == (
        "event.body != 'day'", "event.body == 'new'",
    )  # fmt: skip


async def test_what_rules_say_is_kept_once(tmp_path: Path) -> None:
    """A start with the same rules adds nothing."""
    rules = project(tmp_path, YAML)
    settings = settings_of(tmp_path, {})
    node = Node(settings, rules)
    await node.start({})
    await node.happen(text("a"))
    node.engine.reload(Loaded(RuleSet(rules.ruleset.rules)))
    await node.happen(text("b"))
    counted = node.reader.execute("select rule, count(*) from revisions group by rule").fetchall()
    await node.close()
    assert dict(counted) == {"book": 1, "night": 1, "rest": 1}


@pytest.mark.parametrize("rule", RULES_OF_BOTH)
def test_a_stop_is_not_shown_as_the_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    """Neither in its own trace nor in that of the text that began the conversation."""
    began, left = talk(tmp_path, rule, "book", "STOP")
    shown = shell(capsys, "trace", left)
    assert f"✓ {rule}  “Which day?” stays unanswered: they have left" in shown
    assert "took it as" not in shown
    assert "“STOP”: no answer to “Which day?”" in shell(capsys, "trace", began)


BURST = """
rules:
  - {name: burst, on: message.received, once_after: 3s, do: [{reply: "${{ burst.count }} texts"}]}
"""


def test_a_text_that_joins_a_burst_is_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rule did not fire a second time, and did not let it go either."""

    async def texts() -> str:
        project(tmp_path, YAML, BURST)
        node = Node(settings_of(tmp_path, {}), loaded(tmp_path))
        await node.start({})
        await node.happen(text("one"))
        await node.happen(text("two"))
        await node.wait(9.0)
        uids = [row[0] for row in node.reader.execute("select uid from events order by id")]
        await node.close()
        return str(uids[1])

    shown = shell(capsys, "trace", asyncio.run(texts()))
    assert shown.count("burst") == 1
    assert "✓ burst  counts it among the texts before it" in shown


ENDED = {
    "cancel_on": ("cancel_on: {on: message.received, if: reply.body == 'no'}", "no"),
    "restart": ("mode: restart", "book"),
    "STOP": ("mode: single", "STOP"),
}


@pytest.mark.parametrize("how", ENDED)
@pytest.mark.parametrize("which", [0, 1])
def test_a_conversation_that_was_ended_becomes_a_test(tmp_path: Path, how: str, which: int) -> None:
    """The rule had fired, whatever became of its run later."""
    word, text_ = ENDED[how]
    rules = RULES.replace(
        "    if: event.body == 'book'", f"    if: event.body == 'book'\n    {word}"
    )
    uids = asyncio.run(talked(tmp_path, YAML, "book", text_, rules=rules))
    source = exported(tmp_path, uids[which])
    assert ("'book'" in source.rpartition("reaction.fired ==")[2]) == (
        not which or how == "restart"
    )


@pytest.mark.parametrize("how", ["cancel_on", "restart", "unless"])
def test_the_event_that_ended_a_run_is_named_and_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """In the run's reason, in its course, and from the other end."""
    unless = "unless: {on: message.received, if: reply.body == 'no'}\n    within: 1h", "no"
    word, text_ = unless if how == "unless" else ENDED[how]
    rules = RULES.replace(
        "    if: event.body == 'book'", f"    if: event.body == 'book'\n    {word}"
    )
    began, end = asyncio.run(talked(tmp_path, YAML, "book", text_, rules=rules))
    told = json.loads(shell(capsys, "trace", began, "--json"))
    (run_,) = [rule["run"] for rule in told["rules"] if rule["rule"] == YAML]
    assert end in run_["reason"]
    assert [turn["event"] for turn in run_["turns"]] == [end]
    assert end in shell(capsys, "trace", began).partition(run_["reason"])[2]
    (woke,) = json.loads(shell(capsys, "trace", end, "--json"))["woke"]
    assert (woke["run"], woke["reason"]) == (run_["uid"], run_["reason"])
    shown = shell(capsys, "trace", end)
    assert run_["uid"] in shown
    assert ("is ended by it" in shown) == (how != "unless")
    with Questions(tmp_path / "data") as asked:
        assert "ended by it" in regression(asked, end) or how == "unless"


MENU = """
rules:
  - name: menu
    on: call.received
    do: [{gather: {say: Press 1 for sales., digits: 1, choices: {"1": [{notify: Sales.}]}}}]
"""


def test_the_trace_of_a_key_names_the_question_that_was_spoken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A call is a conversation too."""

    async def calls() -> str:
        project(tmp_path, YAML)
        (tmp_path / "rules" / "all.yaml").write_text(MENU)
        node = Node(settings_of(tmp_path, {}), loaded(tmp_path))
        await node.start({})
        form = {"CallSid": "CA" + "5" * 32, "From": ANN, "To": OURS, "Direction": "inbound"}
        await node.happen(Happens("call", {**form, "CallStatus": "ringing"}))
        pressed = {**form, "CallStatus": "in-progress", "Digits": "1"}
        await node.happen(Happens("call/step", pressed))
        uid = node.reader.execute("select uid from events where type = 'call.gathered'").fetchone()
        await node.close()
        return str(uid[0])

    shown = shell(capsys, "trace", asyncio.run(calls()))
    assert "✓ menu  took it as the answer to “Press 1 for sales.”" in shown
    assert "Sales." in shown
