"""Bench: rules and plugins in memory, fed with events by hand. No network and no database.

Which runs start is decided by the admission of the worker, and what may leave by its gate; the
bench holds in memory what a node has in its journal, and takes turns as the worker does.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from ringback.actions import Action, Stop
from ringback.config import Settings
from ringback.errors import RingbackError, RuleErrors
from ringback.events import HOOK, Event
from ringback.plugins.context import SettledAction, context_for
from ringback.plugins.invoke import actions_of, finished
from ringback.plugins.loader import Plugin, PluginSet, hook_callers, load_plugins
from ringback.plugins.perform import perform
from ringback.plugins.requests import HookCall
from ringback.plugins.rule_turns import handler_call, is_timed
from ringback.rules.engine.admission import (
    Admission,
    admit,
    admit_again,
    cancelled_by,
    ranks,
    stop_reason,
    stopped,
)
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.interpreter.answers import asked
from ringback.rules.interpreter.machine import Progress, Wake, begin, resume
from ringback.rules.timing.durations import parse_duration
from ringback.testing.assembly import STEP_SECONDS, no_plugin, plugins_of, ruleset_of, settings_of
from ringback.testing.course import Course, Watch
from ringback.testing.events import NOON
from ringback.testing.limits import limited
from ringback.testing.memory import Past, SteppedClock
from ringback.testing.outbox import Dispatch, Outbox
from ringback.testing.reaction import Reaction, RunEnd, RunTurn
from ringback.testing.runs import Run, Runs
from ringback.testing.service_answers import Answers, heard
from ringback.worker.run import drafts
from ringback.worker.run.runner import ANSWER_LIMIT


class RunFailed(RingbackError):
    """A rule's run failed on the bench, as it would have failed in the worker. Says why."""


class Bench:
    """The rules of a project, ready to react.

    What happens on the bench is remembered: counts, `once_within`, `remember` and waits work across
    events. `clock` stands still until `wait` moves it; an event happens now, unless it says that it
    happens later. `settings` are those of the gate (quiet hours, budgets, our sender), without them
    the defaults; `quarantined` names rules that may not run, with the reason. `http` says what web
    services answer to requests that runs wait for; without it answers come by `http_answer`.
    """

    def __init__(
        self,
        ruleset: RuleSet,
        plugins: PluginSet | None = None,
        *,
        now: datetime = NOON,
        watch: Watch | None = None,
        settings: Settings | None = None,
        quarantined: Mapping[str, str] | None = None,
    ) -> None:
        self.ruleset = ruleset
        self.plugins = plugins or PluginSet()
        self.settings = settings or Settings(project=Path())
        self.quarantined = dict(quarantined or {})
        self._watch = watch
        self._on_event = hook_callers(self.plugins, "on_event")
        self.clock = SteppedClock(now)
        self.past = Past(self.clock)
        self._runs = Runs(ruleset, self.past)
        self._delivered = set[str]()
        self._outbox = Outbox(ruleset.rules, self.settings, self.clock, self.past)
        self._turns: deque[Callable[[], object]] = deque()
        self._course = Course()
        self.http: Answers | None = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        config: Mapping[str, Mapping[str, Any]] | None = None,
        now: datetime = NOON,
        settings: Settings | None = None,
    ) -> "Bench":
        """Take a project folder, a plugin (its file, or the folder of a package), or a rule file.

        `config` holds the tables that `[plugins.NAME]` would; without it, and without `settings`, a
        project folder's own settings are read. Raises RuleErrors with every problem of every file,
        ConfigError for wrong settings, and FileNotFoundError when nothing is there.
        """
        place = Path(path).resolve()
        if not place.exists():
            raise FileNotFoundError(f"no project, plugin or rule file at {place}")
        if place.name == "__init__.py":
            place = place.parent
        plugins, rule_files = PluginSet(), place / "rules"
        if place.suffix == ".py" or (place / "__init__.py").is_file():
            plugins = load_plugins(place.parent, config=config, only={place.stem})
            if not plugins.plugins and not plugins.problems and not plugins.disabled:
                raise RuleErrors([no_plugin(place)])
        elif place.is_file():
            rule_files = place
        else:
            settings = settings or settings_of(place)
            plugins = plugins_of(place, config, settings)
        seconds = settings.handler_seconds if settings is not None else STEP_SECONDS
        ruleset, problems = ruleset_of(plugins, rule_files, seconds)
        if problems:
            raise RuleErrors(problems)
        return cls(ruleset, plugins, now=now, settings=settings)

    @property
    def waiting(self) -> int:
        """How many runs wait now: for an event, a moment, or their turn."""
        return len(self._runs.waiting())

    def react(self, event: Event) -> Reaction:
        """Let an event happen: waiting rules wake, rules match and run, hooks see it.

        What a plugin raises comes through, so that a test shows where. Raises RunFailed when the
        steps of a rule file fail. What another system delivers again does nothing.
        """
        event = self._happen(event)
        if event.type.startswith(f"{HOOK}."):
            if event.dedupe_key in self._delivered:  # it was delivered before, as to a node
                return self._reaction(event)
            self._delivered.add(event.dedupe_key)
        found = admit(
            self.ruleset, event, self.past, self._runs, now=self.clock.now(),
            quarantined=self.quarantined,
        )  # fmt: skip
        self._course.verdicts = found.all_verdicts
        self._take_up(event, found)
        self._drain()
        for plugin, function in self._on_event:
            self._hook(plugin, "on_event", function, {"event": event})
        return self._reaction(event)

    def wait(self, span: str | float | timedelta) -> Reaction:
        """Let time pass ("90s", "12h", seconds), and let every rule that waited for it go on."""
        seconds = parse_duration(span) if isinstance(span, str) else span
        passing = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        self._pass(passing)
        return self._reaction(None)

    def settle(self, action: SettledAction) -> Reaction:
        """Let an action end: the hook `on_settled` of every plugin hears of it."""
        for plugin, function in hook_callers(self.plugins, "on_settled"):
            self._hook(plugin, "on_settled", function, {"action": action})
        return self._reaction(None)

    def remembered(self, event: Event, name: str) -> str:
        """What rules remembered about the other side of this event, empty when nothing."""
        return self.past.remembered(event.conversation, name)

    def know(self, number: str, *, groups: Sequence[str] = (), **fields: str) -> None:
        """Know somebody from before: fields of the contact, and the groups that they are in."""
        self.past.know(number, fields, groups)

    # -- events and time

    def _happen(self, event: Event) -> Event:
        now = self.clock.now()
        if event.received_at.tzinfo is not UTC:  # where a span is as long as it says
            at, received = event.at.astimezone(UTC), event.received_at.astimezone(UTC)
            event = replace(event, at=at, received_at=received)
        if event.received_at > now:
            self._pass(event.received_at - now)
        elif event.received_at < now:
            event = replace(event, at=event.at + (now - event.received_at), received_at=now)
        self.past.happened(event)
        self._outbox.learn(event)
        return event

    def _pass(self, span: timedelta) -> None:
        end = self.clock.now() + span
        while True:
            dues = (self._runs.next_due(), self._outbox.next_due())
            moment = min((due for due in dues if due is not None), default=None)
            if moment is None or moment > end:
                break
            self.clock.advance(max(moment - self.clock.now(), timedelta(0)))
            self._turns += [partial(self._go_on, run) for run in self._runs.due(self.clock.now())]
            self._drain()
            self._course.dispatches += self._come_back(self._outbox.release())
        self.clock.advance(end - self.clock.now())

    # -- taking turns, in the order in which a worker does what was put before it

    def _take_up(self, event: Event, found: Admission) -> None:
        self._course.fired = [run.rule.name for run in self._begin(event, found)]

    def _begin(self, event: Event, found: Admission) -> list[Run]:
        runs = [self._runs.start(start, event) for start in found.starts]
        for uid, reason in found.cancels:
            run = self._runs.get(uid)
            if run is not None:
                self._end(run, "cancelled", reason)
        for uid in found.wakes:
            run = self._runs.get(uid)
            if run is not None and event not in run.inbox:
                run.inbox.append(event)
                self._turns.append(partial(self._go_on, run))
        if runs:
            self._turns.append(partial(self._job, runs))
        return runs

    def _again(self, run: Run) -> None:
        """What lies ready for a burst that is over begins another."""
        late = [*run.inbox]
        run.inbox.clear()
        for event in late:
            again = admit_again(run.rule, run.key, event, self._runs, self.quarantined)
            self._begin(event, again)

    def _drain(self) -> None:
        while self._turns:
            self._turns.popleft()()

    def _job(self, runs: list[Run]) -> None:
        """Start the runs of one event, those of the highest priority first, those in shadow when
        all others have had their turns."""
        begin = [run for run in runs if not run.queued]
        for rank in ranks(run for run in begin if not run.rule.in_shadow):
            stops = [(run.rule.name, self._step(run)) for run in rank]
            rule, stop = next(((rule, stop) for rule, stop in stops if stop), ("", None))
            if stop is not None:
                for run in stopped(runs, rank):
                    self._course.verdicts[run.rule.name] = f"stopped: {stop.reason or f'by {rule}'}"
                    self._course.fired.remove(run.rule.name)
                    self._end(run, "cancelled", stop_reason(rule, stop))
                break
        shadows = ranks(run for run in begin if run.rule.in_shadow and not run.over)
        self._turns += [partial(self._step, run) for rank in shadows for run in rank]

    def _promoted(self, run: Run) -> None:
        """Start a run whose turn in its queue has come."""
        if run.queued and not run.over:
            run.queued = False
            self._step(run)

    def _go_on(self, run: Run) -> None:
        """One step of a run that waits, with the oldest event that it has yet to take, or with its
        moment."""
        if run.over or run.wait is None:
            return
        due = run.wait.due_at
        if run.inbox:
            self._step(run, Wake(run.inbox.popleft()))
        elif due is not None and due <= self.clock.now():
            self._step(run, Wake())

    def _step(self, run: Run, wake: Wake | None = None) -> Stop | None:
        """Let a run begin or go on; the stop that it asked for."""
        name, event = run.rule.name, run.event
        if name in self.quarantined:
            self._end(run, "cancelled", "its rule is quarantined")
            return None
        try:
            progress = self._progress(run, wake)
        except Exception as error:
            self._fail(name, error, event)
            self._end(run, "failed", f"{type(error).__name__}: {error}")
            return None
        self.past.turns |= {} if run.rule.in_shadow else progress.state.get("turns", {})
        made = self._note(name, progress.actions, event)
        texts = [run.uid for each in made if drafts.asks(each.action, each.reason)]
        progress = drafts.held(progress, texts, self.clock.now())  # nobody says yes on a bench
        run.acted |= any(not isinstance(action, Stop) for action in progress.actions)
        took = wake is not None and wake.event is not None
        if took and progress.moved(run.state):
            self._course.woke.append(RunTurn(name, event.uid, asked(run.state or {})))
        if progress.wait is not None:
            self._runs.wait(run, progress.wait, progress.state)
            self._come_back(made)
            first = run.inbox[0] if run.inbox else None  # what came for it before it waited
            if first is not None and self._runs.is_ended_by(run, first):
                self._end(run, "cancelled", cancelled_by(first))
            elif first is not None:
                self._turns.append(partial(self._go_on, run))
        else:
            state, reason = progress.outcome
            if state == "failed":
                self._fail(name, RunFailed(f"{name}: failed: {reason}"), event)
            self._end(run, state, reason)
        return next((act for act in reversed(progress.actions) if isinstance(act, Stop)), None)

    def _come_back(self, made: list[Dispatch]) -> list[Dispatch]:
        found = filter(None, (heard(each, self.http, self.clock.now()) for each in made))
        self._turns += [partial(self._hear, answer) for answer in found]
        return made

    def _hear(self, answer: Event) -> None:
        """Let the answer to a web request come, or word of a call that is not made."""
        self.past.happened(answer)
        self._begin(answer, admit(self.ruleset, answer, self.past, self._runs, now=answer.at))

    def _progress(self, run: Run, wake: Wake | None) -> Progress:
        rule, event = run.rule, run.event
        state = run.kept() if wake is not None else None
        timing = None
        if rule.handler is None or is_timed(rule, state):
            timing = self._interpreted(run, state, wake)
            if timing.end != "call":
                return timing
        call = handler_call(rule, event, state, wake, timing)
        answering = event.type == "call.received"
        limit = rule.limit or (ANSWER_LIMIT if answering else self.settings.handler_seconds)
        work = partial(perform, call, self, facts=self.past, clock=self.clock)
        progress: Progress = limited(work, limit, call)
        return progress

    def _interpreted(self, run: Run, state: dict[str, Any] | None, wake: Wake | None) -> Progress:
        given, now = (run.rule, run.event, self.past), self.clock.now()
        turn = partial(begin, *given, now, places=self.ruleset.places)
        if state is not None and wake is not None:
            turn = partial(resume, *given, now, state, wake, places=self.ruleset.places)
        progress = self._runs.with_locks(run, turn, now)
        if progress.closed:
            run.state = progress.state
            self._again(run)
            return self._interpreted(run, progress.state, Wake())
        return progress

    def _end(self, run: Run, state: str, reason: str) -> None:
        """A run is over: the next of its queue may start."""
        self._runs.end(run, state, reason)
        self._course.ended.append(RunEnd(run.rule.name, run.event.uid, state, reason))
        following = self._runs.next_queued(run.rule.name, run.key)
        if following is not None:
            self._turns.append(partial(self._promoted, following))

    # -- what comes of it

    def _hook(
        self, plugin: Plugin, name: str, function: Callable[..., Any], given: Mapping[str, Any]
    ) -> None:
        full, event = f"{plugin.name}.{name}", given.get("event")
        context = context_for(plugin.name, plugin.config, clock=self.clock, store=self.past)

        def work() -> tuple[Action, ...]:
            return actions_of(finished(function(**given, ctx=context)), plugin=plugin.name)

        try:
            call = HookCall(plugin.name, name, tuple(given.values()))
            actions = limited(work, self.settings.handler_seconds, call)
        except Exception as error:
            self._fail(full, error, event)
            return
        if actions:
            ended = given.get("action")
            after = ended.depth if isinstance(ended, SettledAction) else 0
            self._note(full, actions, event, after)

    def _fail(self, name: str, error: Exception, event: Event | None) -> None:
        """Tell it to who watches; else it is raised when all that was to be done is done."""
        if self._watch is None:
            self._course.errors.append(error)
        elif isinstance(error, RunFailed):
            self._watch.failed(name, str(error).removeprefix(f"{name}: failed: "), event)
        else:
            self._watch.failed(name, f"{type(error).__name__}: {error}", event)

    def _note(
        self, name: str, actions: tuple[Action, ...], event: Event | None, after: int = 0
    ) -> list[Dispatch]:
        rule = self.ruleset.by_name.get(name)
        state = rule.state if rule is not None else "live"
        self._course.by.setdefault(name, []).extend(actions)
        leaving = [each for each in actions if not isinstance(each, Stop)]  # that one steers
        made = [self._outbox.put(name, state, action, event, after) for action in leaving]
        self._course.dispatches += made
        if self._watch is not None:
            for dispatch in made:
                self._watch.dispatched(dispatch)
        return made

    def _silent(self, name: str) -> bool:
        rule = self.ruleset.by_name.get(name)
        return rule is not None and rule.state in ("shadow", "draft")

    def _reaction(self, event: Event | None) -> Reaction:
        course, self._course = self._course, Course()
        waiting = [] if self._watch else [run.rule.name for run in self._runs.waiting()]
        return course.reaction(event, waiting, self._silent)
