"""Backtests in the JSON API: begun, looked at, and stopped."""

from typing import Any

from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource

_BODY = (
    Parameter("since", "Of which span: 24h, 30d, or a time in UTC.", required=True),
    Parameter("text", "A rule file: its rules are tried, not those of the same names.", "file"),
)


async def backtests(asked: Asked) -> dict[str, Any]:
    """The last ones."""
    return listed([each.shown() for each in asked.console.backtests.all()])


async def backtest(asked: Asked) -> dict[str, Any]:
    """One of them."""
    return asked.console.backtests.one(asked.values["id"]).shown()


async def begin(asked: Asked) -> dict[str, Any]:
    """Begin one."""
    since, text = asked.body["since"], asked.body["text"] or ""
    return asked.console.backtests.begin(asked.identity, since, text).shown()


async def stop(asked: Asked) -> dict[str, Any]:
    """Stop one."""
    return (await asked.console.backtests.stop(asked.values["id"], asked.identity)).shown()


RESOURCES = (
    Resource(
        "backtests", "What was recorded, through the rules of now or through others.",
        (
            Endpoint("/backtests", "List the last five, the newest first.", backtests,
                     "BacktestList", role="operate"),
            Endpoint("/backtests", "Begin one; one runs at a time.", begin, "Backtest",
                     method="POST", body=_BODY, role="operate", safe=True, status=202,
                     problems=("busy", "missing")),
            Endpoint("/backtests/{id}", "Show how one is, and what came of it.", backtest,
                     "Backtest", role="operate", problems=("missing",)),
            Endpoint("/backtests/{id}/stop", "Stop one.", stop, "Backtest", method="POST",
                     role="operate", safe=True, problems=("missing",)),
        ),
    ),
)  # fmt: skip
