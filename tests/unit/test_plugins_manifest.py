"""The manifest: a project compiled without its plugins, from what another process says of them."""

import json
from pathlib import Path
from typing import Any

from ringback.config import Settings
from ringback.errors import Problem
from ringback.plugins.manifest import manifest_of, read_manifest
from ringback.plugins.memo import FunctionQuestion, Memo, StepQuestion
from ringback.project import Project
from ringback.rules.language.scope import NoFacts
from ringback.testing import sms

PLUGIN = '''"""Shouts."""
from datetime import timedelta
from ringback import hookimpl, reply, rule

@rule("message.received", if_="event.body.loud()", once_within=timedelta(minutes=1))
def quiet_please(event):
    return reply(event, "Not so loud.")

@rule("message.received", if_="event.body == 'order'", mode="parallel")
async def order(convo):
    await convo.ask("What?")

@hookimpl(trylast=True)
def on_event(event):
    return None

@hookimpl
def register_functions(register):
    register("loud", lambda text: text.isupper(), args=["string"], returns="bool")

@hookimpl
def register_steps(register):
    def shout(event, text: str, times: int = 1):
        return reply(event, text.upper() * times)
    register("shout", shout, plain="text")
'''
LATER = """from ringback import hookimpl

@hookimpl
def on_event(event):
    return None
"""
RULES = """version: 1
rules:
  - name: echo
    on: message.received
    if: loud(event.body)
    do: [shout: {text: "${{ event.body }}"}]
  - name: wrong
    on: message.received
    do: [shout: {text: a, times: many}]
"""


def told_of(real: Project) -> dict[str, Any]:
    return manifest_of(real.plugins, real.ruleset.by_name, real.problems)


def project(tmp_path: Path) -> tuple[Project, Project]:
    """The project loaded here, and as it is described by its manifest after a way through JSON."""
    for name, text in {
        "plugins/a_shouts.py": PLUGIN, "plugins/b_later.py": LATER, "rules/all.yaml": RULES,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    real = Project.load(Settings(project=tmp_path))
    told = json.loads(json.dumps(told_of(real)))
    return real, Project.described(real.settings, read_manifest(told))


def test_rules_are_the_same_without_the_plugins(tmp_path: Path) -> None:
    real, told = project(tmp_path)
    names = ["echo", "a_shouts.quiet_please", "a_shouts.order"]
    assert [rule.name for rule in told.ruleset.rules] == names
    facts = [(rule.rev, rule.once_within, rule.lasts) for rule in real.ruleset.rules]
    assert [(rule.rev, rule.once_within, rule.lasts) for rule in told.ruleset.rules] == facts
    assert [rule.lasts for rule in told.ruleset.rules] == [False, False, True]
    assert told.problems == real.problems
    assert "times" in str(told.problems)
    assert told.plugins.hooked("on_event")[-1].name == "a_shouts"
    assert [each.doc for each in told.plugins.plugins] == ["Shouts.", ""]
    assert not any(each.extends for each in told.plugins.plugins)


def test_a_plugin_that_was_left_out_is_a_problem(tmp_path: Path) -> None:
    real, _ = project(tmp_path)
    lost = Problem("plugins/b_later.py", 0, 0, "plugin", "it took longer than 5 s")
    real = Project.load(real.settings, without={"b_later": lost})
    told = Project.described(real.settings, read_manifest(told_of(real)))
    assert lost in told.problems
    assert told.plugins.problems == [lost]
    assert told.plugins.hooked("on_event") == [told.plugins.get("a_shouts")]


def test_functions_are_looked_up_and_what_is_missing_is_noted(tmp_path: Path) -> None:
    _, told = project(tmp_path)
    event, memo = sms("HELLO"), Memo()
    match = memo.within(lambda: told.ruleset.match(event, NoFacts()))
    assert match().fired == ()
    (question,) = memo.missing.values()
    assert question == FunctionQuestion("a_shouts", "loud", ("HELLO",))
    memo.known.update(dict.fromkeys(memo.missing, (True, True)))
    assert [rule.name for rule in match().fired] == ["echo", "a_shouts.quiet_please"]
    assert not memo.missing


def test_an_answer_that_is_an_error_is_raised_where_it_is_used(tmp_path: Path) -> None:
    _, told = project(tmp_path)
    event, memo = sms("HELLO"), Memo()
    match = memo.within(lambda: told.ruleset.match(event, NoFacts()))
    match()
    memo.known.update(dict.fromkeys(memo.missing, (False, ValueError("no ears"))))
    assert match().verdicts["echo"] == "error:1: no ears"


def test_steps_are_looked_up_by_their_parameters(tmp_path: Path) -> None:
    _, told = project(tmp_path)
    (step,) = told.plugins.steps
    event, memo = sms("HELLO"), Memo()

    def both() -> None:
        for text in ("a", "b", "a"):
            try:
                step.run(event, {"text": text})
            except Exception:
                continue

    memo.within(both)()
    assert list(memo.missing.values()) == [
        StepQuestion("a_shouts", "shout", event, {"text": text}) for text in ("a", "b")
    ]
