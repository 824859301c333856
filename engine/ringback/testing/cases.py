"""Cases: examples beside the rules, in YAML, which say what shall happen and are run.

A rule file may have a key `cases`. Each case lets things happen to the whole project on a bench of
its own, with its own clock, and compares the actions with what it expects::

    cases:
      - name: a text at night is answered
        at: 2026-11-21 03:00 America/New_York
        given:
          - text: Hello?
        expect:
          - reply: We are closed now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from ringback.actions import Broadcast, HttpRequest
from ringback.config import Settings
from ringback.errors import Problem, RingbackError, RuleErrors
from ringback.events import Event
from ringback.rules.files.reader import Reader
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node, parse, read_source
from ringback.rules.language.cel import plain_language
from ringback.rules.timing.calendar import zone
from ringback.testing import events
from ringback.testing.bench import Bench
from ringback.testing.case_failures import Sent, Wished, can_fail, outgoing, wished
from ringback.testing.case_story import said, story_of
from ringback.testing.expectations import plain_steps, shown, unlike
from ringback.testing.given import Given, Known
from ringback.testing.reaction import Reaction


class CaseModel(BaseModel):
    """One case: what happens (`given`) and what rules do then (`expect`).

    `at` is the moment at which it begins, `from` and `to` the addresses of who texts or calls and
    of us. `expect` are all actions in order that the gate lets out, or those of the rule `of`;
    `why` are verdicts of the last event, whole or up to their colon.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    plain: ClassVar[str] = ""

    name: str
    at: str = ""
    from_: str = Field(events.THEIRS, alias="from")
    to: str = events.OURS
    given: list[Any] = Field(min_length=1)
    expect: list[Any] | None = None
    of: str = ""
    fired: list[str] | None = None
    why: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went. `problem` is None when it is as expected; else `story` says what happened,
    what rules did and why others did not."""

    name: str
    file: str
    line: int
    problem: Problem | None = None
    story: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether everything was as expected."""
        return self.problem is None


def run_cases(
    project: Path,
    *,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Settings | None = None,
    pick: Sequence[str] = (),
) -> list[CaseResult]:
    """Run every case of a project folder, or of one rule file alone, in the order of the files.

    `settings` are those of the gate; without them a project folder's own are read. `pick` leaves
    only cases with one of these texts in their name, or in the name of their file.

    Raises RuleErrors when the rules or plugins do not load.
    """
    bench = Bench.load(project, config=config, settings=settings)
    results: list[CaseResult] = []
    files = [project]
    if project.is_dir():
        found = [*(project / "rules").rglob("*.yaml"), *(project / "rules").rglob("*.yml")]
        files = sorted(path for path in found if path.is_file())
    for path in files:
        shown = str(path.relative_to(project)) if project.is_dir() else str(path)
        results += _file(path, shown, bench, [text.casefold() for text in pick])
    return results


def _file(path: Path, shown: str, bench: Bench, pick: Sequence[str]) -> list[CaseResult]:
    source = read_source(path, shown)
    tree = parse(source) if isinstance(source, Source) else source
    if not isinstance(tree, Node) or not isinstance(source, Source):
        raise RuleErrors(tree if isinstance(tree, list) else [tree])  # type: ignore[list-item]
    node = tree.value.get("cases") if isinstance(tree.value, dict) else None
    items = node.value if node is not None and isinstance(node.value, list) else []
    reader = Reader(source, plain_language())
    cases = [item for item in items if isinstance(item, Node)]
    return [_case(item, reader, bench) for item in cases if _picked(item, shown, pick)]


def _picked(node: Node, file: str, pick: Sequence[str]) -> bool:
    name = node.value.get("name") if isinstance(node.value, dict) else None
    words = f"{file} {name.value if name is not None else ''}".casefold()
    return not pick or any(text in words for text in pick)


def _case(node: Node, reader: Reader, bench: Bench) -> CaseResult:
    reader.problems = []
    model = reader.model(node, CaseModel)
    case = _Case(node, model, reader, bench) if model is not None else None
    if case is not None:
        case.run()
    problem = reader.problems[0] if reader.problems else None
    name = model.name if model is not None else "a case"
    story = tuple(case.story) if case is not None and problem is not None else ()
    return CaseResult(name, reader.source.file, node.line, problem, story)


def _left(reaction: Reaction, of: str) -> list[Any]:
    """What rules did and the gate let out, or the actions of one rule, also of one in shadow;
    what the gate had kept back before comes last."""
    made = reaction.by.get(of, ()) if of else reaction.actions
    back = [each.action for each in reaction.held]
    left = [action for action in made if not any(action is each for each in back)]
    known = [each for made in reaction.by.values() for each in made]
    late = [action for action in reaction.sent if not any(action is each for each in known)]
    return left if of else left + late


class _Case:
    """One case while it runs."""

    def __init__(self, node: Node, model: CaseModel, reader: Reader, bench: Bench) -> None:
        self.parts: dict[str, Node] = node.value if isinstance(node.value, dict) else {}
        self.model, self.rule_reader = model, reader
        self.project = bench
        self.given = Given(
            model.from_, model.to, bench.ruleset.rules, bench.ruleset.language.hooks or {}
        )
        self.made: list[Wished] = []
        self.sent: list[Sent] = []
        self.story: list[str] = []
        self.events = 0

    def numbered(self, event: Event) -> Event:
        """The event by its number in the case, so that a choice by chance (`random_digits`) is the
        same whichever cases ran before."""
        self.events += 1
        return replace(event, uid=f"evt_case{self.events}")

    def run(self) -> None:
        try:
            moment = parse_moment(self.model.at) if self.model.at else events.NOON
        except ValueError as error:
            self.rule_reader.fail(self.parts["at"], "case", str(error))
            return
        bench = Bench(
            self.project.ruleset, self.project.plugins, now=moment, settings=self.project.settings
        )  # fmt: skip
        actions: list[tuple[Any, Event | None]] = []
        held: list[str] = []
        fired: list[str] = []
        verdicts: Mapping[str, str] = {}
        given = self.parts["given"]
        event: Event | None = None
        for item in given.value if isinstance(given.value, list) else ():
            if not isinstance(item, Node):
                continue
            try:
                happens = self.given.happens(item, bench.clock.now(), self.sent)
                if isinstance(happens, Known):
                    bench.past.know(happens.number, happens.fields, happens.groups)
                    continue
                reactions = (
                    [bench.wait(happens)]
                    if isinstance(happens, float)
                    else [bench.react(self.numbered(each)) for each in happens]
                )
            except (RingbackError, ValueError) as error:
                self.story += [said(item.plain()), f"  {error}"]
                self.rule_reader.fail(item, "case", str(error))
                return
            for reaction in reactions:
                self.story += story_of(item.plain(), reaction, bench.ruleset)
                event = reaction.event or event
                if reaction.verdicts or reaction.fired:
                    verdicts = {**reaction.verdicts, **dict.fromkeys(reaction.fired, "fired")}
                fired += reaction.fired
                self.made += wished(reaction, event)
                self.given.asked += [
                    each for each in reaction.sent if isinstance(each, HttpRequest) and each.answer
                ]
                begun = [each for each in reaction.actions if isinstance(each, Broadcast)]
                self.given.broadcast = begun[-1] if begun else self.given.broadcast
                left = outgoing(reaction, self.made)
                bench.past.failed |= can_fail(left, bench.clock.now())
                self.sent += left
                actions += [(action, event) for action in _left(reaction, self.model.of)]
                held += [
                    f"{shown(plain)} ({each.reason})"
                    for each in reaction.held
                    for plain in plain_steps(each.action, event)
                    if self.model.of in ("", each.rule)
                ]
        self.compare(actions, fired, verdicts, held)

    def compare(
        self,
        actions: Sequence[tuple[Any, Event | None]],
        fired: Sequence[str],
        verdicts: Mapping[str, str],
        held: Sequence[str],
    ) -> None:
        made = [plain for action, event in actions for plain in plain_steps(action, event)]
        if self.model.expect is not None:
            node = self.parts["expect"]
            wrong = unlike(self.model.expect, made)
            if wrong is not None:
                index, text = wrong
                if held:
                    text += f"; held back: {', '.join(held)}"
                items = node.value if isinstance(node.value, list) else []
                place = items[index] if index < len(items) else node
                self.rule_reader.fail(place if isinstance(place, Node) else node, "case", text)
        if self.model.fired is not None and list(fired) != self.model.fired:
            text = f"fired were {', '.join(fired) or 'no rules'}"
            self.rule_reader.fail(self.parts["fired"], "case", text)
        for rule, why in self.model.why.items():
            found = verdicts.get(rule, "it did not look at this event")
            if found != why and not found.startswith(f"{why}:"):
                self.rule_reader.fail_key(self.parts["why"], rule, "case", f"{rule}: {found}")


def parse_moment(text: str) -> datetime:
    """Read `2026-11-21 03:00 America/New_York` or `2026-11-21T08:00:00Z`. Raises ValueError."""
    clock, _, place = text.strip().rpartition(" ")
    try:
        if clock and not place[:1].isdigit():
            return datetime.fromisoformat(clock).replace(tzinfo=zone(place))
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        hint = "write it like 2026-11-21 03:00 America/New_York"
        raise ValueError(f"{text!r} is no moment ({error}); {hint}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it like {text} America/New_York")
    return moment
