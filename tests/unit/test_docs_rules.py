"""The manual of the rule language: it names every word, and every example in it is run."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ringback.actions import SendMessage
from ringback.error_codes import CLASSES
from ringback.events import EVENT_TYPES, Event
from ringback.rules.delivery_rates import Ended
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.rules.files.schema import RULE_KEYS, FileModel
from ringback.rules.functions.builtins import BUILTINS
from ringback.rules.functions.function import Builtin
from ringback.rules.interpreter.machine import begin
from ringback.rules.language.cel import Language, Program
from ringback.rules.language.complaints import CEL_FUNCTIONS
from ringback.rules.language.scope import FIELDS, RUN_FIELDS, NoFacts, Scope
from ringback.rules.model import MODES, STATES
from ringback.rules.retry_policy import FailedText
from ringback.rules.steps.base import StepModel
from ringback.rules.steps.kinds import STEPS
from ringback.testing.cases import run_cases

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
WORDS = """
groups: {news: {}}
lists:
  oncall: [+15550100001, +15550100002]
hours:
  office: {tz: America/New_York, open: "mon-fri 09:00-17:00"}
"""
TEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TEXT = Event(
    "evt_1", "message.received", TEN, TEN, sender="+442071838750", recipient="+12125550101",
    conversation="+12125550101/+442071838750", subject_sid="SM1",
    fields={"Body": "Hours, are you open today?", "FromCity": "LONDON"},
)  # fmt: skip
CALL = Event(
    "evt_2", "call.received", TEN, TEN, sender="+442071838750", recipient="+12125550101",
    conversation="+12125550101/+442071838750", subject_sid="CA1", fields={"CallSid": "CA1"},
)  # fmt: skip
FAILURE = Event(
    "evt_4", "action.failed", TEN, TEN, source="internal", sender="+12125550101",
    recipient="+442071838750", error_code=30006, error_class="invalid_number",
    fields={"ActionUid": "act_1", "Rule": "reminder", "Kind": "send_message", "State": "failed"},
)  # fmt: skip
RECORDING = Event(
    "evt_3", "call.recorded", TEN, TEN, subject_sid="CA1",
    fields={"CallSid": "CA1", "RecordingDuration": "7"},
)  # fmt: skip


ORDER = {"id": 17, "total": 120.5, "items": [{"name": "tent"}], "customer": {"name": "Ann"}}
HOOKED = Event(
    "evt_5", "hook.shop", TEN, TEN, sender="+442071838750", recipient="+12125550101",
    conversation="+12125550101/+442071838750", subject_sid="17",
    fields={"Json": json.dumps({"type": "order.paid", "data": ORDER, "when": "Monday"})},
)  # fmt: skip


class Past(NoFacts):
    """The past of the sample event."""

    def failed_text(self, action_uid: str) -> FailedText | None:
        return FailedText(SendMessage(TEXT.sender, "Hi"), TEN) if action_uid == "act_1" else None

    def message_count(self, conversation: str) -> int:
        return 3

    def last_inbound(self, conversation: str, before: datetime) -> datetime | None:
        return TEN - timedelta(hours=2)

    def last_outbound(self, conversation: str, before: datetime) -> datetime | None:
        return TEN - timedelta(hours=1)

    def count(
        self, type_pattern: str, seconds: float, conversation: str = "", error_class: str = ""
    ) -> int:
        return {"message.failed": 2, "message.received": 3}.get(type_pattern, 10)

    def remembered(self, conversation: str, name: str) -> str:
        return {"name": "Ada", "city": "London"}.get(name, "")

    def is_member(self, group: str, number: str) -> bool:
        return (group, number) == ("news", "+15550001111")

    def ended_texts(self, by: str, of: str, seconds: float) -> Ended:
        return {
            ("all", ""): Ended(30, 10),
            ("sender", TEXT.recipient): Ended(10, 10),
            ("country", "GB"): Ended(10, 10),
            ("line_type", "landline"): Ended(10, 10),
            ("class", "carrier_filtered"): Ended(0, 10),
        }.get((by, of), Ended())

    def pending_texts(self, seconds: float, sender: str = "") -> int:
        return 1

    def left(self, seconds: float) -> int:
        return 2

    def segments_taken(self, seconds: float) -> int:
        return 45


def language(tmp_path: Path) -> Language:
    (tmp_path / "words.yaml").write_text(WORDS)
    return load_rules(tmp_path).language


@pytest.mark.parametrize("builtin", BUILTINS, ids=lambda each: each.signature)
def test_each_function_has_an_example_that_is_true_and_stands_in_the_manual(
    builtin: Builtin, tmp_path: Path
) -> None:
    known = language(tmp_path)
    program = known.compile(builtin.example, want=(), running=True)
    assert isinstance(program, Program), program
    scope = Scope(TEXT, Past(), places=known.hours, reply=RECORDING)
    assert program.evaluate(scope) is True
    row = f"| `{builtin.signature}` | {builtin.returns} | {builtin.doc} | `{builtin.example}` |"
    assert row in PAGE


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_stands_in_the_manual(name: str) -> None:
    assert f"| `{name}` | {FIELDS[name].type} | {FIELDS[name].doc} |" in PAGE


def test_what_steps_know_besides_stands_in_the_manual() -> None:
    for name in RUN_FIELDS:
        assert name in PAGE or name.startswith("reply."), name


@pytest.mark.parametrize("word", [*RULE_KEYS, *FileModel.model_fields])
def test_each_word_of_a_rule_and_of_a_file_has_its_row(word: str) -> None:
    assert re.search(rf"^\| [^|]*`{word}`[^|]* \|", PAGE, re.MULTILINE), word


@pytest.mark.parametrize("model", STEPS.values(), ids=lambda each: each.step)
def test_each_step_has_its_section_with_an_example_and_each_of_its_words(
    model: type[StepModel],
) -> None:
    section = re.search(rf"^### `{model.step}`\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, model.step
    assert re.search(rf"```yaml\n(?:.*\n)*?.*\b{model.step}\b", section[1])
    for name, field in model.model_fields.items():
        word = field.alias or name
        plain = name in (model.plain, model.whole)
        assert plain or f"`{word}`" in section[1] or f"{word}:" in section[1], word


@pytest.mark.parametrize("word", [*EVENT_TYPES, *STATES, *MODES])
def test_each_event_type_state_and_mode_stands_in_the_manual(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_the_operators_and_functions_of_the_manual_are_those_of_the_language(
    tmp_path: Path,
) -> None:
    for name in ("contains", "startsWith", "endsWith", "matches", "size", "getHours", "duration"):
        assert name in CEL_FUNCTIONS
        assert name in PAGE
    assert isinstance(
        language(tmp_path).compile("event.at - event.received_at < duration('1s')"), Program
    )


def as_rules(block: str) -> str:
    """A block of the manual as a whole file: steps are put into a rule, words are added."""
    if block.lstrip().startswith("- "):
        steps = "".join(f"      {line}\n" for line in block.splitlines())
        on = "[message.received, call.received, action.failed]"
        head = f"  - name: example\n    on: {on}\n    do:\n"
        block = f"rules:\n{head}{steps}"
    return block


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_example_loads_without_a_problem_and_its_steps_run(block: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(as_rules(block))
    if not any(word in block for word in ("hours:", "lists:", "groups:")):
        (tmp_path / "words.yaml").write_text(WORDS)
    loaded = load_rules(tmp_path)
    assert [str(problem) for problem in loaded.problems] == []
    if "\ncases:" in block:
        results = run_cases(tmp_path / "example.yaml")
        assert [str(each.problem) for each in results if not each.good] == []
    places = RuleSet(loaded.rules, loaded.language).places
    for rule in loaded.rules:
        event = CALL if any(type_.startswith("call.") for type_ in rule.on) else TEXT
        event = FAILURE if rule.on == ("action.failed",) else event
        event = HOOKED if rule.on[0].startswith(("hook.", "rule.")) else event
        locks: dict[str, str] = {}
        while lock := (
            progress := begin(rule, event, Past(), TEN, places=places, locks=locks)
        ).lock:
            locks[lock.key] = ""
        assert not progress.end.startswith("failed"), progress.end
        assert progress.actions or progress.wait is not None, rule.name


@pytest.mark.parametrize("block", [each for each in BLOCKS if "\ncases:" in each])
def test_the_cases_of_an_example_hold(block: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(block)
    results = run_cases(tmp_path / "example.yaml")
    assert results
    assert [str(result.problem) for result in results if not result.good] == []


def test_the_examples_in_the_code_of_the_steps_load(tmp_path: Path) -> None:
    examples = "".join(f"{model.example}\n" for model in STEPS.values())
    text = as_rules(examples) + "  - {name: support-line, on: call.received, do: [hangup]}\n"
    (tmp_path / "example.yaml").write_text(text)
    (tmp_path / "words.yaml").write_text(WORDS)
    assert [str(problem) for problem in load_rules(tmp_path).problems] == []


def test_the_error_of_the_manual_is_the_error_that_is_given(tmp_path: Path) -> None:
    shown = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    path = tmp_path / "rules" / "reply.yaml"
    path.parent.mkdir()
    path.write_text(
        "rules:\n  - name: a\n    on: message.received\n    if:\n      - event.boddy == 'x'\n"
        "    do: [stop]\n"
    )
    from ringback.rules.files.report import render

    assert render(load_rules(path.parent).problems).replace("  ", "") == shown[1].strip().replace(
        "  ", ""
    )


def test_every_kind_of_problem_has_its_row() -> None:
    broken = Path(__file__).parents[1] / "data" / "broken_rules"
    kinds = {problem.kind for problem in load_rules(broken).problems}
    for kind in kinds | {"encoding", "file", "function", "step"}:
        assert re.search(rf"^\| [^|]*`{kind}`[^|]* \|", PAGE, re.MULTILINE), kind


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_of_error_stands_in_the_manual(name: str) -> None:
    assert f"`{name}`" in PAGE
