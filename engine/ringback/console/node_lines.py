"""Log lines of a node, put together: those of the receiver, of the worker and of the console."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ringback.console.api.parameters import Parameter
from ringback.console.surroundings import Operate, Surroundings
from ringback.errors import RingbackError
from ringback.log_lines import KEPT, LEVELS

PROCESSES = ("receiver", "worker", "console")
LINE_FILTERS = (
    Parameter("level", "Only lines that are at least so grave.", choices=LEVELS[1:4]),
    Parameter("process", "Only of this process.", choices=PROCESSES),
    Parameter("rule", "Only about this rule."),
    Parameter("event", "Only about this event or action."),
    Parameter("text", "Only with this text."),
)
_SECONDS = 2.0
_PASSED = ("level", "rule", "event", "text", "limit")


async def lines_of(
    surroundings: Surroundings, wanted: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The last lines of all processes, the newest first, and which of them did not answer."""
    question = {name: wanted[name] for name in _PASSED if wanted.get(name)}
    others: Mapping[str, Operate | None] = {
        "receiver": surroundings.receiver, "worker": surroundings.operate,
    }  # fmt: skip
    chosen = [name for name in PROCESSES if wanted.get("process") in (None, "", name)]
    asked = [name for name in chosen if name in others]
    answers = await asyncio.gather(*(_asked(others[name], question) for name in asked))
    found = [
        {"process": name, **line}
        for name, answer in zip(asked, answers, strict=True)
        for line in answer or ()
    ]
    if "console" in chosen:
        found += [{"process": "console", **line} for line in KEPT.lines(**question)]
    found.sort(key=lambda line: str(line["at"]), reverse=True)
    silent = [name for name, answer in zip(asked, answers, strict=True) if answer is None]
    return found[: wanted.get("limit") or 200], silent


async def _asked(ask: Operate | None, question: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The lines of one process; None when it does not answer."""
    if ask is None:
        return None
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await ask({"op": "logs", **question})
    except (RingbackError, OSError, TimeoutError):
        return None
    return None if "error" in answer else list(answer["lines"])
