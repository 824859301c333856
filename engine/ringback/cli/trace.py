"""The command `trace`: the whole life of an event as a tree.

Webhook, then every rule that looked at it with ✓ or ✗ and the reason, its run, its actions, their
attempts, the SID that Twilio gave, each status callback with its time, and how it ended.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from ringback.cli import completion
from ringback.cli.control import say_if_stopped
from ringback.cli.events import questions
from ringback.cli.output import cell, echo_tree, json_option, print_json, short_time, style
from ringback.cli.project_context import here
from ringback.error_codes import explain_error
from ringback.errors import UsageError
from ringback.rules.interpreter import answers
from ringback.store.queries import shapes
from ringback.store.queries.action_words import cost, detail

GOOD = ("settled", "done", "accepted")
BAD = ("failed", "refused", "parked", "unknown")


@click.command()
@click.argument("what", metavar="ID|SID|NUMBER", shell_complete=completion.ids)
@click.option("--limit", default=3, show_default=True, help="So many events of a number.")
@click.option("--pytest", "as_test", is_flag=True, help="Print a test that plays it again.")
@json_option
def trace(what: str, limit: int, as_test: bool, as_json: bool) -> None:
    """Show why something happened, or did not.

    WHAT is an id of ours (evt_… run_… act_…), a message or call SID, or a phone number.
    """
    conditions = {} if as_test else _conditions()
    with questions() as asked:
        uids = asked.find(here().number(what), limit)
        if as_test and uids:
            from ringback.testing.export import regression

            click.echo(regression(asked, uids[-1]))
            return
        traces = [asked.trace(uid, what) for uid in uids]
    if not traces:
        raise UsageError(
            f"nothing is known about {what!r}; `ringback events list` shows what came in"
        )
    for number, tree in enumerate(traces):
        if as_json:
            print_json(shapes.trace(tree, conditions))
            continue
        if number:
            click.echo()
        for line in render(tree, conditions):
            echo_tree(line)
    say_if_stopped(
        [each["state"] for tree in traces for run in tree["runs"] for each in run["actions"]]
    )


def _conditions() -> dict[str, tuple[str, list[str]]]:
    """Each rule's revision and `if` lines as they are today, to show next to a verdict."""
    from ringback.cli.hosted import described

    rules = described(here().settings()).ruleset.rules
    return {rule.name: (rule.rev, [each.source for each in rule.conditions]) for rule in rules}


def render(
    tree: Mapping[str, Any], conditions: Mapping[str, tuple[str, list[str]]]
) -> Iterator[str]:
    """The tree as lines of text."""
    event = tree["event"]
    yield headline(event)
    if tree["cause"]:
        cause = tree["cause"]
        yield f"│  caused by {cause['action']} of rule {cause['rule']}: trace {cause['event']}"
    if tree["replays"]:
        yield f"│  replays {tree['replays']}"
    for copy in tree["replayed"]:
        yield f"│  replayed as {copy}"
    verdicts, turns = shapes.verdicts(tree), tree["turns"]
    joined = {turn["rule"] for turn in turns if verdicts.get(turn["rule"], "").startswith("joined")}
    verdicts = {name: verdict for name, verdict in verdicts.items() if name not in joined}
    for number, turn in enumerate(turns, 1):
        branch, stem = _branch(last=number == len(turns) and not verdicts)
        known = "counts it among the texts before it"
        was = known if turn["rule"] in joined else taken(turn["question"], event)
        was = "is ended by it" if answers.ended(turn["reason"], event["uid"]) else was
        yield f"{branch}{style('✓', 'green')} {cell(turn['rule'])}  {was}"
        for line in _run(turn, event):
            yield stem + line
    if not verdicts and not turns:
        waits = event["verdicts"] is None
        yield "└─ it waits to be matched" if waits else "└─ no rule listens to this type"
        return
    runs = {run["rule"]: run for run in tree["runs"]}
    last = next(reversed(verdicts), "")
    for name, verdict in verdicts.items():
        branch, stem = _branch(last=name == last)
        run = runs.get(name)
        mark = style("✓", "green") if verdict == "fired" else style("✗", "yellow")
        yield f"{branch}{mark} {cell(name)}{reason(verdict)}{_override(tree, name)}"
        for text, held in shapes.asked_lines(name, verdict, run, conditions, tree["lines"]):
            yield f"{stem}     {'✓' if held else '✗'} if {cell(' '.join(text.split()))}"
        if run is not None:
            for line in _run(run, event):
                yield stem + line


def _branch(*, last: bool) -> tuple[str, str]:
    return ("└─ ", "   ") if last else ("├─ ", "│  ")


def taken(question: str, event: Mapping[str, Any]) -> str:
    """What an event was to a run that had waited for it."""
    return answers.taken(cell(question), event["type"], _fields(event))


def _fields(event: Mapping[str, Any]) -> Mapping[str, str]:
    return event["fields"] if isinstance(event["fields"], dict) else {}


def headline(event: Mapping[str, Any]) -> str:
    """An event on one line: when, what, who, the text, how it was proven, its ids."""
    who = f"{event['sender']} → {event['recipient']}" if event["sender"] else ""
    text = shapes.said(event["fields"]) if isinstance(event["fields"], dict) else ""
    number = event["error_code"]
    parts = [
        short_time(event["received_at"]),
        style(event["type"], "cyan"),
        cell(who),
        cell(f"“{text}”") if text else "",
        f"error {number}: {explain_error(number).title}" if number else "",
        cell(shapes.charged(event)),
        f"({event['trust']} {event['source']})",
        event["uid"],
        cell(event["subject_sid"]),
    ]
    return "  ".join(part for part in parts if part)


def reason(verdict: str) -> str:
    """What is said behind a rule's name about why it did not fire; nothing when it did."""
    if verdict == "fired":
        return ""
    kind, _, rest = verdict.partition(":")
    if kind == "if":
        return f"  line {rest.strip()} of its conditions does not hold"
    known = {
        "from": "  another sender",
        "to": "  another number of ours",
        "off": "  it is off",
        "trust": f"  the event is only {rest.strip()}",
        "error": f"  its condition failed: {rest.strip()}",
    }
    return known.get(kind, f"  {cell(verdict)}")


def _override(tree: Mapping[str, Any], name: str) -> str:
    """What a person had made of a rule, when that is not what its file says."""
    said = tree["overrides"].get(name)
    if said is None:
        return ""
    until = f" until {short_time(said['until'])}" if said["until"] else ""
    who = said["by"] or "somebody"
    return cell(f"  ({said['state']}, not {said['file']}: {who} said so{until}: {said['reason']})")


def _run(run: Mapping[str, Any], event: Mapping[str, Any]) -> Iterator[str]:
    due = f" until {short_time(run['due_at'])}" if run["due_at"] else ""
    text = run["reason"].partition(" until ")[0] if due else run["reason"]
    why = f": {cell(text)}" if text else ""
    began = f", begun by {run['began']}" if "began" in run else ""
    yield f"└─ run {_state(run['state'])}{due}{why}  {run.get('uid') or run['run']}{began}"
    parts = _parts(run)
    for number, (turn, action) in enumerate(parts, 1):
        last = number == len(parts)
        yield f"   {'└─' if last else '├─'} {_turn(turn) if turn else _action(action)}"
        if turn:
            continue
        stem = "         " if last else "   │     "
        for attempt in action["attempts"]:
            yield stem + _attempt(attempt)
        for callback in action["callbacks"]:
            yield stem + _callback(callback)
        if action["outcome"]:
            yield f"{stem}= {_state(action['outcome'])}{_took(action, event)}"
        if code := action.get("error_code"):
            yield from (stem + line for line in _what_to_do(code))


def _parts(run: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The turns and the actions of a run in their order: an event, then what came of it."""
    parts = [(action["ordinal"], 1, None, action) for action in run["actions"]]
    parts += [(turn["ordinal"], 0, turn, None) for turn in run.get("turns", ())]
    return [(turn, action) for *_, turn, action in sorted(parts, key=lambda part: part[:2])]


def _turn(turn: Mapping[str, Any]) -> str:
    """The event that a run took, in short."""
    event = turn["woken_by"]
    if event is None:
        return f"{short_time(turn['at'])} {turn['event']}, which is no longer kept"
    text = shapes.said(event["fields"]) if isinstance(event["fields"], dict) else ""
    what = f" “{cell(text)}”" if text else ""
    question = cell(turn["question"]) if turn["question"] else ""
    answer = answers.within(question, event["type"], _fields(event))
    return f"{short_time(event['received_at'])} {event['type']}{what}{answer}  {event['uid']}"


def _action(action: Mapping[str, Any]) -> str:
    params = action["params"] if isinstance(action["params"], dict) else {}
    shown = detail(action["kind"], params)
    why = f": {cell(action['reason'])}" if action["reason"] else ""
    sid = f"  {action['remote_sid']}" if action["remote_sid"] else ""
    waits = action["due_at"] and action["state"] in ("planned", "deferred")
    due = f", not before {short_time(action['due_at'])}" if waits else ""
    state = f"{_state(action['state'])}{due}{why}"
    price = f"  {cell(said)}" if (said := cost(action)) else ""
    return f"{action['kind']} {cell(shown)}  {state}{price}{sid}  {action['uid']}"


def _attempt(attempt: Mapping[str, Any]) -> str:
    status = f" HTTP {attempt['http_status']}" if attempt["http_status"] else ""
    code = f" error {attempt['twilio_code']}" if attempt["twilio_code"] else ""
    result = attempt["result"] or "under way"
    detail = f": {cell(attempt['detail'])}" if attempt["detail"] else ""
    return (
        f"{short_time(attempt['started_at'])} attempt {attempt['n']}{status}{code} {result}{detail}"
    )


def _callback(callback: Mapping[str, Any]) -> str:
    number = callback["error_code"]
    code = f" error {number}: {explain_error(number).title}" if number else ""
    rules = f"  → {', '.join(map(cell, callback['rules']))}" if callback["rules"] else ""
    return (
        f"{short_time(callback['received_at'])} {callback['type']}{code}  {callback['uid']}{rules}"
    )


def _what_to_do(number: int) -> tuple[str, str]:
    """Class, fault and use of a retry of an error, and the first step against it."""
    code = explain_error(number)
    return (
        f"! error {number} {code.error_class}, fault: {code.fault}, retry: {code.retry}",
        f"  {code.remedy} More: ringback explain {number}",
    )


def _took(action: Mapping[str, Any], event: Mapping[str, Any]) -> str:
    from ringback.runtime import from_iso

    if not action["settled_at"]:
        return ""
    began = action["attempts"][-1]["started_at"] if action["attempts"] else event["received_at"]
    took = from_iso(action["settled_at"]) - from_iso(began)
    return f" after {took.total_seconds():.1f} s"


def _state(state: str) -> str:
    if state in GOOD or state in ("delivered", "read", "completed"):
        return style(state, "green")
    if state in BAD or state == "undelivered":
        return style(state, "red")
    return state
