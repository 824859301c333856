"""Reader of rule trees: nodes made into compiled parts, every mistake noted with its place."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ringback.errors import Problem
from ringback.events import EVENT_TYPES, HOOK, NAMED, known_type
from ringback.rules.files.source_map import Source, locate
from ringback.rules.files.yaml_tree import Node
from ringback.rules.functions.delivery import counted
from ringback.rules.language.cel import Language, Program
from ringback.rules.language.complaints import Complaint, did_you_mean, slip_of
from ringback.rules.language.named_values import Names
from ringback.rules.language.templates import DATA_CAP, Template, compile_template
from ringback.rules.language.tokens import Call, names
from ringback.rules.model import Condition
from ringback.rules.steps.base import Mark

M = TypeVar("M", bound=BaseModel)
JSON_WORD = re.compile(r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)


class Reader:
    """Reads the nodes of one file. `problems` grows; a part that is wrong is given as None.

    `named` are the values of the rule that is read, with their types, `put_in` the expressions for
    those of its own `let`, `changed` those that steps give another value.

    `used` gathers the names under `vars` that texts and conditions use, each with its place;
    `counts` the calls in them that count texts, each with the place of its expression; `hooked`
    the places that ask for what another system sent.
    """

    def __init__(self, source: Source, language: Language) -> None:
        self.source = source
        self.language = language
        self.problems: list[Problem] = []
        self.used: list[tuple[str, Node, int]] = []
        self.counts: list[tuple[Call, Node, int]] = []
        self.hooked: list[tuple[Node, int]] = []
        self._seen: dict[tuple[int, int], int] = {}
        self.named: dict[str, str] = {}
        self.put_in: dict[str, str] = {}
        self.changed: set[str] = set()
        self._known: dict[str, tuple[Mapping[str, str], int]] = {}

    def forget(self) -> None:
        """Begin another rule: it knows no names yet."""
        self.named, self.put_in, self.changed, self._known = {}, {}, set(), {}

    def know(self, name: str, types: Mapping[str, str], node: Node) -> None:
        """From here on the rule keeps a value of this name; `types` are those of its parts, with ""
        for a value that is one."""
        if name in self._known:
            self.changed.add(name)
        was, line = self._known.setdefault(name, (types, node.line))
        if was != types:
            text = f"{name!r} is {_type(types)} here, and {_type(was)} in line {line}"
            self.fail(node, "type", text, "take another name")
            return
        self.named |= {f"{name}.{part}".rstrip("."): type_ for part, type_ in types.items()}

    def names(self, running: bool, kept: bool = False) -> Names:
        """The names that an expression may use. `kept` says that the values are there already."""
        return Names(self.named, None if running or kept else self.put_in)

    def fail(self, node: Node, kind: str, message: str, hint: str = "") -> None:
        """Note a problem at the start of a node, once, however many look at the node."""
        problem = self.source.problem(node.line, node.column, kind, message, hint)
        place = (problem.line, problem.column)
        index = self._seen.get(place, len(self.problems))
        if index < len(self.problems):
            other = self.problems[index]
            if (other.line, other.column) == place and other.message.endswith(message):
                self.problems[index] = replace(other, hint=other.hint or hint)
                return
        self._seen[place] = len(self.problems)
        self.problems.append(problem)

    def fail_key(self, node: Node, key: str, kind: str, message: str, hint: str = "") -> None:
        """Note a problem at the key of a mapping."""
        line, column = node.keys.get(key, (node.line, node.column))
        self.problems.append(self.source.problem(line, column, kind, message, hint))

    def fail_inside(self, node: Node, found: Iterable[Complaint]) -> None:
        """Note complaints about the text of a scalar at their exact places."""
        text = node.value if isinstance(node.value, str) else ""
        for each in found:
            line, column = locate(
                self.source, text, each.offset,
                (node.line, node.column), (node.end_line, node.end_column), node.style,
            )  # fmt: skip
            self.problems.append(
                self.source.problem(line, column, each.kind, each.message, each.hint)
            )

    def model(self, node: Node, model: type[M]) -> M | None:
        """The node as this model. A bare text or list fills the model's `plain` field."""
        node = folded(node, model)
        if not isinstance(node.value, dict):
            self.fail(node, "schema", f"needs a mapping with {_keys(model)}")
            return None
        try:
            return model.model_validate(node.plain())
        except ValidationError as error:
            for item in error.errors(include_url=False, include_context=True):
                self._invalid(node, model, item)
            return None

    def _invalid(self, node: Node, model: type[BaseModel], item: Mapping[str, Any]) -> None:
        place, path = node, list(item["loc"])
        kind = item["type"]
        parent, last = node, ""
        for part in path:
            parent = place
            last = str(part)
            if isinstance(place.value, dict) and part in place.value:
                place = place.value[part]
            elif isinstance(place.value, list) and isinstance(part, int):
                place = place.value[min(part, len(place.value) - 1)] if place.value else place
        if kind == "extra_forbidden":
            known = known_keys(model, path[:-1])
            hint = _meant(last, known)
            self.fail_key(parent, last, "schema", f"unknown key {last!r}", hint)
        elif kind == "missing":
            self.fail(parent, "schema", f"{last!r} is missing")
        else:
            key = next((part for part in reversed(path) if isinstance(part, str)), "")
            message, hint = _invalid_words(item, place)
            joint = ":" if kind == "value_error" else ""
            text = f"{key!r}{joint} {message}" if key else message
            self.fail(place, "schema", text, hint)

    def text(
        self, node: Node, *, running: bool = True, typed: bool = False, kept: bool = False
    ) -> Template | str:
        """A text, compiled when there is an expression in it."""
        value = node.value
        if not isinstance(value, str):
            self.fail(node, "schema", "needs a text")
            return ""
        if "${{" not in value:
            return value
        names = self.names(running, kept)
        template = compile_template(value, self.language, running=running, typed=typed, names=names)
        if isinstance(template, Template):
            for part in template.parts:
                if isinstance(part, Program):
                    self._uses(node, part, value.find(part.source))
            return template
        self.fail_inside(node, template)
        return ""

    def json(
        self, node: Node, *, typed: bool = False, running: bool = True, kept: bool = False
    ) -> Any:
        """A tree of texts, each compiled. In a `typed` one a value that is one expression keeps its
        type, and what is written without quotes as JSON writes a number or a word of its own is
        one."""
        if isinstance(node.value, dict):
            inside = node.value.items()
            return {
                key: self.json(item, typed=typed, running=running, kept=kept)
                for key, item in inside
            }
        if isinstance(node.value, list):
            return [self.json(each, typed=typed, running=running, kept=kept) for each in node.value]
        if typed and not node.style and JSON_WORD.fullmatch(node.value):
            return json.loads(node.value)
        return self.text(node, typed=typed, running=running, kept=kept)

    def conditions(
        self, node: Node | None, *, running: bool = False, names: Names | None = None
    ) -> tuple[Condition, ...]:
        """The lines of an `if`, each compiled to a condition."""
        if node is None:
            return ()
        found = []
        for item in node.value if isinstance(node.value, list) else [node]:
            if not isinstance(item.value, str):
                self.fail(item, "schema", "needs a text")
                continue
            known = names or self.names(running)
            program = self.language.compile(item.value, running=running, names=known)
            if isinstance(program, Program):
                self._uses(item, program, 0)
                found.append(Condition(item.value.strip(), program, item.line))
            else:
                self.fail_inside(item, program)
        return tuple(found)

    def _uses(self, node: Node, program: Program, offset: int) -> None:
        for name in names(program.source):
            space, _, rest = name.text.partition(".")
            if space == "vars" and rest and rest.partition(".")[0] not in self._known:
                place = offset + name.start + len("vars.")
                self.used.append((rest.partition(".")[0], node, place))
            elif space == HOOK:
                self.hooked.append((node, offset + name.start))
        self.counts += [(call, node, offset) for call in counted(program.source)]

    def types(self, node: Node | None) -> tuple[str, ...]:
        """Event types, each known."""
        if node is None:
            return ()
        items = node.value if isinstance(node.value, list) else [node]
        for item in items:
            if not isinstance(item.value, str):
                continue
            slip = slip_of(item.value, NAMED)
            self._hook(item, item.value)
            if slip or not known_type(item.value):
                hint = f"did you mean {slip!r}?" if slip else did_you_mean(item.value, EVENT_TYPES)
                self.fail(item, "schema", f"unknown event type {item.value!r}", hint)
        return tuple(dict.fromkeys(item.value for item in items if isinstance(item.value, str)))

    def _hook(self, node: Node, type_: str) -> None:
        """Refuse an event of another system that no rule file describes."""
        family, _, name = type_.partition(".")
        known = self.language.hooks
        if family == HOOK and name not in ("", "*") and known is not None and name not in known:
            near = did_you_mean(name, known)
            hint = near or f"describe it under `hooks:` of a file: {{{name}: {{secret: …}}}}"
            self.fail(node, "name", f"no hook is named {name!r}", hint)


def _type(types: Mapping[str, str]) -> str:
    return types.get("", "answer")


VALUE = Mark("let", DATA_CAP, whole=True)
"""How a value under a name is rendered."""


def marked(value: Any, mark: Mark) -> Any:
    """A text, or a tree of them, that is rendered as its field says."""
    if isinstance(value, dict):
        return {name: marked(item, mark) for name, item in value.items()}
    if isinstance(value, list):
        return [marked(item, mark) for item in value]
    if isinstance(value, Template):
        return replace(value, cap=mark.cap, url=mark.url, whole=mark.whole)
    return value


def folded(node: Node, model: type[Any]) -> Node:
    """The node as a mapping: a bare value becomes the `plain` field, all of it the `whole` one."""
    whole, plain = getattr(model, "whole", ""), getattr(model, "plain", "")
    name = ""
    if isinstance(node.value, dict):
        name = whole
    elif node.empty:
        return Node({}, node.line, node.column, node.end_line, node.end_column)
    else:
        name = plain
    if not name:
        return node
    field = model.model_fields.get(name)
    key = (field.alias or name) if field is not None else name
    return Node({key: node}, node.line, node.column, node.end_line, node.end_column)


def known_keys(model: type[BaseModel], path: Sequence[Any] = ()) -> list[str]:
    """The keys that a mapping may have: those of the model, or of the model inside it."""
    for part in path:
        field = next(
            (item for name, item in model.model_fields.items() if part in (item.alias, name)), None
        )
        inner = _inner(field.annotation) if field is not None else None
        if inner is None:
            continue
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _inner(part)
        if found is not None:
            return found
    return None


_ELSEWHERE = {
    "action": "do", "actions": "do", "steps": "do", "then": "do",
    "condition": "if", "conditions": "if", "where": "if",
    "event": "on", "trigger": "on", "when": "on", "cron": "schedule",
    "cooldown": "once_within", "throttle": "once_within", "debounce": "once_after",
    "group_by": "key", "enabled": "state", "sender": "from",
    "message": "body", "text": "body", "url": "webhook",
}  # fmt: skip
"""What other systems call what we call otherwise."""


def _meant(word: str, known: Sequence[str]) -> str:
    if _ELSEWHERE.get(word.lower()) in known:
        return f"here it is called {_ELSEWHERE[word.lower()]!r}"
    return did_you_mean(word, known) or ("known: " + ", ".join(known) if known else "")


def _keys(model: type[BaseModel]) -> str:
    return ", ".join(known_keys(model)) or "no keys"


def _invalid_words(item: Mapping[str, Any], node: Node) -> tuple[str, str]:
    kind, context = item["type"], item.get("ctx") or {}
    given = node.value if isinstance(node.value, str) else ""
    if kind == "value_error":
        return str(context.get("error", item["msg"])), ""
    if kind == "literal_error":
        options = [
            word.strip().strip("'")
            for word in str(context["expected"]).replace(" or ", ",").split(",")
        ]
        return f"must be one of {', '.join(options)}, not {given!r}", did_you_mean(given, options)
    simple = {
        "list_type": "needs a list",
        "dict_type": "needs a mapping",
        "model_type": "needs a mapping",
        "model_attributes_type": "needs a mapping",
        "string_type": "needs a text",
        "string_too_short": "must not be empty",
        "too_short": "must not be empty",
        "int_parsing": f"needs a whole number, not {given!r}",
        "int_type": "needs a whole number",
        "float_parsing": f"needs a number, not {given!r}",
        "float_type": "needs a span of time such as 15m",
        "finite_number": f"needs a number, not {given!r}",
        "bool_parsing": f"must be true or false, not {given!r}",
        "bool_type": "must be true or false",
    }
    if kind in simple:
        return simple[kind], ""
    if kind == "string_pattern_mismatch":
        return f"cannot be {given!r}", "use letters, digits and - _ . in it"
    if kind == "too_long":
        return f"has more than {context.get('max_length')} entries", ""
    return str(item["msg"]).replace("Input should be", "must be"), ""
