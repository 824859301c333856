"""Completion in the shell: rules, event types and ids, as far as the project's files know them.

Nothing is imported of plugins and nothing is said when it cannot be known: somebody is typing.
https://click.palletsprojects.com/en/stable/shell-completion/
"""

import contextlib
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from ringback.cli.project_context import Place, find_project
from ringback.errors import RingbackError

RECENT = 30
_NAME = re.compile(r"^\s*(?:-\s*)?\{?\s*name:\s*['\"]?([\w.-]+)", re.M)

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Found = Iterable[tuple[str, str]]
"""What may be written, each with what is said beside it."""


def _completes(find: Callable[[Place], Found]) -> Complete:
    def complete(ctx: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
        given = ctx.find_root().params
        flags = {"data": str(given["data"])} if given.get("data") else {}
        project = given.get("project") or find_project(Path.cwd())
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # whose data it is, for instance
                found = dict(find(Place(Path(project).absolute(), flags)))
        except Exception:  # a half-written file or a folder without data: nothing is completed
            return []
        return [
            CompletionItem(value, help=about or None)
            for value, about in found.items()
            if value.startswith(begun)
        ]

    return complete


def _rules(place: Place) -> Found:
    for file in sorted((place.project / "rules").glob("**/*.y*ml")):
        for name in _NAME.findall(file.read_text("utf-8", "replace")):
            yield name, file.name
    with contextlib.suppress(RingbackError), _asked(place) as asked:  # nothing ran yet
        yield from ((row["rule"], "") for row in asked.runs(limit=RECENT))  # those of plugins too


def _types(_: Place) -> Found:
    from ringback.events import EVENT_TYPES

    families = sorted({name.partition(".")[0] for name in EVENT_TYPES})
    yield from ((f"{family}.*", "") for family in families)
    yield from ((name, "") for name in EVENT_TYPES)


def _events(place: Place) -> Found:
    with _asked(place) as asked:
        for row in asked.events(limit=RECENT):
            yield row["uid"], f"{row['type']} {row['sender']}"


def _actions(place: Place) -> Found:
    with _asked(place) as asked:
        for row in asked.actions(limit=RECENT):
            yield row["uid"], f"{row['kind']} {row['state']} {row['rule']}"


def _drafts(place: Place) -> Found:
    with _asked(place) as asked:
        for row in asked.actions(state="parked", limit=RECENT):
            yield row["uid"], f"{row['kind']} {row['rule']}"


def _runs(place: Place) -> Found:
    with _asked(place) as asked:
        for row in asked.runs(limit=RECENT):
            yield row["uid"], f"{row['rule']} {row['state']}"


def _anything(place: Place) -> Found:
    yield from _events(place)
    yield from _runs(place)
    yield from _actions(place)


def _asked(place: Place) -> Any:
    from ringback.store.queries.questions import Questions

    return Questions(place.databases())


rule_names = _completes(_rules)
event_types = _completes(_types)
event_ids = _completes(_events)
action_ids = _completes(_actions)
drafts = _completes(_drafts)
run_ids = _completes(_runs)
ids = _completes(_anything)
