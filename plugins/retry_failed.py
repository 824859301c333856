"""Retry failed: texts that failed are tried again where that can help, and only there.

The catalogue of errors says for each code whether the same can arrive later and after how long, and
whether another sender or channel may help (`ringback explain 30008`). Nothing is tried again unless
a rule is named here. A try that comes later passes the gate like any text: who has opted out since
gets none.
"""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ringback import (
    Context,
    PlaceCall,
    RetryPolicy,
    SendMessage,
    SettledAction,
    hookimpl,
    next_try,
)

OWN = "retry_failed.on_settled"
MINIMUM = 20


class Config(BaseModel):
    """`[plugins.retry_failed]`: whose texts, how often, and what may take their place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: frozenset[str] = Field(frozenset(), description="texts of these rules; '*' is any")
    tries: int = Field(1, ge=1, le=5, description="beyond the first, for each text")
    senders: tuple[str, ...] = Field((), description="numbers of ours, when the sender is at fault")
    channels: tuple[Literal["whatsapp", "sms", "call"], ...] = Field(
        (), description="in this order, when the channel is"
    )
    numbers: dict[str, str] = Field({}, description="our number on each channel")
    most_failing: float = Field(
        0.2, gt=0, le=1, description="with a larger share of failures of a class none is tried"
    )

    @property
    def policy(self) -> RetryPolicy:
        """The same, as the policy of single texts."""
        return RetryPolicy(self.tries, self.senders, self.channels, self.numbers)


@hookimpl
def on_settled(action: SettledAction, ctx: Context) -> SendMessage | PlaceCall | None:
    """Try a text again that failed."""
    config: Config = ctx.config
    if action.state != "failed" or not isinstance(action.wish, SendMessage):
        return None
    if action.rule != OWN and not config.rules & {action.rule, "*"}:
        return None
    found = next_try(action, config.policy, ctx.clock.now())
    share = ctx.store.failure_rate(
        timedelta(minutes=15), error_class=action.error_class or "unknown", minimum=MINIMUM
    )
    if found.action is not None and share > config.most_failing:
        ctx.log.warning("%s is not tried again: %.0f%% of all fail so", action.uid, share * 100)
        return None
    ctx.log.info("%s of rule %s: %s", action.uid, action.rule, found.why)
    return found.action
