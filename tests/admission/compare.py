"""One story in words that compare: verdicts, ends of runs, actions and the gate's word.

The names of runs differ between the two. In verdicts each is written by its number; in a story of
bursts they begin in another order, and the number is left out.
"""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from admission.node import Loaded, Node, settings_of
from admission.stories import Happens, Story
from ringback.actions import to_params
from ringback.events import Event
from ringback.outcomes import Answered
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.files.load import load_rules
from ringback.testing.bench import Bench
from ringback.testing.outbox import Dispatch
from ringback.testing.reaction import Reaction
from ringback.twilio.webhooks import events_from

LEFT = ("accepted", "settled", "sent")
SAID = ("to", "body", "text", "name", "value", "url")


@dataclass
class Seen:
    """Everything that one side has made of the story so far, by event and rule; what was `told` is
    by the conversation of the event and in its order, but for rules in shadow: those come when they
    come."""

    verdicts: dict[str, dict[str, str]] = field(default_factory=dict)
    ends: dict[tuple[str, str], str] = field(default_factory=dict)
    actions: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    told: dict[str, list[str]] = field(default_factory=dict)


class OnBench:
    """The story on a bench."""

    def __init__(self, story: Story, loaded: Loaded, settings: Any) -> None:
        self.seen = Seen()
        self.made: list[Dispatch] = []
        self.names: dict[str, str] = {}
        self.bench = Bench(
            loaded.ruleset, loaded.plugins, watch=self, settings=settings,
            quarantined=story.quarantined,
        )  # fmt: skip
        self.bench.http = lambda _request, _event: Answered(why="shown in the log, not sent")

    def dispatched(self, dispatch: Dispatch) -> None:
        """See `Watch`."""
        self.made.append(dispatch)

    def failed(self, rule: str, why: str, event: Event | None) -> None:
        """See `Watch`."""

    def react(self, event: Event) -> None:
        """Let an event happen."""
        self.names[event.uid] = event.dedupe_key
        known = event.dedupe_key in self.seen.verdicts
        reaction = self.bench.react(event)
        verdicts = {**reaction.verdicts, **dict.fromkeys(reaction.fired, "fired")}
        if not known:
            self.seen.verdicts[event.dedupe_key] = {
                rule: "fired" if why.startswith("stopped: ") else why
                for rule, why in verdicts.items()
            }
        self.note(reaction)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.note(self.bench.wait(seconds))

    def note(self, reaction: Reaction) -> None:
        """Take in what has come of it."""
        for end in reaction.ended:
            place = (self.names[end.event_uid], end.rule)
            self.seen.ends[place] = f"{end.state}: {_named(end.reason, self.names)}"
        made: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        told: defaultdict[str, list[str]] = defaultdict(list)
        for each in self.made:
            place = (self.names[each.event_uid], each.rule)
            state = "left" if each.state == "sent" else f"{each.state}: {each.reason}"
            said = _action(each.action.kind, to_params(each.action), state)
            made[place].append(said)
            if each.state != "captured":
                told[each.event.conversation if each.event else ""].append(said)
        self.seen.actions, self.seen.told = dict(made), dict(told)


def on_node(node: Node) -> Seen:
    """The story as the journal of a node has it."""
    reader = node.reader
    runs = reader.execute(
        "select r.uid, e.dedupe_key, r.rule, r.state, r.reason from runs r "
        "join events e on e.uid = r.event_uid where r.state <> 'cancelled' "
        "or r.reason not like 'answer: %' order by r.id"  # that one has never begun
    ).fetchall()
    numbers = {run[0]: f"run_{number}" for number, run in enumerate(runs, 1)}
    keys = dict(reader.execute("select uid, dedupe_key from events").fetchall())
    seen = Seen()
    # A bench opens no incidents: that a budget is used up it says of each action.
    heard = (  # what a node tells of its own work, to which no rule of a story listens
        "select dedupe_key, verdicts from events where type not like 'incident.%' "
        "and type not in ('http.answered', 'broadcast.begun') and type not like 'action.%'"
    )
    for key, verdicts in reader.execute(heard):
        seen.verdicts[key] = json.loads(_numbered(verdicts, numbers))
    for _, key, rule, state, reason in runs:
        if state in ("done", "failed", "cancelled"):
            seen.ends[key, rule] = f"{state}: {_numbered(_named(reason, keys), numbers)}"
    rows = reader.execute(
        "select e.dedupe_key, a.rule, a.kind, a.params, a.state, a.reason, e.conversation "
        "from actions a "
        "join events e on e.uid = a.event_uid order by a.id"
    )
    for key, rule, kind, params, state, reason, conversation in rows:
        state = "left" if state in LEFT else f"{state}: {reason}"
        said = _action(kind, json.loads(params), state)
        seen.actions.setdefault((key, rule), []).append(said)
        if not state.startswith("captured"):
            seen.told.setdefault(conversation, []).append(said)
    return seen


def _numbered(said: str, numbers: Mapping[str, str]) -> str:
    """What was said with the runs in it by their numbers."""
    return re.sub(r"run_\w+", lambda found: numbers.get(found[0], "run_?"), said)


def _named(reason: str, keys: Mapping[str, str]) -> str:
    """A reason with the events in it by their identities."""
    return re.sub(r"evt_\w+", lambda found: keys.get(found[0], found[0]), reason)


def _action(kind: str, params: dict[str, Any], state: str) -> str:
    params = params | ({"url": ""} if params.get("step") else {})  # a bench has no address
    said = " ".join(str(params[name]) for name in SAID if params.get(name))
    return f"{kind} {said} | {state}"


def load(story: Story, folder: Path) -> Loaded:
    """The rules of a story. Raises AssertionError when they are no rules."""
    path = folder / "rules.yaml"
    path.write_text(story.rules)
    loaded = load_rules(path)
    assert loaded.problems == [], story.rules
    return Loaded(RuleSet(loaded.rules, loaded.language), PluginSet())


@dataclass(frozen=True)
class Compared:
    """Why the two differ, at which step and in what, empty when they do not; and what was seen."""

    why: str
    node: Seen


async def difference(story: Story, folder: Path, loaded: Loaded | None = None) -> Compared:
    """Let a story happen on both sides, up to the first difference."""
    loaded = loaded or load(story, folder)
    settings = settings_of(folder, story.settings)
    node, beside = Node(settings, loaded), OnBench(story, loaded, settings)
    await node.start(story.quarantined)
    seen = Seen()
    try:
        for number, step in enumerate(story.steps, 1):
            if isinstance(step, float):
                await node.wait(step)
                beside.wait(step)
            elif isinstance(step, Happens) and step.route == "start":
                beside.react(await node.begin(step))
            else:
                for row in await node.happen(*(step if isinstance(step, tuple) else (step,))):
                    for event in events_from(row, partial("evt_{}".format, row.id)):
                        beside.react(event)
            seen = on_node(node)
            found = _unlike(seen, beside.seen, numbered=story.numbered)
            if found:
                return Compared(f"step {number}, {step}: {found}", seen)
            assert beside.bench.clock.now() - node.now < timedelta(milliseconds=1)
        return Compared("", seen)
    finally:
        await node.close()


def _unlike(node: Seen, bench: Seen, *, numbered: bool) -> str:
    for what in ("verdicts", "ends", "actions", "told"):
        one, other = getattr(node, what), getattr(bench, what)
        for place in sorted({*one, *other}):
            if not _alike(one.get(place), other.get(place), numbered):
                return f"{what} of {place}:\n  node  {one.get(place)}\n  bench {other.get(place)}"
    return ""


def _alike(one: object, other: object, numbered: bool) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        one = {rule: _judged(why, other.get(rule, "")) for rule, why in one.items()}
    if one == other or numbered:
        return one == other
    found, beside = (re.sub(r"run_\d+", "run_?", repr(_in_order(each))) for each in (one, other))
    return found == beside


def _judged(why: str, beside: str) -> str:
    """The verdict of a node in words of the bench, which says once what becomes of an event. When a
    run that it had joined takes no more, the node writes the new verdict; what the run that begins
    then does is compared all the same."""
    anew = why == "fired" or why.startswith("joined ")
    return beside if anew and beside.startswith("joined ") else why


def _in_order(seen: object) -> object:
    """Verdicts in one order, for they are compared as words."""
    return sorted(seen.items()) if isinstance(seen, dict) else seen
