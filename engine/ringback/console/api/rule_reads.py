"""Rules in the JSON API: what each says, what it did in 24 hours, and what it said to events."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.console.shadows import compared
from ringback.console.trials import ROUTES, Trial, tried
from ringback.runtime import REAL, iso
from ringback.store.queries import shapes
from ringback.store.queries.questions import Questions

_SINCE = Parameter("since", "Count since then: a time, or a span back from now; 24h without.",
                   "time")  # fmt: skip
_STATE = Parameter("state", "Only in this state, whoever gave it.",
                   choices=("live", "draft", "shadow", "off"))  # fmt: skip


async def rules(asked: Asked) -> dict[str, Any]:
    """The rules that a worker has read, by name."""
    since, wanted = asked.values["since"], asked.values["state"]
    found = await asked.console.reading.ask(lambda questions: _all(questions, since))
    return listed([each for each in found if not wanted or each["state"] == wanted])


async def rule(asked: Asked) -> dict[str, Any]:
    """One rule."""
    name = asked.values["name"]
    since = asked.values["since"]
    for each in await asked.console.reading.ask(lambda questions: _all(questions, since)):
        if each["name"] == name:
            return each
    raise refuse("missing", f"No rule {name[:40]} is in use.")


async def revisions(asked: Asked) -> dict[str, Any]:
    """What a rule said, the newest first; the 20 last ones."""
    name = asked.values["name"]
    rows = await asked.console.reading.ask(lambda questions: questions.revisions(name))
    if not rows:
        raise refuse("missing", f"No rule {name[:40]} was ever in use.")
    return listed(rows)


def _all(asked: Questions, counted_since: str | None) -> list[dict[str, Any]]:
    now = REAL.now()
    since = counted_since or iso(now - timedelta(days=1))
    states, silence = asked.rule_states(), asked.silence()
    runs, held = asked.rule_runs(since), asked.held_by_gate(since)
    strikes = {row["rule"]: row for row in asked.strikes()}
    found = []
    for name, row in sorted(asked.rules_in_use().items()):
        given, did = states.get(name), runs.get(name, {"fired": 0, "failed": 0})
        holds = given is not None and given.holds(row["rev"], iso(now))
        over = shapes.override(given) if given is not None and holds else None
        of_file = str(row["says"].get("state") or "live")
        said = silence.verdicts.get(name, Counter[str]())
        strike = strikes.get(name)
        found.append({
            "name": name, "rev": row["rev"], "since": row["at"], "file": of_file,
            "state": over["state"] if over else of_file, "override": over,
            "says": row["says"], "lines": row["lines"], "fired": did["fired"],
            "failed": did["failed"], "held": held.get(name, 0),
            "last": asked.last_run(name) or None, "verdicts": dict(said.most_common()),
            "strikes": strike["count"] if strike else 0, "quarantine": _quarantine(strike),
        })  # fmt: skip
    return found


def _quarantine(strike: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not strike or not strike["quarantined_at"]:
        return None
    return {"since": strike["quarantined_at"], "reason": strike["reason"]}


async def shadow(asked: Asked) -> dict[str, Any]:
    """What a rule in shadow would have done, beside what others did."""
    name = asked.values["name"]

    def ask(questions: Questions) -> dict[str, Any] | None:
        known = name in questions.rules_in_use()
        return compared(questions.beside(name)) if known else None

    found = await asked.console.reading.ask(ask)
    if found is None:
        raise refuse("missing", f"No rule {name[:40]} is in use.")
    return found


async def try_(asked: Asked) -> dict[str, Any]:
    """One event through the rules, in a process of its own."""
    given = {name: value for name, value in asked.body.items() if value is not None}
    fields = {str(name): str(value) for name, value in given.pop("fields", {}).items()}
    console, trial = asked.console, Trial(**given, fields=fields)
    return await tried(console.children, console.reading, trial)


_TRY = (
    Parameter("event", "A stored event, by its id or SID; without, one that is typed."),
    Parameter("route", "What is typed.", choices=ROUTES, default="message"),
    Parameter("fields", "Fields of the webhook by Twilio's names, as Body.", "object"),
    Parameter("rule", "Only what this rule says."),
    Parameter("text", "A rule file: its rules are tried, not those of the same names.", "file"),
)  # fmt: skip

RESOURCES = (
    Resource(
        "rules", "What rules say and what they did.",
        (
            Endpoint("/rules", "List the rules in use: how many runs of each began in 24 hours, or "
                     "`since` (`fired`), how many of these `failed`, what the gate `held`, and "
                     "their `verdicts` on the newest 2,000 events.",
                     rules, "RuleList", query=(_SINCE, _STATE)),
            Endpoint("/rules/{name}", "Show one rule.", rule, "Rule", query=(_SINCE,),
                     problems=("missing",)),
            Endpoint("/rules/{name}/revisions", "What it said, the newest first.", revisions,
                     "RevisionList", problems=("missing",)),
            Endpoint("/rules/{name}/shadow", "What it would have done in shadow, the newest 500, "
                     "and what others did on the same events.", shadow, "ShadowFigures",
                     problems=("missing",)),
            Endpoint("/rules/try", "What each rule says to an event; nothing is done.",
                     try_, "Trial", method="POST", body=_TRY, role="operate", safe=True,
                     problems=("missing", "slow")),
        ),
    ),
)  # fmt: skip
