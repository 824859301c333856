"""Pages of rules: all with what they did, and one with what it says and why it is silent."""

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.console import operating
from ringback.console.forms import form_of, until_of
from ringback.console.identity import identity_of, may
from ringback.console.page import Page, console_of, draw
from ringback.console.pages import rule_rows
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.console.shadows import KINDS, compared
from ringback.rules.model import STATES
from ringback.runtime import REAL, iso
from ringback.store.operations.rule_states import RuleState
from ringback.store.queries.questions import Questions

PATH = "/console/rules"
ONE = "/console/rules/{name:path}"
STATE = "/console/rules/{name:path}/state"
FILTERS = {
    "overridden": "another state than in the file", "silent": "did not fire in 24 h",
    "month": "did not fire in 30 days", "never": "no run is kept",
    "line": "always silent for one line", "failing": "failed in 24 h",
    "quarantined": "in quarantine",
}  # fmt: skip
RUNS, DOINGS = 20, 20
DAY = timedelta(days=1)


async def rules(request: Request) -> Response:
    """All rules: their state, and what they did in 24 hours."""
    chosen = request.query_params.get("only", "")
    if chosen not in ("", *FILTERS):
        raise refuse("field", f"only is one of {', '.join(FILTERS)}.")
    now = REAL.now()
    found = await console_of(request).reading.ask(lambda asked: _all(asked, iso(now - DAY)))
    rows = [row for row in found["rows"] if not chosen or row[chosen]]
    seen = as_seen(request, {**found, "rows": rows})
    values = {**seen, "only": chosen, "filters": FILTERS, "title": "Rules"}
    return draw(request, "rules.html", values)


async def rule(request: Request) -> Response:
    """One rule: what it says, which line says no, its revisions and runs, and the form of state."""
    name = request.path_params["name"]
    console, since = console_of(request), iso(REAL.now() - DAY)
    found = await console.reading.ask(lambda asked: _one(asked, name, since))
    if found is None:
        raise refuse("missing", "No rule of this name is in use.")
    worker = await operating.worker(console.surroundings)
    return draw(
        request, "rule.html",
        {
            "title": name, **as_seen(request, found), "away": worker.away, "states": STATES,
            "path": state_path(name), "decides": may(identity_of(request), "operate"),
            "admin": may(identity_of(request), "admin"),
        },
    )  # fmt: skip


async def set_state(request: Request) -> Response:
    """Give the rule another state, or that of its file."""
    form, name = await form_of(request), request.path_params["name"]
    await operating.operate(
        console_of(request), identity_of(request), "console",
        {
            "op": "rule_state", "rule": name, "state": form.get("state", ""),
            "until": until_of(form.get("until", ""), form.get("request", "")),
            "reason": form.get("reason", "").strip(),
        },
        request=form.get("request", ""),
        expect={"state": form["was"]} if form.get("was") else None,
    )  # fmt: skip
    return RedirectResponse(state_path(name).removesuffix("/state"), 303)


def state_path(name: str) -> str:
    """Where the state of a rule is set, as a form names it."""
    return f"{PATH}/{quote(name)}/state"


def _all(asked: Questions, since: str) -> Mapping[str, Any]:
    known, states, silence = asked.rules_in_use(), asked.rule_states(), asked.silence()
    runs, held = asked.rule_runs(since), asked.held_by_gate(since)
    struck = {row["rule"]: row for row in asked.strikes()}
    now = iso(REAL.now())
    rows, month = [], iso(REAL.now() - 30 * DAY)
    for name, row in sorted(known.items()):
        said, last = silence.verdicts.get(name, Counter()), asked.last_run(name)
        did, strike = runs.get(name, {"fired": 0, "failed": 0}), struck.get(name)
        over = _override(states.get(name), row["rev"], now)
        rows.append(
            {
                "name": name, "on": _on(row["says"]), "file": _file(row["says"]), "override": over,
                "state": over["state"] if over else _file(row["says"]), "fired": did["fired"],
                "failed": did["failed"], "held": held.get(name, 0), "last": last,
                "silences": said.total() - said["fired"],
                "strikes": strike["count"] if strike else 0,
                "quarantined": bool(strike and strike["quarantined_at"]),
                "overridden": over is not None, "silent": not did["fired"], "never": not last,
                "links": {
                    "silences": rule_rows.silent(name, silence.since),
                    **{what: rule_rows.link(name, what, since) for what in rule_rows.WORDS},
                },
                "failing": bool(did["failed"]), "month": last < month, "line": _same_line(said),
            }
        )  # fmt: skip
    return {"rows": rows, "count": len(rows), "events": silence.events, "since": silence.since}


def _one(asked: Questions, name: str, since: str) -> Mapping[str, Any] | None:
    row = asked.rules_in_use().get(name)
    if row is None:
        return None
    silence, now = asked.silence(), iso(REAL.now())
    said = silence.verdicts.get(name, Counter())
    over = _override(asked.rule_states().get(name), row["rev"], now)
    did = asked.rule_runs(since).get(name, {"fired": 0, "failed": 0})
    strike = next((each for each in asked.strikes() if each["rule"] == name), None)
    return {
        "name": name, "on": _on(row["says"]), "file": _file(row["says"]), "override": over,
        "state": over["state"] if over else _file(row["says"]), "rev": row["rev"], "at": row["at"],
        "fired": did["fired"], "failed": did["failed"], "last": asked.last_run(name),
        "lines": _lines(row["lines"], said), "others": _others(said), "strike": strike,
        "says": _text(row["says"]), "events": silence.events, "since": silence.since,
        "looked": said.total(), "revisions": _changes(asked.revisions(name)),
        "runs": [
            {key: run[key] for key in ("uid", "event_uid", "state", "reason", "started_at")}
            for run in asked.runs(rule=name, limit=RUNS)
        ],
        "shadow": compared(asked.beside(name)), "kinds": KINDS,
        "doings": asked.doings(subject=name, limit=DOINGS),
    }  # fmt: skip


def _override(given: RuleState | None, rev: str, now: str) -> dict[str, Any] | None:
    return asdict(given) if given is not None and given.holds(rev, now) else None


def _on(says: Mapping[str, Any]) -> str:
    on = says.get("on") or ""
    if isinstance(on, list):
        return ", ".join(on)
    schedule = says.get("schedule") or {}
    return str(on) or f"at {' '.join(map(str, schedule.values()))}"


def _file(says: Mapping[str, Any]) -> str:
    return str(says.get("state") or "live")


def _lines(lines: list[str], said: Counter[str]) -> list[dict[str, Any]]:
    """Each line of `if`, how often it was the one that said no, and how often it failed."""
    found = [{"if": line, "no": 0, "failed": 0} for line in lines]
    for verdict, count in said.items():
        kind, _, rest = verdict.partition(":")
        number = rest.partition(":")[0].strip()
        if kind in ("if", "error") and number.isdecimal() and 0 < int(number) <= len(found):
            line = found[int(number) - 1]
            word = "no" if kind == "if" else "failed"
            line[word] = int(str(line[word])) + count
    return found


def _same_line(said: Counter[str]) -> int:
    """The line of `if` that alone has kept a rule silent on all of the newest events that it looked
    at; 0 when there is none."""
    found = {verdict.partition(":")[2].partition(":")[0].strip() for verdict in said}
    if not said or any(not verdict.startswith("if:") for verdict in said) or len(found) > 1:
        return 0
    (number,) = found
    return int(number) if number.isdecimal() else 0


def _others(said: Counter[str]) -> list[tuple[str, int]]:
    """The other verdicts, by their first word, the most frequent first."""
    found: Counter[str] = Counter()
    for verdict, count in said.items():
        kind = verdict.partition(":")[0].partition(" ")[0]
        if kind not in ("if", "error"):
            found[kind] += count
    return found.most_common()


def _text(says: Mapping[str, Any]) -> str:
    """What a rule says, a word a line."""
    return json.dumps(says, indent=2, ensure_ascii=False)


def _changes(revisions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The revisions, each with its difference to the one before."""
    found = []
    for place, each in enumerate(revisions):
        before = revisions[place + 1] if place + 1 < len(revisions) else None
        lines = (
            difflib.unified_diff(
                _text(before["says"]).splitlines(), _text(each["says"]).splitlines(), n=1,
                lineterm="",
            )
            if before is not None
            else ()
        )  # fmt: skip
        found.append({"rev": each["rev"], "at": each["at"], "change": "\n".join([*lines][2:])})
    return found


PAGE = Page(
    PATH, "Rules",
    (
        Route(PATH, rules), Route(STATE, set_state, methods=["POST"]), *rule_rows.ROUTES,
        Route(ONE, rule),
    ),
    nav="Rules", key="r", takes={"rules": ("only",), "rule": ()},
)  # fmt: skip
