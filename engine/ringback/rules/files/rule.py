"""Compiler of one rule: its words checked together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ringback.events import HOOK, STARTED, TRUST
from ringback.rules.addresses import bad_number
from ringback.rules.files.compile import Steps
from ringback.rules.files.reader import VALUE, Reader, folded, marked
from ringback.rules.files.schema import RuleModel, ScheduleModel, TriggerModel
from ringback.rules.files.yaml_tree import Node
from ringback.rules.functions.delivery import wrong_side
from ringback.rules.language import phones, tokens
from ringback.rules.language.cel import Program
from ringback.rules.language.complaints import Complaint, did_you_mean
from ringback.rules.language.literals import bad_zone
from ringback.rules.language.named_values import Names
from ringback.rules.language.templates import Template
from ringback.rules.model import DEFAULT_TRUST, Budget, Rule, Schedule, Trigger
from ringback.rules.sections.let import read_let, texts_of
from ringback.rules.timing.cron import bad_cron

_LEVELS = {
    "signed": frozenset({"signed", "simulated"}),
    "confirmed": DEFAULT_TRUST,
    "claimed": frozenset(TRUST),
    "simulated": frozenset({"simulated"}),
}
TIMER = "timer.due"
_OF_THE_RUN = ("event", "contact", "vars", "burst")


class RuleReader:
    """Reads rules with one reader and one compiler of steps."""

    def __init__(self, reader: Reader, steps: Steps) -> None:
        self.reader = reader
        self.steps = steps

    def rule(self, node: Node, *, python: bool = False) -> Rule | None:
        """The rule of this node; None when something in it is wrong, which is then noted."""
        before, counts = len(self.reader.problems), len(self.reader.counts)
        self.reader.hooked.clear()
        if not isinstance(node.value, dict):
            self.reader.fail(node, "schema", "a rule is a mapping", "begin with `- name: …`")
            return None
        children = node.value
        shape = _plain_parts(node)
        model = self.reader.model(shape, RuleModel)
        values = self._values(children)
        conditions = self.reader.conditions(children.get("if"))
        key = self.reader.text(children["key"], running=False) if "key" in children else ""
        types = self.reader.types(children.get("on"))
        self.steps.starts = (TIMER,) if "schedule" in children else types
        steps = self.steps.many(children.get("do"))
        if model is not None:
            self._together(node, model, python)
        schedule, unless, cancel_on = self._parts(children)
        for call, place, offset in self.reader.counts[counts:]:
            wrong = wrong_side(call, types)
            moved = [replace(each, offset=each.offset + offset) for each in wrong]
            self.reader.fail_inside(place, moved)
        self._hookless((TIMER,) if schedule is not None else types)
        addresses = {word: self._addresses(children.get(word)) for word in ("from", "to")}
        trust = self._trust(children.get("trust"))
        if schedule is not None:
            types = (TIMER,)
        if model is None or len(self.reader.problems) > before or self.steps.broken:
            return None
        return Rule(
            name=model.name,
            on=types,
            conditions=conditions,
            trust=trust,
            from_=addresses["from"],
            to=addresses["to"],
            let=tuple(values.items()),
            key=key if isinstance(key, Template) else Template(key, (key,)) if key else None,
            once_within=model.once_within,
            once_after=model.once_after,
            max_wait=model.max_wait,
            accumulate_within=model.accumulate_within,
            threshold=model.threshold,
            schedule=schedule,
            unless=unless,
            within=model.within,
            cancel_on=cancel_on,
            mode=model.mode,
            max=model.max,
            state=model.state,
            priority=model.priority,
            backstop=model.backstop,
            also_answers=model.also_answers,
            ordered=model.ordered,
            limit=model.limit,
            budget=_budget(model),
            description=model.description,
            steps=steps,
            language=self.reader.language,
        )

    def _values(self, children: dict[str, Node]) -> dict[str, Any]:
        """The values of the rule. Its conditions are asked before they are worked out, and so have
        the expressions in their place."""
        reader = self.reader
        reader.forget()
        collects = "once_after" in children or "accumulate_within" in children
        values = read_let(reader, children.get("let"), running=collects)
        reader.put_in = texts_of(values, reader.named)
        return {name: marked(value, VALUE) for name, value in values.items()}

    def _hookless(self, types: Sequence[str]) -> None:
        """Refuse `hook` in a rule on events that bring none."""
        if not types or any(each == STARTED or each.startswith(f"{HOOK}.") for each in types):
            return
        text = f"`hook` is what another system sent, and this rule is on {', '.join(types)}"
        hint = f"write `on: hook.NAME`, or `{STARTED}` if it is started with JSON"
        for node, offset in self.reader.hooked:
            self.reader.fail_inside(node, [Complaint(offset, "type", text, hint)])

    def _together(self, node: Node, model: RuleModel, python: bool) -> None:
        """What is wrong with words that are right alone."""
        reader = self.reader
        if model.schedule is not None and model.on:
            reader.fail_key(node, "schedule", "schema", "a rule has `on` or `schedule`, not both")
        if model.schedule is None and not model.on:
            reader.fail(node, "schema", "'on' is missing")
        if not model.do and not python:
            reader.fail(node, "schema", "'do' is missing")
        if model.let and python:
            reader.fail_key(node, "let", "schema", "a rule in Python names values in its function")
        if model.do and python:
            reader.fail_key(node, "do", "schema", "a rule in Python has no `do`")
        if model.max_wait and not model.once_after:
            reader.fail_key(node, "max_wait", "schema", "`max_wait` belongs to `once_after`")
        if model.max_wait and model.max_wait < model.once_after:
            reader.fail_key(node, "max_wait", "schema", "`max_wait` is shorter than `once_after`")
        if bool(model.threshold) != bool(model.accumulate_within):
            word = "threshold" if model.threshold else "accumulate_within"
            other = "accumulate_within" if model.threshold else "threshold"
            reader.fail_key(node, word, "schema", f"`{word}` needs `{other}`")
        if bool(model.within) != (model.unless is not None):
            word, other = ("within", "unless") if model.within else ("unless", "within")
            reader.fail_key(node, word, "schema", f"`{word}` needs `{other}`")
        if model.budget is not None and not model.budget.model_fields_set:
            text = "`budget` needs `per_day`, `segments_per_day` or `price_per_day`"
            reader.fail_key(node, "budget", "schema", text)
        starts = [
            word
            for word, used in (
                ("once_after", model.once_after),
                ("accumulate_within", model.accumulate_within),
                ("unless", model.unless),
            )
            if used
        ]
        for word in starts[1:]:
            reader.fail_key(node, word, "schema", f"`{word}` and `{starts[0]}` exclude each other")
        if model.schedule is not None and starts:
            text = f"`{starts[0]}` has no meaning with `schedule`"
            reader.fail_key(node, starts[0], "schema", text)

    def _parts(
        self, children: dict[str, Node]
    ) -> tuple[Schedule | None, Trigger | None, Trigger | None]:
        schedule = None
        if "schedule" in children:
            schedule = self._schedule(folded(children["schedule"], ScheduleModel))
        triggers: list[Trigger | None] = []
        kept, changed = self.reader.put_in.items(), self.reader.changed
        fixed = {name: text for name, text in kept if name not in changed}
        names = Names(self.reader.named, fixed)
        for word in ("unless", "cancel_on"):
            node = folded(children[word], TriggerModel) if word in children else None
            parts = node.value if node is not None and isinstance(node.value, dict) else None
            if parts is None:
                triggers.append(None)
                continue
            types = self.reader.types(parts.get("on"))
            lines = self.reader.conditions(parts.get("if"), running=True, names=names)
            triggers.append(Trigger(types, lines, self._their_key(parts.get("key"))))
        return schedule, triggers[0], triggers[1]

    def _their_key(self, node: Node | None) -> Template | None:
        """How an event that came says the key of a run: by itself alone, as `reply`."""
        text = self.reader.text(node) if node is not None else ""
        parts = text.parts if isinstance(text, Template) else ()
        for part in parts:
            for name in tokens.names(part.source) if isinstance(part, Program) else ():
                space = name.text.partition(".")[0]
                if node is not None and (space in _OF_THE_RUN or space in self.reader.named):
                    message = f"this key is of the event that came, and there is no {space!r}"
                    self.reader.fail(node, "name", message, "write `reply`: `${{ reply.body }}`")
        return text if isinstance(text, Template) else Template(text, (text,)) if text else None

    def _schedule(self, node: Node) -> Schedule | None:
        parts = node.value if isinstance(node.value, dict) else {}
        cron, zone = parts.get("cron"), parts.get("tz")
        if cron is None or not isinstance(cron.value, str):
            return None
        wrong = bad_cron(cron.value)
        if wrong:
            self.reader.fail(cron, "schedule", wrong)
        name = zone.value if zone is not None and isinstance(zone.value, str) else "UTC"
        if zone is not None:
            wrong, hint = bad_zone(name)
            if wrong:
                self.reader.fail(zone, "zone", wrong, hint)
        return Schedule(cron.value, name)

    def _addresses(self, node: Node | None) -> tuple[str, ...]:
        found: list[str] = []
        for item in _items(node):
            text = item.value if isinstance(item.value, str) else ""
            name = text.removeprefix("lists.")
            if name != text and name in self.reader.language.lists:
                found += self._listed(item, name)
            elif name != text:
                hint = did_you_mean(name, self.reader.language.lists)
                self.reader.fail(item, "name", f"no list is named {name!r}", hint)
            elif wrong := _bad(text):
                begins = f"{text}* is for every number that begins so"
                self.reader.fail(item, "schema", wrong, begins if phones.impossible(text) else "")
            elif not text or text != text.strip() or "*" in text[:-1]:
                hint = "write +15551234567, +1555* for a range, or lists.NAME"
                self.reader.fail(item, "schema", f"{text!r} is no address", hint)
            elif text.endswith("*"):
                found.append(f"{phones.beginning(text[:-1])}*")
            else:
                found.append(phones.plain(text))
        return tuple(dict.fromkeys(found))

    def _listed(self, item: Node, name: str) -> list[str]:
        """The addresses of a list that a rule is for."""
        entries = self.reader.language.lists[name]
        wrong = next(filter(None, map(_bad, entries)), "")
        if wrong:
            self.reader.fail(item, "schema", f"in lists.{name} {wrong}")
        return entries

    def _trust(self, node: Node | None) -> frozenset[str]:
        levels: set[str] = set()
        for item in _items(node):
            word = str(item.value)
            if word not in _LEVELS:
                hint = did_you_mean(word, TRUST)
                self.reader.fail(item, "schema", f"unknown trust {word!r}", hint)
            levels |= _LEVELS.get(word, frozenset())
        return frozenset(levels) or DEFAULT_TRUST


def _budget(model: RuleModel) -> Budget | None:
    given = model.budget
    if given is None:
        return None
    return Budget(given.per_day or 0, given.segments_per_day or 0, given.price_per_day or 0.0)


def _bad(text: str) -> str:
    """What is wrong with an address that a rule is for, or with a range of them, `+1555*`."""
    if not text.endswith("*"):
        return "" if "*" in text else bad_number(text)
    written = phones.beginning(text[:-1])
    if written.isdecimal() or not phones.lacks_country(written):
        return ""
    return f"the range {text!r} has no +; write the code of its country: +1415*"


def _items(node: Node | None) -> list[Node]:
    if node is None:
        return []
    return node.value if isinstance(node.value, list) else [node]


def _plain_parts(node: Node) -> Node:
    """The node with its short forms (`schedule: "0 9 * * *"`) written out for the model."""
    children = dict(node.value) if isinstance(node.value, dict) else {}
    for word, model in (
        ("schedule", ScheduleModel),
        ("cancel_on", TriggerModel),
        ("unless", TriggerModel),
    ):
        if word in children:
            children[word] = folded(children[word], model)
    return Node(children, node.line, node.column, node.end_line, node.end_column, keys=node.keys)
