"""The command `backtest`: recorded events through the rules of today or through new ones."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ringback.actions import to_params
from ringback.cli.events import moment
from ringback.cli.output import (
    cell,
    echo_tree,
    json_option,
    print_json,
    print_rows,
    style,
    wide_option,
)
from ringback.cli.progress_bar import progress
from ringback.cli.project_context import here
from ringback.errors import RuleErrors, UsageError
from ringback.rules.language.numbers import counted, number_text
from ringback.runtime import iso

COLUMNS = ("rule", "fired", "would do", "held back", "failed", "why not")
BY_WEIGHT = ("rule", "fired", "would do", "failed", "held back", "why not")
"""The columns as they give way, the last one first, where there is little room."""
_TOP_REASONS = 4
BESIDE = "Keep the rules of the project beside those of --rules, but for rules of the same names."


@click.command()
@click.option("--since", default="", help="Only what came since then: 2h, 7d, or a time.")
@click.option(
    "--rules", "new", type=click.Path(exists=True, path_type=Path),
    help="Rules to try instead: a rule file, a folder of them, or a project folder.",
)  # fmt: skip
@click.option("--beside", is_flag=True, help=BESIDE)
@click.option(
    "--price", type=float,
    help="What one segment of a text costs, for the sum; RINGBACK_SEGMENT_PRICE if not given.",
)  # fmt: skip
@click.option("--examples", default=5, show_default=True, help="So many differences are shown.")
@wide_option
@json_option
def backtest(
    since: str, new: Path | None, beside: bool, price: float | None, examples: int, wide: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Run the recorded events through the rules, and perform nothing.

    Shows what each rule would have done, why it did not fire, what the texts would have cost, and
    how that differs from what was really done.
    """
    from ringback.store.data_place import open_log_reader
    from ringback.store.replays import answers, performed
    from ringback.testing.backtest import Backtest, compare, recorded

    start = moment(since) if since else ""
    if start > iso(here().now()):
        raise UsageError(f"--since {since} lies ahead; it is {iso(here().now())} now")
    place = here().databases()
    settings = here().settings()
    if price is None:
        price = settings.segment_price or None
    ruleset, plugins = rules_of(new, beside=beside)
    journal = place.has_journal()
    known = answers(place, start) if journal else None
    test = Backtest(ruleset, plugins, settings, answers=known)
    with contextlib.closing(open_log_reader(place)) as log, progress("replaying") as told:
        for event in recorded(log, start, told):
            test.feed(event)
    report = test.report()
    done = performed(place, start) if journal else None
    difference = compare(report, done) if done is not None else None
    if as_json:
        for line in _lines(report, difference, price):
            print_json(line)
        return
    _print(report, difference, price, examples, wide=wide)


def rules_of(new: Path | None, *, beside: bool = False) -> tuple[Any, Any]:
    """The rules to try, and the plugins; with `beside` those of the project too, but for rules of
    the same names. Raises RuleErrors when anything is wrong with them."""
    from ringback.cli.checked_import import import_checked
    from ringback.testing.assembly import ruleset_of

    settings = here().settings()
    whole = new is not None and any((new / name).is_dir() for name in ("rules", "plugins"))
    chosen = replace(settings, project=new.absolute()) if new and whole else settings
    project = import_checked(chosen)
    if new is None or whole:
        if project.problems:
            raise RuleErrors(project.problems)
        return project.ruleset, project.plugins
    if not beside:
        ruleset, problems = ruleset_of(project.plugins, new)
    elif project.problems:
        raise RuleErrors(project.problems)
    else:
        files = _rule_files(new)
        ruleset, problems = ruleset_of(
            project.plugins, [*files, *_rule_files(settings.project / "rules")]
        )
        # Of two rules of one name the first is taken, and the project's own is complained of.
        problems = [each for each in problems if each.file in map(str, files)]
        ruleset = _in_order(ruleset, project.ruleset)
    if problems:
        raise RuleErrors(problems)
    return ruleset, project.plugins


def _rule_files(where: Path) -> list[Path]:
    if where.is_file():
        return [where]
    names = (path for path in where.rglob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    return sorted(path for path in names if not path.name.startswith("."))


def _in_order(ruleset: Any, old: Any) -> Any:
    """The rules in the order of the project, which decides between equals; new ones last."""
    from ringback.rules.engine.ruleset import RuleSet

    places = {rule.name: place for place, rule in enumerate(old.rules)}
    rules = sorted(ruleset.rules, key=lambda rule: places.get(rule.name, len(places)))
    return RuleSet(rules, ruleset.language)


def _lines(report: Any, difference: Any, price: float | None) -> Iterator[dict[str, Any]]:
    yield {"line": "summary", **_summary(report, difference, price)}
    for name, figures in report.rules.items():
        yield {
            "line": "rule", "rule": name, "fired": figures.fired, "actions": dict(figures.actions),
            "held": dict(figures.held), "failed": dict(figures.failed),
            "why_not": dict(figures.why_not), "segments": figures.segments,
        }  # fmt: skip
    for origin in difference.added if difference else report.done:
        yield {"line": "only now" if difference else "now", **_origin(origin)}
    for done in difference.missing if difference else ():
        yield {
            "line": "only then", "rule": done.rule, "kind": done.kind, "event": done.event,
            "params": done.params,
        }  # fmt: skip


def _summary(report: Any, difference: Any, price: float | None) -> dict[str, Any]:
    found = {
        "events": report.events,
        "first": iso(report.first) if report.first else None,
        "last": iso(report.last) if report.last else None,
        "actions": len(report.done),
        "recipients": report.recipients,
        "segments": report.segments,
        "cost": None if price is None else round(price * report.segments, 4),
        "waiting": report.waiting,
    }
    if difference:
        found |= {
            "same": difference.same,
            "only_now": len(difference.added),
            "only_then": len(difference.missing),
            "by_people": len(difference.by_people),
        }
    return found


def _origin(origin: Any) -> dict[str, Any]:
    return {
        "at": iso(origin.at), "rule": origin.rule, "kind": origin.action.kind,
        "event": origin.event, "params": to_params(origin.action),
    }  # fmt: skip


def _print(report: Any, difference: Any, price: float | None, examples: int, *, wide: bool) -> None:
    if not report.events:
        click.echo("nothing is recorded in that time", err=True)
        return
    click.echo(f"{counted(report.events, 'event')}, {iso(report.first)} to {iso(report.last)}")
    rows = [
        {
            "rule": name,
            "fired": figures.fired,
            "would do": _reasons(figures.actions),
            "held back": _reasons(figures.held),
            "failed": _reasons(figures.failed),
            "why not": _reasons(figures.why_not),
        }
        for name, figures in report.rules.items()
    ]
    print_rows(rows, COLUMNS, as_json=False, empty="no rules", by_weight=BY_WEIGHT, wide=wide)
    cost = ""
    if price is not None:
        cost = f", {price * report.segments:.2f} at {number_text(price)} a segment"
    actions = counted(len(report.done), "action")
    segments = counted(report.segments, "segment of text", "segments of text")
    people = counted(report.recipients, "person", "people")
    click.echo(f"{actions}, {segments}{cost}, to {people}")
    if report.waiting:
        click.echo(f"still waiting at the end: {counted(report.waiting, 'run')}")
    if difference is None:
        return
    click.echo(
        f"against what was done then: {difference.same:,} the same, {len(difference.added):,} only "
        f"now, {len(difference.missing):,} only then"
    )
    if difference.by_people:
        click.echo(f"left out, as people did it and not rules: {len(difference.by_people):,}")
    for origin in difference.added[:examples]:
        _example("only now", "green", origin.rule, origin.action.kind, to_params(origin.action))
    for done in difference.missing[:examples]:
        _example("only then", "red", done.rule, done.kind, done.params)


def _example(word: str, colour: str, rule: str, kind: str, params: dict[str, Any]) -> None:
    text = params.get("body") or params.get("text") or ""
    to = f" to {params['to']}" if params.get("to") else ""
    echo_tree(f"  {style(word, colour)}  {rule}  {kind}{to}  {cell(text)[:70]}".rstrip())


def _reasons(counts: Iterable[str]) -> str:
    common = Counter(counts).most_common(_TOP_REASONS)
    return ", ".join(f"{count:,} {name}" for name, count in common)
