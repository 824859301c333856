"""The table of action kinds: whole, refused where a row cannot work, and known to no SQL."""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ringback
from ringback import action_kinds
from ringback.action_kinds import OURS, ActionKind, from_params, kind_of, register_kind
from ringback.actions import AnswerCall, SendMessage, to_params
from ringback.errors import UsageError
from ringback.outcomes import EFFECTS
from ringback.rules.steps.kinds import STEPS
from ringback.rules.steps.voice import VoiceModel
from ringback.verbs import OUR_VERBS, Enqueue, Play, spelt, word_of

TABLES = (Path(__file__).parents[2] / "docs" / "tables.md").read_text("utf-8")
CLASSES = list(dict.fromkeys((*(kind.cls for kind in OURS), *OUR_VERBS)))
VOICE = [step for step in STEPS.values() if issubclass(step, VoiceModel)]
STORE = Path(action_kinds.__file__).parent / "store"


@dataclass(frozen=True, slots=True)
class Wink:
    """An action that nobody knows."""

    kind: ClassVar[str] = "wink"
    at: str = ""
    policy: str = "natural"


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
def test_every_row_fits_its_class(kind: ActionKind) -> None:
    """What a row names is there: its fields, its effect, its policy."""
    names = {field.name for field in fields(kind.cls)}
    assert "policy" in names
    assert {kind.whom} - {""} <= names
    assert kind.effect in ("", *EFFECTS)
    assert all(name in names or "extra" in names for name in kind.identity)
    if not isinstance(kind.cls.__dict__["kind"], property):
        assert kind.cls.kind == kind.name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_authors_get_every_action_and_verb_from_one_place(cls: type[Any]) -> None:
    """`from ringback import …` has each."""
    assert cls.__name__ in ringback.__all__
    assert getattr(ringback, cls.__name__) is cls


def test_the_manual_names_every_kind() -> None:
    """tables.md lists what `actions.kind` may be; a stop is never written down."""
    row = next(line for line in TABLES.splitlines() if "`send_message`" in line)
    assert re.findall(r"`(\w+)`", row) == ["kind", *(k.name for k in OURS if k.name != "stop")]


@pytest.mark.parametrize("step", VOICE, ids=lambda step: step.step)
def test_the_parameters_of_a_voice_step_are_fields_of_its_verb(step: type[VoiceModel]) -> None:
    """They have a field's word and its default, but for those that only the step knows."""
    known = {word_of(item): item for item, _ in spelt(step.verb)}
    for name, given in step.model_fields.items():
        item = known.get(given.alias or name)
        if item is None:
            assert name in STEPS_ALONE, name
        elif name not in ("input", "record") and not given.is_required():
            default = given.get_default(call_default_factory=True)
            assert (tuple(default) if isinstance(default, list) else default) == item.default, name


STEPS_ALONE = (
    "say", "play", "as_", "choices", "else_", "answered", "again", "tries", "in_turn", "screen",
)  # fmt: skip


def test_what_waits_in_a_queue_is_a_kind_of_its_own() -> None:
    """One class may have two kinds: its `kind` says which."""
    assert kind_of(AnswerCall("CA1", (Play("x"),))).name == "answer_call"
    assert kind_of(AnswerCall("CA1", (Enqueue("q"),))).name == "enqueue_call"


def test_params_come_back_as_the_same_action() -> None:
    """Lists of the journal are tuples again, verbs are verbs."""
    action = SendMessage("+1555", media=("a", "b"), extra={"ContentSid": "HX1"}, policy="fast")
    assert from_params("send_message", to_params(action), "fast") == action
    answer = AnswerCall("CA1", (Play("x"), Enqueue("q")))
    assert from_params(answer.kind, to_params(answer)) == answer


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ActionKind("send_message", Wink), "Ringback's own"),
        (ActionKind("wink", Wink, effect="smoke", resource="x"), "unknown effect 'smoke'"),
        (ActionKind("wink", Wink, effect="call"), "needs the resource"),
        (ActionKind("wink", Wink, effect="call", resource="calls"), "lacks the field to, sender"),
        (ActionKind("blink", Wink), "needs `kind = 'blink'`"),
    ],
)
def test_a_kind_that_cannot_work_is_refused(kind: ActionKind, words: str) -> None:
    """And says what it lacks; the table is as it was."""
    before = action_kinds.kinds()
    with pytest.raises(ValueError, match=words):
        register_kind(kind)
    assert action_kinds.kinds() == before


def test_an_unknown_kind_is_no_action() -> None:
    """A class that nobody registered is refused as any other value is."""
    unknown: Any = Wink()
    assert not action_kinds.is_action(unknown)
    with pytest.raises(UsageError, match="unknown action kind 'wink'"):
        kind_of(unknown)


def test_no_query_lists_kinds() -> None:
    """The column `effect` says what a query wants to know; only old shapes spell kinds."""
    spelt = {
        path.name
        for path in STORE.glob("*.py")
        for kind in OURS
        if f"'{kind.name}'" in path.read_text("utf-8")
    }
    assert spelt == set()
