"""Surroundings of the console: what it may ask for and not import, handed in by the command."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Answer = Mapping[str, Any]
Operate = Callable[[Mapping[str, Any]], Awaitable[Answer]]
RunChild = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
Phone = Callable[[str, str, Mapping[str, Any] | None], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the command around the console does for it.

    `operate` sends one operation to the worker and gives its answer, which holds `error` when it
    was refused; it raises WorkerAway when no worker answers. `receiver` does the same with the
    receiver. `run_child` runs a command of `ringback` and gives its exit code and its output; it
    raises TimeoutError for one that takes too long. `phone` asks the simulated Twilio of a
    `ringback dev`: method, path, JSON body. `run_long` runs a command that may take an hour, at the
    lowest priority. Without one of the last four the console lacks what needs it.
    """

    operate: Operate
    receiver: Operate | None = None
    run_child: RunChild | None = None
    phone: Phone | None = None
    run_long: RunChild | None = None
