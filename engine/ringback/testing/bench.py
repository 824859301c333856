"""Bench: rules and plugins in memory, fed with events by hand. No network and no database.

The decisions are those of the rule language itself; what the worker adds around them (once within a
span, backstops, stops, waits) is done here in memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ringback.actions import Action, Stop
from ringback.errors import RingbackError, RuleErrors
from ringback.events import Event
from ringback.plugins import run_plugin
from ringback.plugins.context import Context, SettledAction, context_for
from ringback.plugins.invoke import actions_of, finished
from ringback.plugins.loader import Plugin, PluginSet, hook_callers, load_plugins
from ringback.rules.engine.interpreter import Progress, Wake, begin, resume
from ringback.rules.engine.ruleset import RuleSet, triggered
from ringback.rules.language.scope import Scope
from ringback.rules.model import Rule
from ringback.rules.timing.durations import parse_duration
from ringback.testing.assembly import plugins_of, ruleset_of
from ringback.testing.events import NOON
from ringback.testing.memory import Past, SteppedClock
from ringback.testing.reaction import Reaction
from ringback.testing.runs import Run, Runs

T = TypeVar("T")


class RunFailed(RingbackError):
    """A rule's run failed on the bench, as it would have failed in the worker. Says why."""


class Watch(Protocol):
    """Somebody who follows a bench over many events, as a backtest does.

    With one, what a rule raises is told and not raised, and reactions leave out who waits.
    """

    def wished(self, rule: str, action: Action, event: Event | None) -> None:
        """A rule or a hook wished for this, in a run that this event began."""

    def failed(self, rule: str, why: str, event: Event | None) -> None:
        """A rule or a hook failed."""


class Bench:
    """The rules of a project, ready to react.

    What happens on the bench is remembered: counts, `once_within`, `remember` and waits work across
    events. `clock` stands still until `wait` moves it; an event happens now, unless it says that it
    happens later.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        plugins: PluginSet | None = None,
        *,
        now: datetime = NOON,
        watch: Watch | None = None,
    ) -> None:
        self.ruleset = ruleset
        self.plugins = plugins or PluginSet()
        self._watch = watch
        self._on_event = hook_callers(self.plugins, "on_event")
        self.clock = SteppedClock(now)
        self.past = Past(self.clock)
        self._runs = Runs()
        self._fired_at: dict[tuple[str, str], datetime] = {}

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        now: datetime = NOON,
    ) -> "Bench":
        """Take a project folder, a plugin (its file, or the folder of a package), or a rule file.

        `config` holds the tables that `[plugins.NAME]` would; without it a project folder's own
        settings are read. Raises RuleErrors with every problem of every file, ConfigError for wrong
        settings, and FileNotFoundError when nothing is there.
        """
        place = Path(path).resolve()
        if not place.exists():
            raise FileNotFoundError(f"no project, plugin or rule file at {place}")
        plugins, rule_files = PluginSet(), place / "rules"
        if place.suffix == ".py" or (place / "__init__.py").is_file():
            plugins = load_plugins(place.parent, config=config, only={place.stem})
        elif place.is_file():
            rule_files = place
        else:
            plugins = plugins_of(place, config)
        ruleset, problems = ruleset_of(plugins, rule_files)
        if problems:
            raise RuleErrors(problems)
        return cls(ruleset, plugins, now=now)

    @property
    def waiting(self) -> int:
        """How many runs wait now."""
        return len(self._runs.all())

    def react(self, event: Event) -> Reaction:
        """Let an event happen: waiting rules wake, rules match and run, hooks see it.

        What a plugin raises comes through, so that a test shows where. Raises RunFailed when the
        steps of a rule file fail.
        """
        by: dict[str, list[Action]] = {}
        event = self._happen(event, by)
        self._cancel(event)
        woken = self._runs.woken_by(event)
        fired, verdicts = self._judge(event, answered=bool(woken))
        for run in woken:
            self._resume(run, Wake(event=event), by)
        ran = self._run_all(event, fired, verdicts, by)
        for plugin, function in self._on_event:
            self._hook(plugin, "on_event", function, {"event": event}, by)
        return self._reaction(event, by, [rule.name for rule in ran], verdicts)

    def wait(self, span: str | float | timedelta) -> Reaction:
        """Let time pass ("90s", "12h", seconds), and let every rule that waited for it go on."""
        seconds = parse_duration(span) if isinstance(span, str) else span
        passing = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        by: dict[str, list[Action]] = {}
        self._pass(passing, by)
        return self._reaction(None, by, [], {})

    def settle(self, action: SettledAction) -> Reaction:
        """Let an action end: the hook `on_settled` of every plugin hears of it."""
        by: dict[str, list[Action]] = {}
        for plugin, function in hook_callers(self.plugins, "on_settled"):
            self._hook(plugin, "on_settled", function, {"action": action}, by)
        return self._reaction(None, by, [], {})

    def remembered(self, event: Event, name: str) -> str:
        """What rules remembered about the other side of this event, empty when nothing."""
        return self.past.remembered(event.conversation, name)

    def _happen(self, event: Event, by: dict[str, list[Action]]) -> Event:
        now = self.clock.now()
        if event.received_at > now:
            self._pass(event.received_at - now, by)
        elif event.received_at < now:
            event = replace(event, at=now, received_at=now)
        self.past.happened(event)
        return event

    def _pass(self, span: timedelta, by: dict[str, list[Action]]) -> None:
        end = self.clock.now() + span
        while (run := self._runs.next_due(end)) is not None:
            self.clock.advance(max((run.wait.due_at or end) - self.clock.now(), timedelta(0)))
            self._resume(run, Wake(), by)
        self.clock.advance(end - self.clock.now())

    def _cancel(self, event: Event) -> None:
        for run in self._runs.all(event.conversation):
            trigger = run.rule.cancel_on
            if trigger is None:
                continue
            scope = Scope(
                run.event, self.past, now=self.clock.now(), places=self.ruleset.places, reply=event
            )
            if not triggered(trigger, scope):
                self._runs.drop(run)

    def _judge(self, event: Event, *, answered: bool) -> tuple[list[Rule], dict[str, str]]:
        match = self.ruleset.match(event, self.past)
        verdicts = dict(match.verdicts)
        fired: list[Rule] = []
        for rule in match.fired:
            held = self._held_back(rule, event)
            if held:
                verdicts[rule.name] = held
            else:
                fired.append(rule)
        if answered or any(not rule.backstop for rule in fired):
            for rule in [rule for rule in fired if rule.backstop]:
                fired.remove(rule)
                verdicts[rule.name] = "backstop: another rule fired"
        now = self.clock.now()
        self._fired_at |= {(rule.name, self._key(rule, event)): now for rule in fired}
        return fired, verdicts

    def _held_back(self, rule: Rule, event: Event) -> str:
        if rule.mode == "single" and self._runs.find(rule, self._key(rule, event)):
            return "single: a run waits"
        last = self._fired_at.get((rule.name, self._key(rule, event)))
        if not rule.once_within or last is None:
            return ""
        passed = (self.clock.now() - last).total_seconds()
        return f"once_within: fired {passed:.0f} s before" if passed < rule.once_within else ""

    def _run_all(
        self,
        event: Event,
        fired: list[Rule],
        verdicts: dict[str, str],
        by: dict[str, list[Action]],
    ) -> list[Rule]:
        ran: list[Rule] = []
        stop = ""
        for _, group in groupby(fired, key=lambda rule: rule.priority):
            rules = list(group)
            if stop:
                verdicts |= {rule.name: f"stopped: {stop}" for rule in rules}
                continue
            for rule in rules:
                actions = self._start(rule, event, by)
                ran.append(rule)
                ends = [action for action in actions if isinstance(action, Stop)]
                stop = stop or (ends[0].reason or f"by {rule.name}" if ends else "")
        return ran

    def _start(self, rule: Rule, event: Event, by: dict[str, list[Action]]) -> tuple[Action, ...]:
        key = self._key(rule, event)
        waiting = self._runs.find(rule, key)
        if waiting and waiting.state.get("phase") == "collect":
            return self._resume(waiting, Wake(event=event), by)
        if waiting and rule.mode == "restart":
            self._runs.drop(waiting)
        now, places = self.clock.now(), self.ruleset.places

        def turn() -> Progress:
            if rule.handler is None:
                return begin(rule, event, self.past, now, places=places)
            return run_plugin.begin(rule, event, self._context(rule), places=places)

        return self._went(rule, event, key, turn, by)

    def _context(self, rule: Rule) -> Context:
        plugin = self.plugins.get(rule.plugin)
        config = plugin.config if plugin else {}
        return context_for(rule.plugin, config, clock=self.clock, store=self.past)

    def _resume(self, run: Run, wake: Wake, by: dict[str, list[Action]]) -> tuple[Action, ...]:
        self._runs.drop(run)
        rule, state, now, places = run.rule, run.kept(), self.clock.now(), self.ruleset.places

        def turn() -> Progress:
            if rule.handler is None:
                return resume(rule, run.event, self.past, now, state, wake, places=places)
            context = self._context(rule)
            return run_plugin.resume(rule, run.event, context, state, wake, places=places)

        return self._went(rule, run.event, run.key, turn, by)

    def _went(
        self,
        rule: Rule,
        event: Event,
        key: str,
        turn: Callable[[], Progress],
        by: dict[str, list[Action]],
    ) -> tuple[Action, ...]:
        progress = self._watched(rule.name, event, turn)
        if progress is None:
            return ()
        self._note(rule.name, progress.actions, event, by)
        if progress.end.startswith("failed"):
            if self._watch is None:
                raise RunFailed(f"{rule.name}: {progress.end}")
            self._watch.failed(rule.name, progress.end.removeprefix("failed: "), event)
        if progress.wait is not None:
            self._runs.add(Run(rule, event, key, progress.wait, progress.state))
        return progress.actions

    def _watched(self, name: str, event: Event | None, work: Callable[[], T]) -> T | None:
        """The result; None when it failed and somebody watches who wants to go on."""
        if self._watch is None:
            return work()
        try:
            return work()
        except Exception as error:
            self._watch.failed(name, f"{type(error).__name__}: {error}", event)
            return None

    def _hook(
        self,
        plugin: Plugin,
        name: str,
        function: Callable[..., Any],
        given: Mapping[str, Any],
        by: dict[str, list[Action]],
    ) -> None:
        context = context_for(plugin.name, plugin.config, clock=self.clock, store=self.past)

        def work() -> tuple[Action, ...]:
            return actions_of(finished(function(**given, ctx=context)), plugin=plugin.name)

        full, event = f"{plugin.name}.{name}", given.get("event")
        actions = self._watched(full, event, work)
        if actions:
            self._note(full, actions, event, by)

    def _note(
        self,
        name: str,
        actions: tuple[Action, ...],
        event: Event | None,
        by: dict[str, list[Action]],
    ) -> None:
        by.setdefault(name, []).extend(actions)
        if not self._silent(name):
            for action in actions:
                self.past.record(action, event)
        if self._watch is not None:
            for action in actions:
                self._watch.wished(name, action, event)

    def _silent(self, name: str) -> bool:
        rule = self.ruleset.by_name.get(name)
        return rule is not None and rule.state in ("shadow", "draft")

    def _key(self, rule: Rule, event: Event) -> str:
        return self.ruleset.key_of(rule, event, self.past)

    def _reaction(
        self,
        event: Event | None,
        by: Mapping[str, list[Action]],
        fired: list[str],
        verdicts: Mapping[str, str],
    ) -> Reaction:
        loud = [action for name, made in by.items() if not self._silent(name) for action in made]
        return Reaction(
            event=event,
            actions=tuple(loud),
            by={name: tuple(made) for name, made in by.items()},
            fired=fired,
            verdicts={name: why for name, why in verdicts.items() if name not in fired},
            waiting=[] if self._watch else [run.rule.name for run in self._runs.all()],
        )
