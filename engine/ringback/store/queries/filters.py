"""Filters of lists: what people may ask of events, runs, actions and attempts.

What is empty is not asked for. Times are stored times, `number` is either side.
"""

from dataclasses import dataclass

from ringback.events import person

Clause = tuple[str, list[object]]
"""A condition, and the values of its places."""
ENDED_BADLY = ("failed", "skipped", "cancelled")
"""The states of a run that ended without success."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on, and before `until`."""

    since: str = ""
    until: str = ""

    def within(self, column: str) -> list[Clause]:
        """The conditions on the column of times."""
        found: list[Clause] = [(f"{column} >= ?", [self.since])] if self.since else []
        return [*found, (f"{column} < ?", [self.until])] if self.until else found


@dataclass(frozen=True, slots=True)
class Events(Span):
    """Of events. `type` may end in `.*`; `error` asks for any error code, `code` for one. `rule`
    with the `verdict` that it came to: `fired` (also without a verdict), `silent`, the verdict
    itself, or its first word as `if`. Without a rule the verdict is one of any rule, and `silent`
    means that none fired. `own` asks for events that the node itself made, or for the others."""

    type: str = ""
    number: str = ""
    sid: str = ""
    error: bool = False
    code: int = 0
    trust: str = ""
    source: str = ""
    rule: str = ""
    verdict: str = ""
    own: bool | None = None

    def rest(self) -> Clause:
        """All of it, to be asked of each row."""
        clauses = self.within("received_at")
        if self.type:
            wild = self.type.endswith(".*")
            clauses.append(
                ("type >= ? and type < ?", [self.type[:-1], f"{self.type[:-2]}/"])
                if wild
                else ("type = ?", [self.type])
            )
        clauses += [("error_code > 0", [])] if self.error else []
        clauses += _equal(
            {"error_code": self.code, "subject_sid": self.sid, "trust": self.trust,
             "source": self.source}
        )  # fmt: skip
        if self.own is not None:
            clauses.append((f"source {'=' if self.own else '<>'} 'internal'", []))
        clauses += [_said(self.rule, self.verdict)] if self.rule or self.verdict else []
        return _all(clauses)


@dataclass(frozen=True, slots=True)
class Runs(Span):
    """Of runs."""

    state: str = ""
    rule: str = ""
    event: str = ""

    def rest(self) -> Clause:
        """All of it, to be asked of each row."""
        asked: dict[str, object] = {
            "state": self.state, "rule": self.rule, "event_uid": self.event,
        }  # fmt: skip
        return _all([*self.within("started_at"), *_equal(asked)])


@dataclass(frozen=True, slots=True)
class Actions(Span):
    """Of actions. `outcome` is the last status that Twilio reported, `sid` what it calls them."""

    state: str = ""
    rule: str = ""
    kind: str = ""
    code: int = 0
    event: str = ""
    run: str = ""
    number: str = ""
    sid: str = ""
    outcome: str = ""

    def rest(self) -> Clause:
        """All of it, to be asked of each row."""
        asked: dict[str, object] = {
            "state": self.state, "rule": self.rule, "kind": self.kind, "error_code": self.code,
            "event_uid": self.event, "run_uid": self.run, "remote_sid": self.sid,
            "outcome": self.outcome,
        }  # fmt: skip
        clauses = [*self.within("planned_at"), *_equal(asked)]
        if self.number:
            who = person(self.number)
            either = (
                "(conversation >= ? and conversation < ? "
                "or substr(conversation, instr(conversation, '/') + 1) = ?)"
            )
            clauses.append((either, [f"{who}/", f"{who}0", who]))
        return _all(clauses)


@dataclass(frozen=True, slots=True)
class Attempts(Span):
    """Of attempts. `result` is what became of them, empty while they are under way."""

    action: str = ""
    event: str = ""
    result: str = ""
    code: int = 0

    def rest(self) -> Clause:
        """All of it, to be asked of each row."""
        asked: dict[str, object] = {
            "action_uid": self.action, "result": self.result, "twilio_code": self.code,
        }  # fmt: skip
        clauses = [*self.within("started_at"), *_equal(asked)]
        if self.event:
            acts = "action_uid in (select uid from actions where event_uid = ?)"
            clauses.append((acts, [self.event]))
        return _all(clauses)


def _equal(asked: dict[str, object]) -> list[Clause]:
    return [(f"{column} = ?", [value]) for column, value in asked.items() if value]


def _all(clauses: list[Clause]) -> Clause:
    return " and ".join(clause for clause, _ in clauses), [
        value for _, values in clauses for value in values
    ]


def _said(rule: str, verdict: str) -> Clause:
    """The condition on the verdicts of an event, which are an object by rule."""
    of_rule, values = ("key = ? and ", [rule]) if rule else ("", [])
    if verdict == "silent" and not rule:
        fired = "exists (select 1 from json_each(verdicts) where value = 'fired')"
        return f"verdicts is not null and not {fired}", []
    if verdict == "silent":
        said, more = "value <> 'fired'", []
    else:
        wanted = verdict or "fired"
        said, more = (
            "(value = ? or substr(value, 1, ?) = ?)", [wanted, len(wanted) + 1, f"{wanted}:"],
        )  # fmt: skip
    return (
        f"exists (select 1 from json_each(verdicts) where {of_rule}{said})",
        [*values, *more],
    )
