"""Shared definitions: lists and hours of a project, for every rule in whatever file."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from ringback.errors import Problem
from ringback.rules.files.reader import Reader
from ringback.rules.files.schema import FileModel, HoursModel
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language import phones
from ringback.rules.language.cel import plain_language
from ringback.rules.language.literals import bad_zone
from ringback.rules.timing.calendar import Hours, parse_open
from ringback.rules.timing.holidays import holidays_of


def read_shared(
    trees: list[tuple[Source, Node]], problems: list[Problem]
) -> tuple[dict[str, list[str]], dict[str, Hours]]:
    """The lists and hours of all files, by name. What is wrong is added to `problems`."""
    lists: dict[str, list[str]] = {}
    hours: dict[str, Hours] = {}
    plain = plain_language()
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
                elif word == "lists":
                    entries = item.value if isinstance(item.value, list) else []
                    lists[name] = [phones.plain(str(entry.value)) for entry in entries]
                else:
                    hours[name] = _hours(reader, item) or Hours("UTC", ())
        if shape is None and "rules" in children and not isinstance(children["rules"].value, list):
            reader.fail(
                children["rules"], "schema", "'rules' needs a list", "begin each rule with '- '"
            )
        problems += _unique(reader.problems)
    return lists, hours


_APART = ("hours", "groups", "texts", "blocks", "hooks")
"""The sections whose insides are checked apart."""


def _without_rules(tree: Node) -> Node:
    """The file's tree without what is checked apart: its rules, the inside of other sections."""
    if not isinstance(tree.value, dict):
        return tree
    kept = {
        key: item
        for key, item in tree.value.items()
        if not (key == "rules" and isinstance(item.value, list))
        and not (key in _APART and isinstance(item.value, dict))
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
