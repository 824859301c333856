"""Retries for plugins: what may be tried in place of a text whose end `on_settled` hears of."""

from datetime import datetime

from ringback.actions import SendMessage
from ringback.plugins.context import SettledAction
from ringback.rules.retry_policy import NextTry, RetryPolicy, another_try

__all__ = ["NextTry", "RetryPolicy", "next_try"]


def next_try(ended: SettledAction, policy: RetryPolicy, now: datetime) -> NextTry:
    """What to try in place of a text that failed. `now` is in UTC."""
    if not isinstance(ended.wish, SendMessage) or ended.state != "failed":
        return NextTry(None, "it is no text that failed")
    return another_try(ended.wish, ended.error, policy, now)
