"""The command `rules`: the rules of a project, and the schema of their language."""

from dataclasses import asdict
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.control import tell_worker
from ringback.cli.events import moment
from ringback.cli.output import json_option, print_json, print_rows, wide_option
from ringback.cli.project_context import here
from ringback.cli.rule_override import in_force, said, state
from ringback.cli.rule_trial import try_
from ringback.errors import RuleErrors, StorageError, UsageError
from ringback.printed_json import printed_json
from ringback.rules.language.numbers import number_text
from ringback.runtime import iso
from ringback.store.operations.rule_states import RuleState
from ringback.store.queries import shapes

COLUMNS = (
    "name", "on", "state", "fired", "last", "silent", "next", "priority", "place", "note",
)  # fmt: skip
BY_WEIGHT = (
    "name", "state", "fired", "silent", "note", "last", "next", "on", "priority", "place",
)  # fmt: skip
"""The columns as they give way, the last one first, where there is little room."""


Known = tuple[dict[str, dict[str, Any]], dict[str, RuleState], str]
"""Strikes and states of rules by their names, and the time."""


@click.group()
def rules() -> None:
    """The rules of this project, from files and from plugins."""


@rules.command("list")
@click.option("--since", default="24h", show_default=True, help="Count since then: 2h, 7d, a time.")
@wide_option
@json_option
def list_(since: str, wide: bool, as_json: bool) -> None:
    """List all rules in the order in which they are asked, with how often each fired."""
    from ringback.cli.hosted import described
    from ringback.cli.rule_activity import shown, with_activity

    project = described(here().settings())
    known = _known()
    rows = with_activity(
        [(rule, _row(rule, known)) for rule in project.ruleset.rules], moment(since)
    )
    for row in () if as_json else rows:
        shown(row)
        row["state"] = in_force(row)
    print_rows(
        rows, COLUMNS, as_json=as_json, empty="no rules; write one into rules/",
        by_weight=BY_WEIGHT, wide=wide,
    )  # fmt: skip
    if project.problems:
        raise RuleErrors(project.problems)


@rules.command()
@click.argument("name", shell_complete=completion.rule_names)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show one rule: what it listens to, what must hold, what it does."""
    from ringback.cli.hosted import described

    project = described(here().settings())
    found = [rule for rule in project.ruleset.rules if rule.name == name]
    if not found:
        from difflib import get_close_matches

        close = get_close_matches(name, [rule.name for rule in project.ruleset.rules], 1)
        hint = f"; did you mean {close[0]!r}?" if close else "; `ringback rules list` names all"
        raise UsageError(f"no rule {name!r}{hint}")
    rule = found[0]
    row = _row(rule, _known())
    row |= {
        "if": [condition.source for condition in rule.conditions],
        "rev": rule.rev,
        "once_within": rule.once_within or None,
        "backstop": rule.backstop or None,
        "also_answers": rule.also_answers or None,
        "budget": _budget(rule) or None,
    }
    if as_json:
        print_json(row)
        return
    row["override"] = said(row["override"])
    for key, value in row.items():
        if value not in (None, "", []):
            click.echo(f"{key:12} {', '.join(value) if isinstance(value, list) else value}")
    source = _source(rule)
    if source:
        click.echo(f"\n{source}")


@rules.command()
@wide_option
@json_option
def functions(wide: bool, as_json: bool) -> None:
    """List the functions that conditions and texts may call, with those of plugins."""
    from ringback.cli.hosted import described
    from ringback.rules.functions.builtins import BUILTINS

    rows = [
        {"function": each.signature, "gives": each.returns, "of": "", "about": each.doc,
         "example": each.example}
        for each in BUILTINS
    ]  # fmt: skip
    rows += [
        {"function": f"{each.name}({', '.join(each.args)})", "gives": each.returns,
         "of": each.plugin, "about": each.doc.partition("\n")[0], "example": ""}
        for each in described(here().settings()).plugins.functions
    ]  # fmt: skip
    columns = ("function", "gives", "of", "about", *(("example",) if as_json else ()))
    weighty = ("function", "about", "gives", "of")
    print_rows(rows, columns, as_json=as_json, empty="", by_weight=weighty, wide=wide)


@rules.command()
@wide_option
@json_option
def steps(wide: bool, as_json: bool) -> None:
    """List the steps that may stand under `do`, with those of plugins."""
    from ringback.cli.hosted import described
    from ringback.rules.steps.kinds import STEPS

    plugins = described(here().settings()).plugins.steps
    known: list[tuple[str, Any, str | None, str]] = [
        *((word, model, model.__doc__, "") for word, model in STEPS.items()),
        *((each.name, each.model, each.doc, each.plugin) for each in plugins),
    ]
    rows: list[dict[str, Any]] = [
        {
            "step": word, "of": plugin, "about": _first(doc),
            "example": getattr(model, "example", ""), "parameters": _parameters(model),
        }
        for word, model, doc, plugin in known
    ]  # fmt: skip
    for row in () if as_json else rows:
        row["parameters"] = ", ".join(row["parameters"])
    print_rows(
        rows, ("step", "about", "parameters", "of"), as_json=as_json, empty="", wide=wide,
        by_weight=("step", "about", "parameters", "of"),
    )  # fmt: skip


def _parameters(model: Any) -> list[str]:
    """The names of a step's parameters, as a rule file writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _first(doc: str | None) -> str:
    return " ".join((doc or "").partition("\n\n")[0].split())


@rules.command()
def schema() -> None:
    """Print the JSON Schema of rule files, with the steps of this project's plugins."""
    from ringback.cli.hosted import proven
    from ringback.rules.files.schema import json_schema

    steps = proven(here().settings()).steps
    click.echo(printed_json(json_schema(steps=steps), indent=2))


RELOAD_SECONDS = 90.0
"""Each plugin that hangs at import costs 5 s, and another start of the process that imports."""


@rules.command()
def reload() -> int:
    """Let the running worker read rules and plugins again; with problems it keeps the old ones."""
    problems = tell_worker({"op": "reload"}, seconds=RELOAD_SECONDS)["problems"]
    for problem in problems:
        click.echo(f"ringback: {problem}", err=True)
    click.echo("not loaded, the old ones stay" if problems else "loaded")
    return 1 if problems else 0


@rules.command()
@click.argument("name", shell_complete=completion.rule_names)
def release(name: str) -> None:
    """Let a rule or a plugin's function run again that was put into quarantine for blocking."""
    tell_worker({"op": "release", "rule": name})
    click.echo(f"{name} runs again")


rules.add_command(state)
rules.add_command(try_)


def _known() -> Known:
    from ringback.store.queries.questions import Questions

    try:
        with Questions(here().databases()) as asked:
            strikes = {row["rule"]: row for row in asked.strikes()}
            return strikes, asked.rule_states(), iso(here().now())
    except StorageError:
        return {}, {}, ""  # no node has run here yet


def _row(rule: Any, known: Known) -> dict[str, Any]:
    strikes, states, now = known
    strike, given = strikes.get(rule.name), states.get(rule.name)
    over = shapes.override(given) if given is not None and given.holds(rule.rev, now) else None
    note = ""
    if strike and strike["quarantined_at"]:
        note = f"quarantined: {strike['reason']}"
    return {
        "name": rule.name,
        "on": ", ".join(rule.on),
        "state": over["state"] if over else rule.state,
        "file": rule.state,
        "override": over,
        "priority": rule.priority,
        "place": f"{rule.file.removeprefix(f'{here().project}/')}:{rule.line}",
        "plugin": rule.plugin,
        "note": note,
    }


def _budget(rule: Any) -> list[str]:
    words = asdict(rule.budget) if rule.budget else {}
    return [f"{word} {number_text(float(amount))}" for word, amount in words.items() if amount]


def _source(rule: Any) -> str:
    """The lines of a rule as they stand in its file: from its first to the next of its depth."""
    from pathlib import Path

    path = Path(rule.file)
    try:
        lines = (path if path.is_absolute() else here().project / path).read_text().splitlines()
    except OSError:
        return ""
    if not 0 < rule.line <= len(lines):
        return ""
    first = lines[rule.line - 1]
    depth = len(first) - len(first.lstrip())
    taken = [first]
    for line in lines[rule.line :]:
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent <= depth and not line.lstrip().startswith(")"):
            break
        taken.append(line)
    return "\n".join(taken).rstrip()
