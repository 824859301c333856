"""Trial: one event through the rules, shown rule by rule and line by line. Nothing is performed.

Events that came before it happen first, so that counts and `once_within` are as they were. What the
gate says is said by the gate of the bench, with the settings of the node.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringback.actions import to_params
from ringback.config import Settings
from ringback.events import Event
from ringback.plugins.loader import PluginSet
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.language.cel import Fault
from ringback.rules.language.scope import Scope
from ringback.rules.model import Rule
from ringback.store.queries.action_words import detail
from ringback.testing.bench import Bench
from ringback.testing.outbox import Dispatch

_SILENT = {"captured": "shadow", "parked": "draft"}
LONGEST = 200


@dataclass(slots=True)
class _Watch:
    """What rules make of the event, and which of them fail."""

    made: list[Dispatch] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)

    def dispatched(self, dispatch: Dispatch) -> None:
        """A rule or a hook made this action."""
        self.made.append(dispatch)

    def failed(self, rule: str, why: str, event: Event | None) -> None:
        """A rule or a hook failed."""
        self.failures.append((rule, why))


def tried(
    ruleset: RuleSet, plugins: PluginSet, settings: Settings, event: Event,
    before: Iterable[Event] = (), quarantined: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """What each rule that looks at the event makes of it, those that fire first: `rule`, `state`,
    `fired`, `verdict`, its `lines` (each with `held`: true, false, or None for one that was not
    asked, and what it `read`), its `actions` with what the gate says of each, and why it `failed`.
    """
    earlier, watch = [*before], _Watch()
    bench = Bench(
        ruleset, plugins, now=(earlier[0] if earlier else event).received_at, watch=watch,
        settings=settings, quarantined=quarantined,
    )  # fmt: skip
    for each in earlier:
        bench.react(each)
    watch.made.clear()
    watch.failures.clear()
    reaction = bench.react(event)
    verdicts = {**dict.fromkeys(reaction.fired, "fired"), **reaction.verdicts}
    failed = dict(watch.failures)
    names = dict.fromkeys([*verdicts, *failed, *(each.rule for each in watch.made)])
    told = []
    for name in names:
        rule = ruleset.get(name)
        verdict = verdicts.get(name, "fired")
        told.append(
            {
                "rule": name, "state": rule.state if rule else "live",
                "fired": verdict == "fired", "verdict": verdict,
                "lines": _lines(rule, verdict, Scope(event, bench.past, places=ruleset.places))
                if rule else [],
                "actions": [_action(each) for each in watch.made if each.rule == name],
                "failed": failed.get(name, ""),
            }
        )  # fmt: skip
    return told


def _lines(rule: Rule, verdict: str, scope: Scope) -> list[dict[str, Any]]:
    """The lines of `if`, up to the one that decided with what they read."""
    kind, _, rest = verdict.partition(":")
    number = rest.partition(":")[0].strip()
    decided = int(number) if kind in ("if", "error") and number.isdecimal() else None
    asked = kind not in ("from", "to", "quarantined")
    found = []
    for n, condition in enumerate(rule.conditions, 1):
        held: bool | None = (decided is None or n < decided) if asked else None
        if decided is not None and n > decided:
            held = None
        read: dict[str, Any] = {}
        if held is not None:
            scope.enter()
            known = set(scope.seen())
            value = condition.program.evaluate(scope)
            read = {
                name: _short(each) for name, each in scope.seen().items()
                if name not in known and name.strip() != condition.source.strip()
            }  # fmt: skip
            if isinstance(value, Fault):
                read = {**read, "error": value.message}
        found.append({"if": condition.source, "held": held, "read": read})
    return found


def _action(dispatch: Dispatch) -> dict[str, Any]:
    """An action as it would be, with what would become of it."""
    params = to_params(dispatch.action)
    says = "let out" if dispatch.state == "sent" else _SILENT.get(dispatch.state, dispatch.state)
    return {
        "kind": dispatch.action.kind, "to": str(params.get("to") or ""),
        "words": detail(dispatch.action.kind, params), "says": says, "reason": dispatch.reason,
    }  # fmt: skip


def _short(value: Any) -> str:
    return str(value)[:LONGEST]
