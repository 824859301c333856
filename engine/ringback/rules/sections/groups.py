"""Groups of people, named at the top of a rule file: kept in the journal, or read from a file."""

from collections.abc import Mapping
from pathlib import Path

from ringback.errors import Problem
from ringback.events import telephone
from ringback.rules.files.reader import Reader
from ringback.rules.files.schema import GroupModel
from ringback.rules.files.source_map import Source
from ringback.rules.files.yaml_tree import Node
from ringback.rules.language.cel import plain_language
from ringback.rules.language.complaints import did_you_mean
from ringback.rules.language.membership import Group
from ringback.rules.sections.contact_lines import read_contacts
from ringback.rules.sections.shared_folders import CONTACTS

MOST_GROUPS = 200
MOST_MEMBERS = 50_000
"""So many lines of a file are members; larger groups belong into the journal."""
MOST_PROBLEMS = 20
"""So many mistakes of one file are named."""


def read_groups(
    trees: list[tuple[Source, Node]], places: Mapping[str, Path], problems: list[Problem]
) -> dict[str, Group]:
    """The groups of all files, by name. `places` are the paths of the files by the names that they
    are shown by. What is wrong is added to `problems`."""
    found: dict[str, Group] = {}
    plain = plain_language()
    for source, tree in trees:
        reader = Reader(source, plain)
        node = tree.value.get("groups") if isinstance(tree.value, dict) else None
        items = node.value if node is not None and isinstance(node.value, dict) else {}
        for name, item in items.items():
            if not name.isidentifier():
                reader.fail_key(node or item, name, "name", f"{name!r} is no name", _LETTERS)
            elif name in found:
                text = f"groups {name!r} are there twice, in two files"
                reader.fail_key(node or item, name, "duplicate", text)
            elif len(found) >= MOST_GROUPS:
                reader.fail_key(node or item, name, "limit", f"more than {MOST_GROUPS} groups")
                break
            else:
                found[name] = _group(name, item, reader, places)
        problems += reader.problems
    return found


_LETTERS = "use letters, digits and _"


def _group(name: str, item: Node, reader: Reader, places: Mapping[str, Path]) -> Group:
    model = reader.model(item, GroupModel)
    if model is None or not model.from_:
        return Group()
    place = item.value["from"] if isinstance(item.value, dict) else item
    project = _project_of(places[reader.source.file])
    path = project / model.from_
    if not path.resolve().is_relative_to((project / CONTACTS).resolve()):
        text = f"{model.from_} is not in the folder {CONTACTS} of the project"
        reader.fail(place, "file", text, f"write `from: {CONTACTS}/{path.name}`")
        return Group(model.from_, path, {})
    members: dict[str, str] = {}
    wrong = 0
    for line in read_contacts(path, model.from_):
        if isinstance(line, Problem):
            wrong += 1
            if not line.line:
                reader.fail(place, "file", f"{model.from_}: {line.message}", _FOLDER)
            elif wrong <= MOST_PROBLEMS:
                reader.problems.append(line)
        else:
            members.setdefault(telephone(line.address), line.address)
        if len(members) > MOST_MEMBERS:
            hint = f"write `{name}: {{}}`, and `ringback groups import {name} {model.from_}`"
            text = f"{model.from_} has more than {MOST_MEMBERS:,} people"
            reader.fail(place, "limit", text, hint)
            break
    return Group(model.from_, path, members)


_FOLDER = "the path begins at the project folder, the one with `rules` in it"


def _project_of(file: Path) -> Path:
    """The project of a rule file: the folder above the nearest `rules`, else its own."""
    full = file.resolve()
    return next((each.parent for each in full.parents if each.name == "rules"), full.parent)


def files_of(groups: Mapping[str, Group]) -> list[Path]:
    """The files that members are read from."""
    return [group.path for group in groups.values() if group.path is not None]


def check_group(reader: Reader, given: str, node: Node, *, texts: bool = False) -> None:
    """Refuse a group that is not there, or, unless it only gets `texts`, whose members a file
    says."""
    groups, name = reader.language.groups, given.removeprefix("groups.")
    if texts == (name == given):
        text = f"{given!r} is no group" if texts else f"{given!r} is more than a name"
        hint = f"write {'groups.' if texts else ''}{name}"
        reader.fail(node, "name", text, hint)
        return
    if name not in groups:
        hint = did_you_mean(name, groups) or f"add it under `groups`: `{name}: {{}}`"
        reader.fail(node, "name", f"no group is named {name!r}", hint)
    elif not texts and groups[name].members is not None:
        text = f"the members of {name!r} are those of {groups[name].file}"
        reader.fail(node, "name", text, "change that file, or leave `from` away")
