"""The command `replay`: stored events through today's rules, dry or for real."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from ringback.actions import to_params
from ringback.cli import completion
from ringback.cli.control import tell_worker
from ringback.cli.events import moment
from ringback.cli.gateway_session import confirmed
from ringback.cli.output import cell, echo_tree, json_option, print_json, style
from ringback.cli.project_context import here
from ringback.cli.trace import headline, reason, taken
from ringback.errors import RuleErrors, UsageError
from ringback.events import Event
from ringback.runtime import iso
from ringback.store.queries.action_words import detail

EARLIER = 50
"""So many events of the conversation happen first: counts and `once_within` are as they were."""

Line = dict[str, Any]


@click.command()
@click.argument("what", metavar="[ID|SID]", required=False, shell_complete=completion.event_ids)
@click.option("--since", default="", help="All events from outside since then: 2h, 7d, or a time.")
@click.option(
    "--rule",
    default="",
    help="Through this rule alone, as if there were no other.",
    shell_complete=completion.rule_names,
)
@click.option("--send", is_flag=True, help="For real: the worker performs what the rules say.")
@click.option("--may-duplicate", is_flag=True, help="Even if an effect is not known to be absent.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before sending.")
@json_option
def replay(
    what: str | None,
    since: str,
    rule: str,
    send: bool,
    may_duplicate: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Run a stored event, or all since a time, through the rules of today.

    Nothing is done unless --send is given: each rule's verdict is shown, and what it would do.
    """
    from ringback.store.replays import Recorded

    if bool(what) == bool(since):
        raise UsageError("name one event (evt_… or its SID), or give --since")
    start = moment(since) if since else ""
    with Recorded(here().databases()) as recorded:
        named = [recorded.about(what)] if what else list(recorded.since(start))
        if not named:
            click.echo("nothing is recorded in that time", err=True)
            return 0
        found, lost = _whole(named, recorded.whole)
        if send:
            _ask(len(found), yes)
            lines = _live(found, rule, may_duplicate)
        else:
            earlier = recorded.earlier(found[0].uid, EARLIER) if what and found else []
            before = _whole(earlier, recorded.whole)[0]
            lines = _dry(found, before, rule)
        for line in lines:
            lost += "error" in line
            _print(line, as_json)
    return 1 if lost else 0


def _whole(uids: Sequence[str], event: Callable[[str], Event]) -> tuple[list[Event], int]:
    """The events that are still kept whole; of those that are not, one line each and their number.
    A single one that is not is an error of its own."""
    found = []
    for uid in uids:
        try:
            found.append(event(uid))
        except UsageError as error:
            if len(uids) == 1:
                raise
            click.echo(f"ringback: {error}", err=True)
    return found, len(uids) - len(found)


def _ask(count: int, yes: bool) -> None:
    what = "1 event goes" if count == 1 else f"{count:,} events go"
    confirmed(f"{what} through the rules for real: texts and calls leave again.", yes=yes)


def _live(events: Iterable[Event], rule: str, may_duplicate: bool) -> Iterator[Line]:
    """Hand each event to the worker; one that it refuses does not keep the others back."""
    for event in events:
        message = {
            "op": "replay", "uid": event.uid, "rule": rule, "may_duplicate": may_duplicate,
        }  # fmt: skip
        try:
            answer = tell_worker(message, seconds=30.0)
        except UsageError as error:
            yield {**_event(event), "error": str(error)}
            continue
        yield {**_event(event), "replay": answer["uid"], "rules": _rules(answer["verdicts"])}


def _dry(events: Sequence[Event], before: Iterable[Event], rule: str) -> Iterator[Line]:
    """Let the events happen on a bench, and show what each would have come to. Actions of runs that
    wait between two of them stand with the event that began the run, and with the one that woke it.
    """
    from ringback.cli.checked_import import import_checked
    from ringback.rules.engine.ruleset import RuleSet
    from ringback.store.queries.questions import Questions
    from ringback.store.replays import answers
    from ringback.testing.backtest import Backtest

    settings = here().settings()
    project = import_checked(settings)
    if project.problems:
        raise RuleErrors(project.problems)
    ruleset = project.ruleset
    if rule:
        chosen = ruleset.get(rule)
        if chosen is None:
            raise UsageError(f"no rule {rule!r}; `ringback rules list` names all")
        ruleset = RuleSet([chosen], ruleset.language)
    with Questions(here().databases()) as asked:
        quarantined = asked.quarantined()
    known = answers(here().databases())
    test = Backtest(ruleset, project.plugins, settings, quarantined, known)
    for event in before:
        test.feed(event)
    said = []
    for event in events:
        start = test.made
        reaction = test.feed(event)
        verdicts = {**reaction.verdicts, **dict.fromkeys(reaction.fired, "fired")}
        said.append((verdicts, reaction.woke, range(start, test.made)))
    report = test.report()
    for event, (verdicts, woke, at_once) in zip(events, said, strict=True):
        woken = {turn.rule for turn in woke}
        failed = {
            name: why
            for key, name, why in report.failures
            if key == event.dedupe_key and (not rule or name == rule)
        }
        actions = [
            {
                "rule": origin.rule, "kind": origin.action.kind, "params": to_params(origin.action),
                "held": origin.held, "put_off": origin.put_off,
            }
            for number, origin in enumerate(report.made)
            if origin.event == event.dedupe_key or (number in at_once and origin.rule in woken)
            if not rule or origin.rule == rule
        ]  # fmt: skip
        verdicts |= {name: f"failed: {why}" for name, why in failed.items()}
        turns = [{"rule": turn.rule, "question": turn.question} for turn in woke]
        yield {**_event(event), "woke": turns, "rules": _rules(verdicts), "wishes": actions}


def _event(event: Event) -> Line:
    return {
        "event": event.uid, "type": event.type, "received_at": iso(event.received_at),
        "sender": event.sender, "recipient": event.recipient, "subject_sid": event.subject_sid,
        "trust": event.trust, "source": event.source, "error_code": event.error_code,
        "body": event.body,
    }  # fmt: skip


def _rules(verdicts: Mapping[str, str]) -> list[Line]:
    """The verdicts, those that fired first."""
    ordered = sorted(verdicts.items(), key=lambda pair: pair[1] != "fired")
    return [
        {"rule": name, "fired": verdict == "fired", "verdict": verdict} for name, verdict in ordered
    ]


def _print(line: Line, as_json: bool) -> None:
    if as_json:
        print_json(line)
        return
    about = {**line, "uid": line["event"], "fields": {"Body": line["body"]}}
    echo_tree(headline(about))
    if "error" in line:
        click.echo(f"ringback: not replayed: {line['error']}", err=True)
        return
    if "replay" in line:
        echo_tree(f"│  replayed as {line['replay']}")
    actions = list(line.get("wishes", ()))
    rules = [*line["rules"]]
    woke = [{**each, "fired": True, "verdict": ""} for each in line.get("woke", ())]
    woken = {each["rule"] for each in woke}
    names = {each["rule"] for each in rules} | woken
    hooks = dict.fromkeys(origin["rule"] for origin in actions if origin["rule"] not in names)
    rules += [{"rule": name, "fired": True, "verdict": "fired"} for name in hooks]
    if not rules and not woke:
        click.echo("└─ no rule listens to this type")
    for number, each in enumerate([*woke, *rules], 1):
        branch, stem = ("├─ ", "│  ") if number < len(woke) + len(rules) else ("└─ ", "   ")
        mark = style("✓", "green") if each["fired"] else style("✗", "yellow")
        why = (
            f"  {taken(each['question'], about)}" if "question" in each else reason(each["verdict"])
        )
        echo_tree(f"{branch}{mark} {cell(each['rule'])}{why}")
        for origin in actions:
            if origin["rule"] == each["rule"] and ("question" in each or each["rule"] not in woken):
                said = cell(detail(origin["kind"], origin["params"]))
                held = f"  (held back: {origin['held']})" if origin["held"] else ""
                held = held or (f"  (put off: {origin['put_off']})" if origin["put_off"] else "")
                echo_tree(f"{stem}     would do {origin['kind']} {said}".rstrip() + held)
