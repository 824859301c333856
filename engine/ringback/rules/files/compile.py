"""Compiler of a rule's steps, with the branches inside them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_origin

from pydantic import BaseModel

from ringback.events import ON_CALLS, known_type
from ringback.rules.addresses import nobodys
from ringback.rules.files.reader import Reader, folded, marked
from ringback.rules.files.recipients import fewest, wrong_address
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.cel import Program
from ringback.rules.language.complaints import Complaint, did_you_mean
from ringback.rules.language.templates import DATA_CAP, Template
from ringback.rules.model import Step, StepKind, waits_apart
from ringback.rules.sections.block_runs import is_block, run_block
from ringback.rules.sections.blocks import Block, Blocks
from ringback.rules.sections.callee import converses
from ringback.rules.sections.groups import check_group
from ringback.rules.sections.let import know_as, read_let, read_list
from ringback.rules.steps.base import Mark, StepModel
from ringback.rules.steps.flow import Option
from ringback.rules.steps.kinds import STEPS


class Steps:
    """Compiles lists of steps with one reader.

    `runs` gathers the `run` steps to be linked, `names` where else a step names a rule, `kept` the
    names that steps keep values under, `uses` the blocks. `inside` are the blocks that these steps
    are in, `depth` how deep those are that they run; `broken`: one of them is wrong.
    """

    def __init__(
        self, reader: Reader, plugins: Mapping[str, StepKind], blocks: Blocks | None = None
    ) -> None:
        self.reader = reader
        self.plugins = plugins
        self.blocks = blocks or Blocks()
        self.runs: list[tuple[Step, Node, Reader]] = []
        self.names: list[tuple[Node, Reader]] = []
        self.kept: set[str] = set()
        self.uses: dict[str, Block] = {}
        self.starts: tuple[str, ...] = ()
        self.inside: tuple[str, ...] = ()
        self.broken = False
        self.depth = 0

    def within(self, reader: Reader, block: str, starts: tuple[str, ...]) -> "Steps":
        """The compiler of the steps of a block that stands here."""
        inner = Steps(reader, self.plugins, self.blocks)
        inner.starts, inner.inside = starts, (*self.inside, block)
        return inner

    def many(self, node: Node | None) -> tuple[Step, ...]:
        """The steps of a list."""
        if node is None:
            return ()
        if not isinstance(node.value, list):
            self.reader.fail(node, "schema", "needs a list", "begin each step with '- '")
            return ()
        found = [self.one(item) for item in node.value]
        return tuple(step for step in found if step is not None)

    def one(self, node: Node) -> Step | None:
        """One step: a word, or a mapping with one word."""
        if isinstance(node.value, str):
            name, given, place = node.value, _empty(node), (node.line, node.column)
        elif isinstance(node.value, dict) and node.value:
            name = next(iter(node.value))
            given, place = node.value[name], node.keys[name]
            for other in list(node.value)[1:]:
                text = f"a second word {other!r} in one step"
                self.reader.fail_key(node, other, "schema", text, self.apart(name, other))
        else:
            self.reader.fail(
                node, "schema", "a step is a word with its parameters", "like `reply: Hello`"
            )
            return None
        if name in self.plugins:
            return self._foreign(self.plugins[name], given, place)
        model = STEPS.get(name)
        if model is None:
            known = [*STEPS, *self.plugins]
            hint = did_you_mean(name, known) or "known: " + ", ".join(known)
            problem = self.reader.source.problem(*place, "schema", f"unknown step {name!r}", hint)
            self.reader.problems.append(problem)
            return None
        return self._own(model, given, place)

    def apart(self, name: str, other: str) -> str:
        """Where a word belongs that stands beside the one of its step."""
        model = STEPS.get(name)
        words = {} if model is None else model.model_fields
        known = {field.alias or word for word, field in words.items()}
        if model is None or other in STEPS or other not in known:
            return "begin each step with '- '"
        plain = f"{model.plain.rstrip('_')}: …, " if model.plain else ""
        return f"it belongs into the step: `{name}: {{{plain}{other}: …}}`"

    def _own(self, model: type[StepModel], node: Node, place: tuple[int, int]) -> Step | None:
        before = len(self.reader.problems)
        checked = self.reader.model(node, model)
        inner = folded(node, model)
        self._call_or_not(model, inner, place)
        if isinstance(inner.value, dict) and "as" in inner.value:
            know_as(self.reader, self.kept, model, inner.value["as"])
        if checked is not None and is_block(model, inner) and not checked.wrong()[1]:
            return run_block(self, inner, place)
        if checked is None:
            self._look_inside(model, inner)
            return None
        field, wrong = checked.wrong()
        if not wrong:
            field, wrong = wrong_address(checked)
        if wrong:
            children = inner.value if isinstance(inner.value, dict) else {}
            text = f"{model.step}: {wrong}"
            if field in children:
                self.reader.fail(children[field], "schema", text)
            else:
                self.reader.problems.append(self.reader.source.problem(*place, "schema", text))
        params, branches = self._fields(model, checked, inner)
        if model.step == "call":
            params["converses"] = converses(self.reader, params, branches, inner)
        step = Step(model.step, params, branches, place[0], most=most_entries(model))
        if waits_apart(step):
            text = "each: with `at_once` only the `ask` at the end may wait, for all of them"
            self.reader.problems.append(self.reader.source.problem(*place, "schema", text))
        if model.step == "run" and not wrong:
            target = inner.value["rule"] if isinstance(inner.value, dict) else inner
            self.runs.append((step, target, self.reader))
        if model.step == "retry" and isinstance(inner.value, dict) and "rules" in inner.value:
            rules: Node = inner.value["rules"]
            found = rules.value if isinstance(rules.value, list) else [rules]
            self.names += [(each, self.reader) for each in found]
        return step if len(self.reader.problems) == before else None

    def _call_or_not(self, model: type[StepModel], node: Node, place: tuple[int, int]) -> None:
        """Refuse a voice step where there is never a call. `starts` are the types of the rule."""
        words = node.value if isinstance(node.value, dict) else {}
        nobody = self.starts == ("timer.due",)
        if model.step == "wait_for" and "on" in words and "call." in repr(words["on"].plain()):
            self.starts = ()
        known = bool(self.starts) and all(map(known_type, self.starts))
        if model.step == "ask" and nobody:
            self._nobody_asked(words, place)
        if model.step == "ask" and self.starts and _LIVE.issuperset(self.starts):
            text = "'ask' asks by text, and here a caller listens"
            hint = "ask them with `gather`; write `reply` and `wait_for` to text them"
            self.reader.problems.append(self.reader.source.problem(*place, "schema", text, hint))
        alone = model.step == "wait_for" and "key" not in words
        alone |= model.needs == "contact" and "who" not in words
        if nobody and alone:
            text = f"{model.step!r} needs somebody on the other side, and a schedule has nobody"
            hint = "write `send: {to: …, body: …}`" if model.step == "reply" else ""
            self.reader.problems.append(self.reader.source.problem(*place, "schema", text, hint))
        if model.needs == "failure" and known and _FAILURES.isdisjoint(self.starts):
            text = f"{model.step!r} needs a text that failed, and this rule is on "
            hint = "write it in a rule with `on: action.failed`"
            text += ", ".join(self.starts)
            self.reader.problems.append(self.reader.source.problem(*place, "schema", text, hint))
        if (
            model.needs != "call"
            or not known
            or any(each.partition(".")[0] in ON_CALLS for each in self.starts)
        ):
            return
        text = f"{model.step!r} needs a call, and this rule is on {', '.join(self.starts)}"
        hint = "to call somebody write `call: {to: …, say: …}`"
        self.reader.problems.append(self.reader.source.problem(*place, "schema", text, hint))

    def _nobody_asked(self, words: Mapping[str, Node], place: tuple[int, int]) -> None:
        """Refuse a question that leads nowhere, as a schedule has neither them nor a number."""
        for word in ("to", "from"):
            if word not in words:
                text = f"'ask' needs `{word}` here, as a schedule has no conversation"
                hint = "write `ask: {to: …, from: …, text: …}`"
                problem = self.reader.source.problem(*place, "schema", text, hint)
                self.reader.problems.append(problem)
                return

    def _fields(
        self, model: type[BaseModel], checked: BaseModel, node: Node
    ) -> tuple[dict[str, Any], dict[str, tuple[Step, ...]]]:
        params: dict[str, Any] = {}
        branches: dict[str, tuple[Step, ...]] = {}
        children = node.value if isinstance(node.value, dict) else {}
        for name, field in model.model_fields.items():
            key = field.alias or name
            child = children.get(key)
            mark = next((item for item in field.metadata if isinstance(item, Mark)), Mark("plain"))
            if mark.kind == "steps":
                branches[key] = self._branch(model, key, child)
            elif mark.kind == "branches":
                choices = child.value if child and isinstance(child.value, dict) else {}
                branches |= {f"{key}:{word}": self.many(item) for word, item in choices.items()}
            elif mark.kind == "options":
                params[key], more = self._options(child)
                branches |= more
            elif mark.kind == "if":
                params[key] = self.reader.conditions(child, running=True)
            elif mark.kind in ("list", "let") and child is not None:
                params |= self._values(key, mark, child, children.get("as"))
            elif child is None or mark.kind == "plain":
                params[key] = getattr(checked, name)
            elif mark.kind == "texts":
                items = child.value if isinstance(child.value, list) else [child]
                params[key] = [marked(self._entry(key, item), mark) for item in items]
                self._count(key, child, params[key], most_entries(model)[key])
            else:
                data = self.reader.json(child, typed=mark.kind == "data")
                params[key] = marked(data, mark)
                if mark.one:
                    self._single(child, repr(key), data)
                if isinstance(child.value, str) and len(child.value) > mark.cap:
                    text = f"{key!r} is longer than {mark.cap} letters"
                    self.reader.fail(child, "limit", text)
        self._named_things(model, checked, children, params)
        return params, branches

    def _named_things(
        self, model: type[BaseModel], checked: Any, children: Mapping[str, Node],
        params: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Refuse what a step names and is not there: types, groups, places, moments."""
        if model is STEPS["wait_for"] and "on" in children:
            self.reader.types(children["on"])
        if model in (STEPS["join"], STEPS["leave"]):
            check_group(self.reader, checked.group, children["group"])
        if model is STEPS["broadcast"] and "to" in children:
            check_group(self.reader, checked.to, children["to"], texts=True)
        for word in ("until", "at"):
            if word in children and word in params:
                self._moment(word, children[word], params[word])
        if model is STEPS["wait"] and checked.until_open:
            self._place(checked.until_open, children["until_open"])

    def _values(self, key: str, mark: Mark, node: Node, name: Node | None) -> dict[str, Any]:
        """What a step keeps under names: those of a `let`, or an entry of a list under `as`."""
        if mark.kind == "let":
            return {key: marked(read_let(self.reader, node), mark)}
        value, type_ = read_list(self.reader, node)
        if name is not None:
            self.reader.know(str(name.value), {"": type_}, name)
        return {key: marked(value, mark), "type": type_}

    def _branch(self, model: type[BaseModel], key: str, node: Node | None) -> tuple[Step, ...]:
        """The steps of a branch. In those that are said to a callee there is a call, whatever the
        rule is on."""
        starts = self.starts
        if model is STEPS["call"] and key != "else":
            self.starts = ("call.answered",)
        steps = self.many(node)
        self.starts = starts
        return steps

    def _entry(self, key: str, node: Node) -> Template | str:
        """A text that may stand for several, when it is one expression and nothing else."""
        text = self.reader.text(node)
        if isinstance(text, Template) and text.alone is None:
            self._single(node, f"a text of {key!r}", text)
        return text

    def _single(self, node: Node, what: str, text: object) -> None:
        """Refuse a list where the text names a single thing."""
        for part in text.parts if isinstance(text, Template) else ():
            if isinstance(part, Program) and part.type.startswith("list("):
                name = part.source.strip()
                offset = str(node.value).find(part.source) + part.source.find(name)
                message = f"{what} takes one value, and {name} is a list"
                hint = f"take one of them: {name}[0]"
                self.reader.fail_inside(node, [Complaint(offset, "type", message, hint)])

    def _count(self, key: str, node: Node, entries: Sequence[Template | str], most: int) -> None:
        """Refuse lists that are known now and are too long, and numbers in them that are none."""
        lists = self.reader.language.lists
        values: list[str] = []
        for entry in entries:
            alone = entry.alone if isinstance(entry, Template) else None
            name = alone.source.strip().removeprefix("lists.") if alone is not None else ""
            values += lists.get(name, [entry if isinstance(entry, str) else ""])
            wrong = next(filter(None, map(nobodys, lists.get(name, ()))), "")
            if wrong and key == "to":
                self.reader.fail(node, "schema", f"in lists.{name} {wrong}")
        total = fewest(values) if key == "to" else len(values)
        if total > most:
            self.reader.fail(node, "limit", f"{key!r} has {total} entries, {most} at most")

    def _place(self, name: str, node: Node) -> None:
        hours = self.reader.language.hours
        if name not in hours:
            hint = did_you_mean(name, hours) or "add it under `hours`"
            self.reader.fail(node, "hours", f"no hours are named {name!r}", hint)

    def _moment(self, word: str, node: Node, text: object) -> None:
        """Refuse a value that is neither a moment nor a text that may name one."""
        alone = text.alone if isinstance(text, Template) else None
        if alone is None or alone.type.startswith("list("):  # a list is refused already
            return
        if alone.type not in ("timestamp", "string", "dyn"):
            offset = str(node.value).find(alone.source) + 1
            message = f"{word!r} takes a moment, and {alone.source.strip()} is of type {alone.type}"
            hint = "write `${{ event.at + duration('2h') }}`, or a text such as 2026-03-04T17:00Z"
            self.reader.fail_inside(node, [Complaint(offset, "type", message, hint)])

    def _options(self, node: Node | None) -> tuple[list[Any], dict[str, tuple[Step, ...]]]:
        options: list[Any] = []
        branches: dict[str, tuple[Step, ...]] = {}
        items = node.value if node and isinstance(node.value, list) else []
        for index, item in enumerate(items):
            option = self.reader.model(item, Option)
            children = item.value if isinstance(item.value, dict) else {}
            if option is None:
                self._look_inside(Option, item)
                continue
            if "else" in children:
                if len(children) > 1 or index < len(items) - 1:
                    self.reader.fail_key(item, "else", "schema", "`else` stands alone and last")
                branches["else"] = self.many(children["else"])
                continue
            if "if" not in children or "do" not in children:
                self.reader.fail(item, "schema", "an option needs `if` and `do`, or `else`")
            options.append(self.reader.conditions(children.get("if"), running=True))
            branches[f"option:{index}"] = self.many(children.get("do"))
        return options, branches

    def _look_inside(self, model: type[BaseModel], node: Node) -> None:
        """Find the mistakes in the branches of a step that is wrong itself."""
        children = node.value if isinstance(node.value, dict) else {}
        for name, field in model.model_fields.items():
            marks = [item.kind for item in field.metadata if isinstance(item, Mark)]
            child = children.get(field.alias or name)
            if "steps" in marks and child is not None and isinstance(child.value, list):
                self.many(child)
            elif child is not None and isinstance(child.value, str) and "text" in marks:
                self.reader.text(child)

    def _foreign(self, kind: StepKind, node: Node, place: tuple[int, int]) -> Step | None:
        shape: Any = type(
            "Shape", (), {"plain": kind.plain, "model_fields": kind.model.model_fields}
        )
        inner = folded(node, shape)
        if not isinstance(inner.value, dict):
            self.reader.fail(inner, "schema", f"{kind.name} needs a mapping")
            return None
        before = len(self.reader.problems)
        has_texts = "${{" in repr(inner.plain())
        extra = kind.model.model_config.get("extra")
        if extra != "allow" and (has_texts or extra != "forbid"):
            known = [item.alias or name for name, item in kind.model.model_fields.items()]
            for key in inner.value:
                if key not in known:
                    hint = did_you_mean(key, known) or "known: " + ", ".join(known)
                    self.reader.fail_key(inner, key, "schema", f"unknown key {key!r}", hint)
        if not has_texts:
            self.reader.model(inner, kind.model)
        params = {key: self._given(kind, key, item) for key, item in inner.value.items()}
        if len(self.reader.problems) > before:
            return None
        return Step(kind.name, params, {}, place[0], kind)

    def _given(self, kind: StepKind, key: str, node: Node) -> Any:
        """A parameter of a foreign step: one expression may fill a whole list."""
        field = kind.model.model_fields.get(key)
        listed = field is not None and get_origin(field.annotation) in (list, tuple)
        if listed and isinstance(node.value, str) and "${{" in node.value:
            return [marked(self.reader.text(node), GIVEN)]
        return marked(self.reader.json(node), GIVEN)


_LIVE = frozenset({"call.received", "call.answered", "call.gathered"})
"""Events of a call in which somebody listens."""
_FAILURES = {"action.failed", "action.*"}

GIVEN = Mark("json", DATA_CAP, whole=True)
"""The parameters of a plugin's step."""


@cache
def most_entries(model: type[BaseModel]) -> Mapping[str, int]:
    """How many entries each list of texts of a step may have."""
    found: dict[str, int] = {}
    for name, field in model.model_fields.items():
        if any(isinstance(each, Mark) and each.kind == "texts" for each in field.metadata):
            sizes = [each.max_length for each in field.metadata if hasattr(each, "max_length")]
            found[field.alias or name] = sizes[0]
    return found


def _empty(node: Node) -> Node:
    return Node("", node.line, node.column, node.end_line, node.end_column)
