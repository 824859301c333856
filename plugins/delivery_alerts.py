"""Delivery alerts: notices of what the node finds wrong with deliveries.

The node itself finds causes and opens an incident for each: more failures than usual, texts without
an end, people who leave, spending, a silent number, a loop, sending that has stopped. Here they
become notices: one when it begins, one when it has grown, one when it is over. Two things are told
besides, since no incident may come of them: a large share of failures among few texts, and the
first error of our own making, which will fail every text from now on. Notices carry a key, so that
a storm about one matter is one notice.
"""

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from ringback import (
    Context,
    Event,
    Facts,
    Notify,
    SettledAction,
    hookimpl,
    notify,
    rule,
)

FAILED = ("message.failed", "message.undelivered")


class Config(BaseModel):
    """`[plugins.delivery_alerts]`: how much is too much, and whom to tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(
        900, ge=60, le=31 * 86_400, description="seconds over which texts are counted, by minutes"
    )
    at_least: int = Field(5, ge=1, description="fewer failures than this are never worth a notice")
    share: float = Field(0.1, ge=0, le=1, description="of all messages that ended in the window")
    kinds: frozenset[str] = Field(
        frozenset({"sending", "delivery", "silent", "loop", "budget", "duplicate"}),
        description="kinds of incidents that are told",
    )
    normal: frozenset[str] = frozenset({"recipient_opted_out", "call_not_in_progress"})
    urgent: frozenset[str] = frozenset(
        {
            "account",
            "bad_request",
            "sender_misconfigured",
            "sender_unregistered",
            "webhook_fault",
        }
    )
    via: str = Field("log", description="log, webhook, or a channel of ringback.toml")
    url: str = ""

    @property
    def span(self) -> timedelta:
        """The window, as the store asks for it."""
        return timedelta(seconds=self.window)


@rule(["incident.opened", "incident.updated", "incident.resolved"])
def incidents(event: Event, config: Config) -> Notify | None:
    """Tell what is wrong, that it has grown, and that it is over."""
    if event.status not in config.kinds:
        return None
    over = event.type == "incident.resolved"
    return _notice(config, event.body, f"{event.status}/{event.sid}", resolved=over)


@rule(list(FAILED))
def failures(event: Event, config: Config, store: Facts) -> Notify | None:
    """Tell when a class of error makes up too large a share, however few texts there are."""
    error_class = event.error_class or "unknown"
    if error_class in config.normal | config.urgent:
        return None
    failed = store.failures(config.span, error_class=error_class)
    share = store.failure_rate(config.span, error_class=error_class, minimum=1)
    if failed < config.at_least or share < config.share:
        return None
    ended = store.ended(config.span)
    text = f"{failed} of {ended} messages failed as {error_class} in {config.window // 60} min"
    last = f"the last had error {event.error_code}. {event.remedy}".rstrip()
    return _notice(config, f"{text}; {last}", error_class)


@hookimpl
def on_event(event: Event, ctx: Context) -> Notify | None:
    """Tell at once about an error of our own making, whatever kind of event reports it."""
    config: Config = ctx.config
    if event.error_class not in config.urgent:
        return None
    text = f"{event.type} with error {event.error_code} ({event.error_class}): {event.subject_sid}"
    text = f"{text}. {event.remedy}"
    return _notice(config, text, f"{event.error_class}/{event.error_code}")


@hookimpl
def on_settled(action: SettledAction, ctx: Context) -> Notify | None:
    """Tell about what Twilio never accepted, and what waits for a person's decision."""
    config: Config = ctx.config
    if action.kind == "notify":
        return None  # a notice about a failed notice would never end
    if action.state == "parked":
        text = f"{action.kind} of rule {action.rule} waits for a decision: {action.reason}"
        return _notice(config, text, "parked")
    never_accepted = action.state == "failed" and not action.remote_sid
    if never_accepted and action.error_class not in config.normal:
        text = f"{action.kind} of rule {action.rule} was not accepted: {action.reason}"
        return _notice(config, text, f"refused/{action.error_code}")
    return None


@hookimpl
def startup(ctx: Context) -> None:
    """Refuse to start when notices would go nowhere."""
    config: Config = ctx.config
    if config.via == "webhook" and not config.url:
        raise ValueError("via = 'webhook' needs url = 'https://…' in [plugins.delivery_alerts]")


@hookimpl
def shutdown(ctx: Context) -> None:
    """Leave the figure for whoever looks at the log next."""
    config: Config = ctx.config
    failed = ctx.store.failures(config.span)
    ctx.log.info("%d messages failed in the last %d s", failed, config.window)


def _notice(config: Config, text: str, matter: str, *, resolved: bool = False) -> Notify:
    key = f"delivery/{matter}"
    return notify(text, via=config.via, url=config.url, key=key, resolved=resolved)
