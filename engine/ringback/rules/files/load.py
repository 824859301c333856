"""Loader of rule files and Python rules, with every mistake of every file in one run."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ringback.errors import Problem
from ringback.rules.files.compile import Steps
from ringback.rules.files.decorated import code_of, node_of, source_of
from ringback.rules.files.link import Run, link, reached, unnamed
from ringback.rules.files.reader import Reader
from ringback.rules.files.rule import RuleReader
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.functions.declared import check_function
from ringback.rules.functions.delivery import unknown_rule
from ringback.rules.functions.function import Function
from ringback.rules.language.cel import Language
from ringback.rules.language.complaints import Complaint, did_you_mean
from ringback.rules.language.tokens import Call
from ringback.rules.model import Rule, RuleSpec, StepKind
from ringback.rules.sections.block_runs import check_blocks
from ringback.rules.sections.blocks import Blocks, read_blocks
from ringback.rules.sections.groups import files_of, read_groups
from ringback.rules.sections.hooks import read_hooks
from ringback.rules.sections.include import included, read_file
from ringback.rules.sections.shared import read_shared
from ringback.rules.sections.texts import Texts, read_texts
from ringback.rules.steps.kinds import STEPS

MAX_RULES = 5000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading gave: the rules of the files that are right, every problem, the language.

    `language` is what `compile_rule` needs so that Python rules know the project's lists and hours.
    `left_out` are the rules that are wrong, each with its place.
    """

    rules: tuple[Rule, ...]
    problems: list[Problem]
    language: Language
    files: tuple[Path, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
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
    files = list(_files(where))
    read = [each for path, shown in files if (each := read_file(path, shown, problems))]
    shared = included(read, problems)
    trees = [(each.source, each.tree) for each in read]
    everything = [(each.source, each.tree) for each in (*read, *shared)]
    lists, hours = read_shared(everything, problems)
    groups = read_groups(trees, {shown: path for path, shown in files}, problems)
    blocks = Blocks(read_blocks(everything, problems))
    hooks = read_hooks(trees, problems)
    make = partial(Language, lists=lists, hours=hours, groups=groups, hooks=hooks)
    language = make(functions=[*good, Texts({}).function])
    texts, readers = read_texts(everything, language, problems)
    if texts.known:
        language = make(functions=[*good, texts.function], texts=tuple(texts.known))
    named: dict[str, str] = {}
    problems += check_blocks(Steps(Reader(Source("", ""), language), kinds, blocks))
    rules = _rules(trees, language, kinds, blocks, problems, named, readers)
    left_out = named.keys() - {rule.name for rule in rules}
    problems.sort(key=lambda each: (each.file, each.line, each.column))
    return Loaded(
        tuple(rules), problems, language, (*(path for path, _ in files), *files_of(groups)),
        {name: named[name] for name in named if name in left_out}, tuple(steps),
    )  # fmt: skip


def compile_rule(
    spec: RuleSpec, language: Language | None = None, *, functions: Sequence[Function] = ()
) -> Rule | list[Problem]:
    """Compile a Python rule. Problems point to the decorator, or to the very word if found."""
    source = source_of(spec)
    node = node_of({"name": spec.name, **spec.words}, spec, source)
    reader = Reader(source, language or Language(functions=functions))
    rule = RuleReader(reader, Steps(reader, {})).rule(node, python=True)
    if rule is None or reader.problems:
        return reader.problems
    return replace(
        rule,
        handler=spec.handler,
        converses=spec.converses,
        file=spec.file,
        line=spec.line,
        plugin=spec.plugin,
        rev=_rev([node.plain(), spec.code or code_of(spec.handler)]),
        text=_text(node.plain()),
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


def _rules(
    trees: list[tuple[Source, Node]],
    language: Language,
    kinds: Mapping[str, StepKind],
    blocks: Blocks,
    problems: list[Problem],
    named: dict[str, str],
    others: Sequence[Reader],
) -> list[Rule]:
    """The rules that are right. `named` gets all of them, each with its place; `others` have read
    what is no rule and uses what steps keep."""
    rules: dict[str, Rule] = {}
    meanings: dict[str, Any] = {}
    used: dict[str, list[Any]] = {}
    runs: list[Run] = []
    names: list[tuple[str, Reader, Node]] = []
    readers: list[Reader] = []
    kept: set[str] = set()
    uses = [("", reader, *use) for reader in others for use in reader.used]
    counts: list[tuple[str, Reader, Call, Node, int]] = []
    for source, tree in trees:
        reader = Reader(source, language)
        readers.append(reader)
        nodes = tree.value.get("rules") if isinstance(tree.value, dict) else None
        for node in nodes.value if nodes is not None and isinstance(nodes.value, list) else ():
            if not isinstance(node, Node):
                continue
            steps = Steps(reader, kinds, blocks)
            rule = RuleReader(reader, steps).rule(node)
            name = _name(node)
            if name in named:
                place = node.value["name"] if isinstance(node.value, dict) else node
                reader.fail(place, "duplicate", f"another rule is named {name!r}", named[name])
                continue
            if name:
                named[name] = f"in {source.file}, line {node.line}"
            runs += [Run(name, *each) for each in steps.runs]
            names += [(name, its, target) for target, its in steps.names]
            used[name] = [block.node.plain() for _, block in sorted(steps.uses.items())]
            kept |= steps.kept
            uses += [(name, reader, *use) for use in reader.used]
            counts += [(name, reader, *count) for count in reader.counts]
            reader.used, reader.counts = [], []
            if rule is not None:
                rules[rule.name] = replace(rule, file=source.file, line=node.line)
                meanings[rule.name] = node.plain()
            if len(named) > MAX_RULES:
                reader.fail(node, "limit", f"more than {MAX_RULES} rules")
                break
    for name, reader, word, node, offset in uses:
        if word not in kept:
            hint = did_you_mean(word, kept) or f"a step keeps it with `as: {word}`"
            text = f"no step keeps {word!r}"
            reader.fail_inside(node, [Complaint(offset, "type", text, hint)])
            rules.pop(name, None)
    for name, reader, call, node, offset in counts:
        for wrong in unknown_rule(call, named):
            reader.fail_inside(node, [replace(wrong, offset=wrong.offset + offset)])
            rules.pop(name, None)
    unnamed(rules, named, names)
    link(rules, named, runs)
    for reader in (*readers, *blocks.readers, *others):
        problems += [each for each in reader.problems if each not in problems]
    wanted: dict[str, set[str]] = {}
    for run in runs:
        wanted.setdefault(run.rule, set()).add(run.other)
    return [
        replace(
            rule,
            rev=_rev(
                [meanings[each] for each in sorted(reached(wanted, name))]
                + [block for each in sorted(reached(wanted, name)) for block in used[each]]
            ),
            text=_text(meanings[name]),
        )
        for name, rule in rules.items()
    ]


def _name(node: Node) -> str:
    name = node.value.get("name") if isinstance(node.value, dict) else None
    return name.value if name is not None and isinstance(name.value, str) else ""


def _text(meaning: Any) -> str:
    return json.dumps(meaning, default=str)


def _rev(meaning: Any) -> str:
    text = json.dumps(meaning, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
