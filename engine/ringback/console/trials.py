"""Trials of rules: one event through the rules in a child process, and nothing done.

What was typed (fields, numbers, rules) goes to the child in files that only its user can read,
never in its command line.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringback.console.children import Children
from ringback.console.problems import of_field, refuse
from ringback.console.reading import Reading

ROUTES = ("message", "message/status", "call", "call/status")
"""What may be typed, by the routes of webhooks."""
MOST_LETTERS = 20_000


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try: a stored event (its id or SID), or one that is typed (`route`), with `fields` of
    its webhook; the rules of a file that is not saved (`text`), and of which `rule` to tell."""

    event: str = ""
    route: str = "message"
    fields: Mapping[str, str] = field(default_factory=dict)
    rule: str = ""
    text: str = ""


@contextmanager
def written(files: Mapping[str, str]) -> Iterator[Path]:
    """A folder with these files, for as long as it is needed; nobody else can read it."""
    with tempfile.TemporaryDirectory(prefix="ringback-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        yield Path(folder)


async def tried(children: Children, reading: Reading, trial: Trial) -> dict[str, Any]:
    """The `event`, and what each rule says to it (`rules`). Raises a Refusal with the words of the
    command: a wrong rule has its file, line and column. An event that is not there is `missing`."""
    if trial.event.startswith("-") or trial.rule.startswith("-"):
        raise refuse("field", "An event or a rule does not begin with a dash.")
    if len(trial.text) > MOST_LETTERS:
        raise refuse("field", f"The rules have more than {MOST_LETTERS:,} letters.")
    if trial.event and not await reading.ask(lambda asked: asked.find(trial.event, 1)):
        raise refuse("missing", f"Nothing is known about {trial.event[:40]}.")
    files = {"fields.json": json.dumps(dict(trial.fields))}
    if trial.text.strip():
        files["rules.yaml"] = trial.text
    with written(files) as folder:
        words = ["rules", "try", *([trial.event] if trial.event else [])]
        words += ["--route", trial.route, "--fields", str(folder / "fields.json")]
        words += (
            ["--rules", str(folder / "rules.yaml"), "--beside"] if "rules.yaml" in files else []
        )
        words += ["--rule", trial.rule] if trial.rule else []
        printed = await children.rows(words)
        if not printed.rows or "type" not in printed.rows[0]:
            raise of_field("\n".join(printed.complaints).replace(f"{folder}/", ""))
        event, *rules = printed.rows
        return {"event": event, "rules": rules}
