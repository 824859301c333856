"""Starts of rules from a program of one's own, beside a node that runs on the same machine."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.config import Settings
from ringback.ipc import ask_once, require_good, socket_path
from ringback.rules.starts import text_of
from ringback.runtime import REAL

SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Started:
    """What a start has begun: the uid of its event, and that of the run; empty when what restrains
    the rule's runs has kept it back, and `why` then."""

    event: str
    run: str
    why: str = ""


def start_rule(
    rule: str, *, to: str = "", data: Any = None, project: str | Path = ".", who: str = "program"
) -> Started:
    """Start a rule now, for the person `to` (+15551234567, empty for nobody), with `data` that its
    conditions and texts read as `hook`: what JSON can say, at most 256 KiB of it.

    `project` is the folder of the running node, `who` is kept beside what was done. It waits for
    the node, up to 30 s; in async code write `await asyncio.to_thread(start_rule, …)`.

    Raises WorkerAway when no node runs there, Missing for a rule that is not there, Conflict for
    one that is off, UsageError for a number or data that cannot be.
    """
    settings = Settings.load(Path(project), os.environ)
    message = {
        "op": "start", "rule": rule, "to": to, "json": text_of(data),
        "by": {"who": who, "role": "operate", "via": "api"},
        "request": REAL.uid("op").partition("_")[2],
    }  # fmt: skip
    answer = asyncio.run(ask_once(socket_path(settings.data), message, SECONDS))
    require_good(answer)
    run = next((each["run"] for each in answer["runs"]), "")
    why = "" if run else str(answer["verdicts"].get(rule) or "nothing has begun")
    return Started(str(answer["uid"]), run, why)
