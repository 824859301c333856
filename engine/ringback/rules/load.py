"""Load: rule files and Python rules made into rules, every mistake of every file in one run."""

import hashlib
import inspect
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from ringback.errors import Problem
from ringback.rules.calendar import Hours, parse_open
from ringback.rules.cel import Language, check_function
from ringback.rules.compile import Steps
from ringback.rules.holidays import holidays_of
from ringback.rules.literals import bad_zone
from ringback.rules.model import Function, Rule, RuleSpec, Step, StepKind
from ringback.rules.nodes import Node, parse, read_source
from ringback.rules.places import Source
from ringback.rules.reader import Reader
from ringback.rules.rule import RuleReader
from ringback.rules.schema import FileModel, HoursModel
from ringback.rules.steps.kinds import STEPS
from ringback.rules.words import did_you_mean

MAX_RULES = 5000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading gave: the rules of the files that are right, every problem, the language.

    `language` is what `compile_rule` needs so that Python rules know the project's lists and hours.
    """

    rules: tuple[Rule, ...]
    problems: list[Problem]
    language: Language
    files: tuple[Path, ...] = ()
    steps: tuple[StepKind, ...] = field(default=(), repr=False)


def load_rules(
    where: Path | Iterable[Path],
    *,
    functions: Sequence[Function] = (),
    steps: Sequence[StepKind] = (),
) -> Loaded:
    """Load a folder of rule files (`*.yaml`, `*.yml`, also in folders below), or these files.

    Never raises for what a file says: it becomes a problem. A folder that is not there has no
    rules. Files are read in the order of their names.
    """
    problems: list[Problem] = []
    good = [each for each in functions if not _refused(each, problems)]
    kinds = {each.name: each for each in steps if not _taken(each, problems)}
    trees: list[tuple[Source, Node]] = []
    files = list(_files(where))
    for path, shown in files:
        source = read_source(path, shown)
        if isinstance(source, Problem):
            problems.append(source)
            continue
        tree = parse(source)
        if isinstance(tree, Node):
            trees.append((source, tree))
        else:
            problems += tree
    lists, hours = _words(trees, problems)
    language = Language(lists=lists, hours=hours, functions=good)
    rules = _rules(trees, language, kinds, problems)
    problems.sort(key=lambda each: (each.file, each.line, each.column))
    return Loaded(tuple(rules), problems, language, tuple(path for path, _ in files), tuple(steps))


def compile_rule(
    spec: RuleSpec, language: Language | None = None, *, functions: Sequence[Function] = ()
) -> Rule | list[Problem]:
    """Compile a Python rule. Problems point to the decorator, or to the very word if found."""
    source = Source(spec.file, _text_of(spec.file))
    node = _node_of({"name": spec.name, **spec.words}, spec, source)
    reader = Reader(source, language or Language(functions=functions))
    rule = RuleReader(reader, Steps(reader, {})).rule(node, python=True)
    if rule is None or reader.problems:
        return reader.problems
    return replace(
        rule,
        handler=spec.handler,
        file=spec.file,
        line=spec.line,
        plugin=spec.plugin,
        rev=_rev([node.plain(), _code_of(spec.handler)]),
    )


def _files(where: Path | Iterable[Path]) -> Iterable[tuple[Path, str]]:
    if not isinstance(where, Path):
        yield from ((path, str(path)) for path in where)
        return
    if not where.is_dir():
        if where.exists() or where.is_symlink():
            yield where, str(where)
        return
    for folder, folders, names in os.walk(where):
        folders.sort()
        for name in sorted(names):
            if name.endswith((".yaml", ".yml")) and not name.startswith("."):
                path = Path(folder) / name
                yield path, str(Path(where.name) / path.relative_to(where))


def _refused(function: Function, problems: list[Problem]) -> bool:
    wrong = check_function(function)
    if wrong:
        problems.append(Problem(function.plugin or "plugin", 0, 0, "function", wrong))
    return bool(wrong)


def _taken(kind: StepKind, problems: list[Problem]) -> bool:
    if kind.name in STEPS:
        text = f"the step {kind.name!r} belongs to the language already"
        problems.append(Problem(kind.file or kind.plugin, kind.line, 0, "step", text))
    return kind.name in STEPS


def _words(
    trees: list[tuple[Source, Node]], problems: list[Problem]
) -> tuple[dict[str, list[str]], dict[str, Hours]]:
    """The lists and hours of all files: every rule of the project may use them."""
    lists: dict[str, list[str]] = {}
    hours: dict[str, Hours] = {}
    plain = Language()
    for source, tree in trees:
        reader = Reader(source, plain)
        shape = reader.model(_without_rules(tree), FileModel)
        children = tree.value if isinstance(tree.value, dict) else {}
        for word, known in (("lists", lists), ("hours", hours)):
            node = children.get(word)
            items = node.value if node is not None and isinstance(node.value, dict) else {}
            for name, item in items.items():
                if not name.isidentifier():
                    hint = "use letters, digits and _"
                    reader.fail_key(node or item, name, "name", f"{name!r} is no name", hint)
                elif name in known:
                    text = f"{word} {name!r} are there twice, in two files"
                    reader.fail_key(node or item, name, "duplicate", text)
                elif word == "lists" and isinstance(item.value, list):
                    lists[name] = [str(entry.value) for entry in item.value]
                elif word == "hours":
                    found = _hours(reader, item)
                    hours[name] = found or Hours("UTC", ())
        if shape is None and "rules" in children and not isinstance(children["rules"].value, list):
            reader.fail(
                children["rules"], "schema", "'rules' needs a list", "begin each rule with '- '"
            )
        problems += _unique(reader.problems)
    return lists, hours


def _without_rules(tree: Node) -> Node:
    """The file's tree without what is checked apart: its rules, and the inside of its hours."""
    if not isinstance(tree.value, dict):
        return tree
    kept = {
        key: item
        for key, item in tree.value.items()
        if not (key == "rules" and isinstance(item.value, list))
        and not (key == "hours" and isinstance(item.value, dict))
    }
    return replace(tree, value=kept)


def _unique(problems: Iterable[Problem]) -> list[Problem]:
    return list({(each.line, each.column): each for each in reversed(list(problems))}.values())


def _hours(reader: Reader, node: Node) -> Hours | None:
    model = reader.model(node, HoursModel)
    children = node.value if isinstance(node.value, dict) else {}
    if model is None:
        return None
    wrong, hint = bad_zone(model.tz)
    if wrong:
        reader.fail(children["tz"], "zone", wrong, hint)
        return None
    spans = []
    opened = children["open"]
    for item in opened.value if isinstance(opened.value, list) else [opened]:
        try:
            spans += list(parse_open(str(item.value)))
        except ValueError as error:
            reader.fail(item, "hours", str(error))
    days: set[date] = set()
    closed = children.get("holidays")
    for item in (closed.value if isinstance(closed.value, list) else [closed]) if closed else ():
        try:
            days |= holidays_of(str(item.value))
        except ValueError as error:
            reader.fail(item, "hours", str(error))
    return Hours(model.tz, tuple(spans), frozenset(days))


def _rules(
    trees: list[tuple[Source, Node]],
    language: Language,
    kinds: Mapping[str, StepKind],
    problems: list[Problem],
) -> list[Rule]:
    rules: dict[str, Rule] = {}
    named: dict[str, str] = {}
    meanings: dict[str, Any] = {}
    runs: list[tuple[str, Step, Node, Reader]] = []
    for source, tree in trees:
        reader = Reader(source, language)
        nodes = tree.value.get("rules") if isinstance(tree.value, dict) else None
        for node in nodes.value if nodes is not None and isinstance(nodes.value, list) else ():
            if not isinstance(node, Node):
                continue
            steps = Steps(reader, kinds)
            rule = RuleReader(reader, steps).rule(node)
            name = _name(node)
            if name in named:
                place = node.value["name"] if isinstance(node.value, dict) else node
                reader.fail(place, "duplicate", f"another rule is named {name!r}", named[name])
                continue
            if name:
                named[name] = f"in {source.file}, line {node.line}"
            runs += [(name, step, target, reader) for step, target in steps.runs]
            if rule is not None:
                rules[rule.name] = replace(rule, file=source.file, line=node.line)
                meanings[rule.name] = node.plain()
            if len(named) > MAX_RULES:
                reader.fail(node, "limit", f"more than {MAX_RULES} rules")
                break
        problems += reader.problems
        reader.problems = []
    _link(rules, named, runs, meanings)
    for _, _, _, reader in runs:
        problems += reader.problems
        reader.problems = []
    return [replace(rule, rev=_rev(meanings[name])) for name, rule in rules.items()]


def _name(node: Node) -> str:
    name = node.value.get("name") if isinstance(node.value, dict) else None
    return name.value if name is not None and isinstance(name.value, str) else ""


def _link(
    rules: dict[str, Rule],
    named: Mapping[str, str],
    runs: list[tuple[str, Step, Node, Reader]],
    meanings: dict[str, Any],
) -> None:
    """Give each `run` step the steps that it names, and refuse a circle."""
    wanted: dict[str, set[str]] = {}
    for name, _, target, _ in runs:
        wanted.setdefault(name, set()).add(str(target.value))
    for name, step, target, reader in runs:
        other = str(target.value)
        if other not in named:
            reader.fail(target, "name", f"no rule is named {other!r}", did_you_mean(other, named))
        elif _reaches(wanted, other, name):
            reader.fail(target, "name", f"running {other!r} here goes in a circle")
        elif other in rules and isinstance(step.branches, dict):
            step.branches["run"] = rules[other].steps
            meanings[name] = [meanings.get(name), meanings.get(other)]


def _reaches(wanted: Mapping[str, set[str]], start: str, goal: str) -> bool:
    seen: set[str] = set()
    open_ = [start]
    while open_:
        name = open_.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            open_ += wanted.get(name, ())
    return False


def _rev(meaning: Any) -> str:
    text = json.dumps(meaning, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]


def _code_of(handler: Any) -> str:
    try:
        return inspect.getsource(handler)
    except (OSError, TypeError):
        code = getattr(handler, "__code__", None)
        return repr(code.co_code) if code is not None else repr(handler)


def _text_of(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _node_of(value: Any, spec: RuleSpec, source: Source, word: str = "") -> Node:
    """The words of a decorator as a tree whose places are in the Python file."""
    line, column = spec.line, spec.column
    if isinstance(value, Mapping):
        children = {str(key): _node_of(item, spec, source, str(key)) for key, item in value.items()}
        keys = dict.fromkeys(children, (line, column))
        return Node(children, line, column, line, column, keys=keys)
    if isinstance(value, list | tuple | set | frozenset):
        return Node(
            [_node_of(item, spec, source, word) for item in value], line, column, line, column
        )
    text = _text(value, word)
    for number in range(line, min(line + 20, len(source.lines)) + 1):
        at = source.line(number).find(text) if len(text) > 1 and "\n" not in text else -1
        if at >= 0:
            return Node(text, number, at + 1, number, at + 1 + len(text), style="python")
    return Node(text, line, column, line, column, style="python")


def _text(value: Any, word: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and word in (
        "once_within", "once_after", "max_wait", "accumulate_within", "limit", "within",
    ):  # fmt: skip
        return f"{value:g}s"
    return str(value)
