"""Texts in languages: which one is said, what it knows, and what is refused at load."""

from pathlib import Path

import pytest

from ringback.actions import Notify, SendMessage
from ringback.events import Event
from ringback.rules.files.load import Loaded, load_rules
from ringback.rules.functions.declared import check_function
from ringback.rules.functions.function import Function
from ringback.rules.interpreter.machine import Wake, begin, resume
from ringback.rules.language.scope import NoFacts
from ringback.testing import NOON, sms

TEXTS = """texts:
  hello: {en: "Hello ${{ event.from }}.", es: Hola., pt-BR: Oi., zh-Hant: 你好}
  number: {en: "${{ int(event.body) + 1 }}"}
"""
RULE = """rules:
  - name: r
    on: message.received
    do:
"""


KEPT = """texts:
  kept: {en: "You said ${{ vars.what }}.", es: "Has dicho ${{ vars.what }}."}
"""


def load(tmp_path: Path, step: str, texts: str = TEXTS, **others: str) -> Loaded:
    folder = tmp_path / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.yaml").write_text(f"{texts}{RULE}{step}\n", "utf-8")
    for name, source in others.items():
        (folder / f"{name}.yaml").write_text(source, "utf-8")
    return load_rules(folder)


def said(tmp_path: Path, step: str, event: Event, texts: str = TEXTS) -> str:
    """What a rule texts back at once, or why its run failed."""
    loaded = load(tmp_path, step, texts)
    assert loaded.problems == []
    progress = begin(loaded.rules[0], event, NoFacts(), NOON)
    bodies = [each.body for each in progress.actions if isinstance(each, SendMessage)]
    return "".join(bodies) or progress.end


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("es", "Hola."), ("ES", "Hola."), ("es-MX", "Hola."), (" es_419 ", "Hola."),
        ("pt-br", "Oi."), ("zh-hant-TW", "你好"), ("zh", "Hello +14155550100."),
        ("pt", "Hello +14155550100."), ("fr", "Hello +14155550100."),
        ("", "Hello +14155550100."), ("-", "Hello +14155550100."),
        ("x" * 90, "Hello +14155550100."),
    ],
)  # fmt: skip
def test_the_nearest_language_is_said(tmp_path: Path, wanted: str, text: str) -> None:
    """Without its region, and else the first that is written."""
    event = sms(wanted, from_="+14155550100")
    assert said(tmp_path, "      - reply: \"${{ t('hello', event.body) }}\"", event) == text


def test_a_text_knows_what_a_step_kept(tmp_path: Path) -> None:
    step = "      - {wait_for: {as: what}}\n      - reply: \"${{ t('kept', 'es') }}\""
    rule = load(tmp_path, step, KEPT).rules[0]
    first = begin(rule, sms("a"), NoFacts(), NOON)
    last = resume(rule, sms("a"), NoFacts(), NOON, first.state, Wake(sms("té")))
    assert [each.body for each in last.actions if isinstance(each, SendMessage)] == [
        "Has dicho té."
    ]


def test_an_expression_that_fails_in_a_text_fails_the_run_and_names_the_text(
    tmp_path: Path,
) -> None:
    step = "      - reply: \"${{ t('number', 'en') }}\""
    assert said(tmp_path, step, sms("41")) == "42"
    end = said(tmp_path, step, sms("many"))
    assert end.startswith("failed: step `reply` (line 8): ")
    assert "text 'number': ${{ int(event.body) + 1 }}" in end


def test_a_name_that_is_worked_out_is_looked_up(tmp_path: Path) -> None:
    step = "      - reply: \"${{ t(event.body, 'es') }}\""
    assert said(tmp_path, step, sms("hello")) == "Hola."
    assert "there is no text 'helo'; did you mean 'hello'?" in said(tmp_path, step, sms("helo"))


def test_a_condition_may_ask_and_other_files_may_use_it(tmp_path: Path) -> None:
    line = "t('hello', 'es') == event.body"
    other = f'rules: [{{name: s, on: message.received, if: "{line}", do: [{{notify: x}}]}}]'
    loaded = load(tmp_path, "      - stop", b=other)
    assert loaded.problems == []
    rule = next(each for each in loaded.rules if each.name == "s")
    actions = begin(rule, sms("Hola."), NoFacts(), NOON).actions
    assert [type(each) for each in actions] == [Notify]


@pytest.mark.parametrize(
    ("texts", "step", "why"),
    [
        (TEXTS, "t('helo', 'en')", "no text is named 'helo'; did you mean 'hello'?"),
        ("", "t('hello', 'en')", "no text is named 'hello'; add it under `texts`"),
        (TEXTS, "t('hello', 1)", "t(string, string)"),
        (TEXTS, "t('hello')", "t(string, string)"),
        ("texts: {a: {english: x}}\n", "t('a', 'en')", "'english' is no language"),
        ("texts: {a: x}\n", "t('a', 'en')", "the text 'a' needs its languages; write `a: {en: "),
        ("texts: {a: {}}\n", "t('a', 'en')", "the text 'a' needs its languages; write `a: {en: "),
        ("texts: {a: {en: [x]}}\n", "t('a', 'en')", "needs a text"),
        ("texts: {a b: {en: x}}\n", "t('a b', 'en')", "'a b' is no name; use letters, digits"),
        ("texts: {a: {en: '${{ evnt.body }}'}}\n", "t('a', 'en')", "'evnt"),
        ("texts: {a: {en: '${{ vars.no }}'}}\n", "t('a', 'en')", "no step keeps 'no'"),
        ("texts: {a: {en: \"${{ t('a', 'en') }}\"}}\n", "t('a', 'en')", "no text is named 'a'"),
        ("texts: [a]\n", "'x'", "'texts' needs a mapping"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_at_load(tmp_path: Path, texts: str, step: str, why: str) -> None:
    problems = load(tmp_path, f'      - reply: "${{{{ {step} }}}}"', texts).problems
    assert any(why in str(each) for each in problems), problems
    assert all(each.line for each in problems)


def test_the_same_text_in_two_files_is_a_mistake(tmp_path: Path) -> None:
    loaded = load(tmp_path, "      - stop", b="texts: {hello: {en: Hi}}\nrules: []\n")
    assert [each.message for each in loaded.problems] == [
        "texts 'hello' are there twice, in two files"
    ]


def test_a_plugin_has_no_function_of_that_name() -> None:
    taken = Function("t", str.upper, ("string",), "string")
    assert check_function(taken) == "'t' is a function of the language already"
