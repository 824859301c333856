"""Rule model: when this event, if this holds, do these steps. One shape for YAML and for Python."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from ringback.rules.language.cel import Language, Program
    from ringback.rules.language.templates import Template

STATES = ("off", "shadow", "draft", "live")
WAITS_FOR_YES = "the rule is a draft: waits for a person's yes"
"""The reason of an action of a rule in draft."""
MODES = ("parallel", "single", "restart", "queued")
MOST_ENTRIES = 200
"""How many entries a list may have that steps are done for each of."""
PLACED = "placed-"
"""How the nonces begin of the calls that a run goes on in."""
DEFAULT_TRUST = frozenset({"signed", "confirmed", "simulated"})


@dataclass(frozen=True, slots=True)
class RuleSpec:
    """A rule in Python as its author wrote it: a function and the words given to `@rule`.

    `words` are under their YAML spelling (`on`, `if`, `from`, `once_within`, …). `code` is what the
    function does, as text, where its handler cannot show it; `converses`: it is a conversation.
    """

    name: str
    handler: Callable[..., Any]
    words: Mapping[str, Any]
    file: str
    line: int
    column: int = 1
    plugin: str = ""
    code: str = ""
    converses: bool = False


@dataclass(frozen=True, slots=True)
class StepKind:
    """A step that a plugin brings. `model` (pydantic) checks its parameters when it is loaded.

    `plain` is the parameter that `- name: text` fills, empty for none. `run(event, params)` gives
    the actions; `params` are the parameters with their `${{ }}` evaluated.
    """

    name: str
    run: Callable[..., Any]
    model: type[Any]
    plain: str
    doc: str = ""
    plugin: str = ""
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One line of `if`: its text, its program, and where it stands."""

    source: str
    program: "Program"
    line: int = 0


def found_by(from_: object, to: object, schedule: object) -> str:
    """By which of its words a rule is found: `from`, `to` or `schedule`; empty when it is for
    anybody. It is the verdict, too, on events that it is not found for."""
    return "from" if from_ else "to" if to else "schedule" if schedule else ""


@dataclass(frozen=True, slots=True, eq=False)
class Trigger:
    """An event that something waits for: its types, and conditions on it (there called `reply`).
    `key` is how it says the key of the run that it is for, where it has that elsewhere than the
    event of the run; in it the event that came is `reply`."""

    types: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    key: "Template | None" = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Times at which a rule starts by itself: a cron line, read in a time zone."""

    cron: str
    zone: str = "UTC"

    def after(self, moment: "datetime") -> "datetime | None":
        """The first time after this moment, UTC; None when the line never comes true again."""
        from ringback.rules.timing.cron import next_time

        return next_time(self.cron, self.zone, moment)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step, compiled. `params` hold texts as templates; `branches` hold the steps inside.

    `most` says how many entries those that are lists may have when they are rendered.
    """

    kind: str
    params: Mapping[str, Any]
    branches: Mapping[str, tuple["Step", ...]] = field(default_factory=dict)
    line: int = 0
    plugin: "StepKind | None" = None
    most: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a rule may spend in a day: messages and calls, segments of text, and money at the
    price of a segment that the settings name. 0 means any amount."""

    per_day: int = 0
    segments_per_day: int = 0
    price_per_day: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule, ready to be matched and run.

    Exactly one of `steps` (from YAML) and `handler` (from Python) is set. Spans are seconds, 0
    means off. `priority`: higher comes first, ties in the order of files and lines. `rev` is a
    digest of what the rule means: it changes when the meaning may have changed, not when the file
    moves; `text` is what it says, as JSON. `ordered`: the texts of a run to one person wait for
    each other. `limit` is the handler's time limit in seconds, 0 for the default; `converses`: the
    handler is a conversation.
    """

    name: str
    on: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    trust: frozenset[str] = DEFAULT_TRUST
    from_: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    let: tuple[tuple[str, Any], ...] = ()
    key: "Template | None" = None
    once_within: float = 0.0
    once_after: float = 0.0
    max_wait: float = 0.0
    accumulate_within: float = 0.0
    threshold: int = 0
    schedule: Schedule | None = None
    unless: Trigger | None = None
    within: float = 0.0
    cancel_on: Trigger | None = None
    mode: str = "parallel"
    max: int = 10
    state: str = "live"
    priority: int = 0
    backstop: bool = False
    also_answers: bool = False
    ordered: bool = True
    limit: float = 0.0
    budget: Budget | None = None
    description: str = ""
    steps: tuple[Step, ...] = ()
    handler: Callable[..., Any] | None = None
    converses: bool = False
    file: str = ""
    line: int = 0
    rev: str = ""
    text: str = ""
    plugin: str = ""
    language: "Language | None" = field(default=None, repr=False)

    @property
    def foreign(self) -> bool:
        """Whether it runs the code of a plugin: a handler, or a step that a plugin brings."""
        return self.handler is not None or any(_foreign(step) for step in self.steps)

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """What its runs look out for: `cancel_on` and `unless`."""
        return tuple(each for each in (self.cancel_on, self.unless) if each is not None)

    def finds_by_key(self, trigger: Trigger) -> bool:
        """Whether an event is for those runs alone that have the key which it says."""
        return self.key is not None or trigger.key is not None

    @property
    def in_shadow(self) -> bool:
        """Whether it sees everything and touches nothing."""
        return self.state == "shadow"

    @property
    def collects(self) -> bool:
        """Whether events that match while a run of this key waits belong to that run.

        The worker then wakes the waiting run with the event instead of starting another one.
        """
        return bool(self.once_after or self.accumulate_within)

    @property
    def lasts(self) -> bool:
        """Whether its runs wait, so that a limit on how many there are means something."""
        return self.converses or self.unless is not None or any(map(_waits_within, self.steps))


def waits(step: Step) -> bool:
    """Whether a run stops at this step until its time has come, or what it asks for."""
    if step.kind == "dial":
        asks = step.params["whisper"] or step.params["screen"]
        return bool(step.branches.get("answered") or step.branches.get("else") or asks)
    if step.kind == "http":
        return awaits_answer(step)
    if step.kind == "broadcast":
        return bool(step.params["as"])
    if step.kind == "call":
        return bool(step.params["converses"])
    return step.kind in ("wait", "wait_for", "ask", "gather", "record")


def waits_apart(step: Step) -> bool:
    """Whether a step whose entries are asked at once waits for one of them before that."""
    before = step.branches.get("do", ())[:-1] if step.params.get("at_once") else ()
    return any(map(waits, every_step(before)))


def awaits_answer(step: Step) -> bool:
    """Whether a web request is one whose answer the run waits for."""
    return bool(step.params.get("as") or step.branches.get("else"))


def every_step(steps: Iterable[Step]) -> Iterator[Step]:
    """These steps, and those inside of them."""
    for step in steps:
        yield step
        for inside in step.branches.values():
            yield from every_step(inside)


def _waits_within(step: Step) -> bool:
    inside = (each for branch in step.branches.values() for each in branch)
    return waits(step) or any(map(_waits_within, inside))


def _foreign(step: Step) -> bool:
    inside = (each for branch in step.branches.values() for each in branch)
    return step.plugin is not None or any(map(_foreign, inside))
