"""Parts of the worker, and how they are joined."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ringback.actions import HttpRequest, Notify
from ringback.config import Settings
from ringback.events import Event
from ringback.gateway.channel_tables import PEOPLE
from ringback.gateway.client import Gateway
from ringback.gateway.limits import Limits
from ringback.incident_links import link
from ringback.ipc import Link
from ringback.outcomes import Answered
from ringback.plugins.requests import PluginCalls
from ringback.rules.engine.ruleset import RuleSet
from ringback.rules.engine.waits import Waits
from ringback.runtime import Runtime, iso
from ringback.store.interface import Journal
from ringback.twilio.costs import Told
from ringback.worker.gate.gate import Gatekeeper
from ringback.worker.immediate import Immediate
from ringback.worker.match.confirm import LATER, Confirmer
from ringback.worker.match.handovers import Handovers
from ringback.worker.match.matcher import Matcher
from ringback.worker.match.schedules import Schedules
from ringback.worker.match.turns import Turns
from ringback.worker.questions import Questions
from ringback.worker.recovery.channel_watch import ChannelWatch
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.recovery.prices import PriceReader
from ringback.worker.recovery.refusal_watch import QUIET_SECONDS, RefusalWatch
from ringback.worker.recovery.repair import Repairer
from ringback.worker.recovery.restore_guard import RestoreGuard
from ringback.worker.recovery.sending_watch import SendingWatch
from ringback.worker.recovery.watchdogs import Watch
from ringback.worker.run.backlog import Backlog
from ringback.worker.run.calls import Calls
from ringback.worker.run.hooks import Hooks
from ringback.worker.run.keyed_queue import KeyedQueue
from ringback.worker.run.resume import Resumer
from ringback.worker.run.runner import Runner
from ringback.worker.send.gateway_reader import GatewayReader
from ringback.worker.send.probes import Prober
from ringback.worker.send.sender import Sender
from ringback.worker.send.server_clock import ServerClock
from ringback.worker.send.settle import Settler
from ringback.worker.send.stoppages import Stoppages
from ringback.worker.signals import Signals
from ringback.worker.strikes import Strikes
from ringback.worker.watch.acknowledgements import Acknowledgements
from ringback.worker.watch.delivery_watch import LOOK_SECONDS, DeliveryWatch
from ringback.worker.watch.escalation import Escalator
from ringback.worker.watch.silence_watch import SILENT_SECONDS, SUDDEN_SECONDS, SilenceWatch


@dataclass(frozen=True, slots=True)
class Around:
    """What the parts stand on, and whom they report to.

    `match_row` matches one row of the log ahead of the others, for a call that waits; `on_proof`
    gets what was found out about a claimed event: its uid, its trust, and why it earned no more.
    """

    settings: Settings
    journal: Journal
    gateway: Gateway | None
    runtime: Runtime
    boot: str
    calls: PluginCalls
    notice: Callable[[Notify | HttpRequest, str, str], Awaitable[str | Answered]]
    receiver: Link
    match_row: Callable[[int], Awaitable[None]]
    on_proof: Callable[[str, str, str], Awaitable[None]]
    signals: Signals


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one worker, by stage."""

    waits: Waits
    questions: Questions
    strikes: Strikes
    matcher: Matcher
    immediate: Immediate
    confirmer: Confirmer
    schedules: Schedules
    queue: KeyedQueue
    backlog: Backlog
    runner: Runner
    resumer: Resumer
    calls: Calls
    hooks: Hooks
    gate: Gatekeeper
    sender: Sender
    prober: Prober
    settler: Settler
    incidents: Incidents
    silence: SilenceWatch
    watch: Watch
    escalator: Escalator
    prices: PriceReader
    sending: SendingWatch
    hold: RestoreGuard


def _machines(settings: Settings) -> Sequence[str]:
    """The channels that are no people: a text or call is no notice, and has a way of its own."""
    return [name for name, table in settings.channels.items() if table.get("kind") not in PEOPLE]


def build(around: Around, ruleset: RuleSet) -> Parts:
    """Make the parts and join them. Nothing is read or begun yet."""
    settings, journal, runtime = around.settings, around.journal, around.runtime
    gateway, signals = around.gateway, around.signals
    queue, waits, gate = KeyedQueue(), Waits(), Gatekeeper(settings, runtime)
    strikes = Strikes(journal, runtime, signals)
    questions = Questions(around.calls, strikes)
    matcher = Matcher(journal, ruleset, waits, runtime, questions, signals.news, Turns(queue.busy))
    queue.on_done = matcher.done
    acknowledgements = Acknowledgements(settings)
    matcher.taken = Handovers(acknowledgements.takes, runtime).takes
    matcher.claims = bool(settings.hook_secret)
    runner = Runner(
        journal=journal, settings=settings, runtime=runtime, questions=questions,
        signals=signals, queue=queue,
        on_waiting=lambda run, event, progress: resumer.waits_now(run, event, progress),
        on_run_end=lambda run: resumer.ended(run),
    )  # fmt: skip
    backlog = Backlog(queue)
    immediate = Immediate(
        journal=journal, settings=settings, runtime=runtime, queue=queue, backlog=backlog,
        gate=gate, signals=signals,
    )  # fmt: skip
    matcher.record = immediate.record
    resumer = Resumer(
        journal=journal, runtime=runtime, runner=runner, queue=queue, backlog=backlog, waits=waits,
        signals=signals, unmatched=matcher.unmatched,
    )  # fmt: skip
    limits = Limits(
        settings.gateway_rate or (gateway.access.rate if gateway is not None else 1.0),
        runtime=runtime, pace=settings.sender_rate > 0, sender_rate=settings.sender_rate,
    )  # fmt: skip
    clock = ServerClock(runtime)
    stoppages = Stoppages(runtime, limits, settings.settle_seconds / 2, settings.account_sid)

    async def learn(told: Told) -> None:
        await journal.costs.learn(told)
        if told.failed:
            await journal.evidence.explain(told.failed, iso(runtime.now()))

    reader = GatewayReader(gateway, limits, clock, stoppages, learn)

    async def claims(limit: int) -> Sequence[Event]:
        since = iso(runtime.now() - timedelta(seconds=sum(LATER)))
        return await journal.events.unproven(limit, since)

    incidents = Incidents(journal, runtime)
    refusals = RefusalWatch(journal, runtime, incidents)
    silence = SilenceWatch(journal, settings, runtime, incidents)
    channels = ChannelWatch(
        around.notice, _machines(settings), journal=journal, incidents=incidents,
        runtime=runtime,
    )  # fmt: skip
    sender = Sender(
        journal=journal, settings=settings, runtime=runtime, gateway=gateway, gate=gate,
        clock=clock, limits=limits, stoppages=stoppages, boot=around.boot, notice=channels.give,
        signals=signals, refused=refusals.refused,
    )  # fmt: skip
    settler = Settler(
        journal=journal, settings=settings, runtime=runtime, reader=reader, signals=signals,
        on_planned=sender.refill,
    )  # fmt: skip
    repairer = Repairer(
        journal=journal, settings=settings, runtime=runtime, reader=reader,
        receiver=around.receiver, incidents=incidents,
    )  # fmt: skip
    return Parts(
        waits=waits, questions=questions, strikes=strikes, matcher=matcher, immediate=immediate,
        confirmer=Confirmer(
            gateway, settings.account_for, claims, around.on_proof,
            stoppages.read, runtime,
        ),
        schedules=Schedules(journal, runtime, signals),
        queue=queue, backlog=backlog, runner=runner, resumer=resumer,
        calls=Calls(journal, runtime, settings.answer_seconds, around.match_row, signals.due),
        hooks=Hooks(around.calls, strikes, journal, runtime, settings, signals, runner.turns),
        gate=gate, sender=sender,
        prober=Prober(
            journal=journal, runtime=runtime, gateway=gateway, limits=limits, stoppages=stoppages,
            refill=sender.refill,
        ),
        settler=settler, incidents=incidents, silence=silence,
        watch=Watch(
            journal=journal, settings=settings, runtime=runtime, reader=reader,
            repairer=repairer, incidents=incidents, signals=signals,
            beside=(
                (QUIET_SECONDS, refusals.close_quiet),
                (SILENT_SECONDS, silence.silent),
                (SUDDEN_SECONDS, silence.suddenly_silent),
                (LOOK_SECONDS, DeliveryWatch(journal, settings, runtime, incidents).look),
            ),
        ),
        escalator=Escalator(
            journal, settings, runtime, signals, acknowledgements,
            lambda uid: link(settings.public_url, settings.data, uid),
        ),
        prices=PriceReader(
            journal=journal, settings=settings, runtime=runtime, reader=reader,
            at_will=sender.at_will,
        ),
        sending=SendingWatch(
            journal=journal, settings=settings, runtime=runtime, stoppages=stoppages,
            incidents=incidents, has_gateway=gateway is not None, at_will=sender.at_will,
        ),
        hold=RestoreGuard(
            journal=journal, settings=settings, runtime=runtime, reader=reader, settler=settler,
            sender=sender, incidents=incidents, matcher=matcher, signals=signals,
        ),
    )  # fmt: skip
