"""Wire between the worker and a host: requests go as pickle, answers come back as JSON.

Pickle never comes back: classes of plugins must not reach the worker. An answer is plain data, and
what is no plain data becomes an error that says so. A frame is a header (length of what follows,
kind, number of the call) and its payload. A long list of actions stands in lines of its own behind
the answer, so that it can be read in turns with other work.
"""

import asyncio
import json
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from pydantic_core import from_json

from ringback.action_kinds import from_params
from ringback.actions import Action, to_params
from ringback.errors import PluginError, UsageError
from ringback.events import event_of, event_values
from ringback.plugins.requests import (
    Answer,
    FunctionCalls,
    HandlerCall,
    HookCall,
    Request,
    StepCall,
)
from ringback.rules.interpreter.machine import Progress, Wait
from ringback.runtime import from_iso

HEADER = struct.Struct("=IBQ")
MOST_BYTES = 16 << 20
"""The longest answer that is sent; a longer one is an error of the plugin."""
LINE = 100
"""So many actions stand in one line."""

CALL, RETIRE, CANCEL = 1, 2, 3
"""What the worker sends: a call, to end in order, that nobody waits for a call any more."""

ANSWER, ERROR, MEMORY, LATE, STUCK = 1, 2, 3, 4, 5
"""What becomes of a call: its answer; what the code raised; it needed more memory than a host may
have; an async one was late and was cancelled; one was late and goes on all the same."""
READY, AT, FAULT, LOG, LEAVING = 6, 7, 8, 9, 10
"""What a host tells of itself: it takes calls; the plugin whose `startup` or `shutdown` it calls;
what that raised; a line for the log; why it takes no more calls after this answer."""


_MOST_FRAME = MOST_BYTES + (1 << 20)


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    """One frame, ready to be sent."""
    return HEADER.pack(len(payload), kind, number) + payload


class NoFrameError(Exception):
    """Something else than frames of ours came."""


class Frames:
    """The frames in a stream of bytes, which may come in any pieces."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Kind, number and payload of each frame that is whole now. Raises NoFrameError for one
        that nobody of us sends."""
        if not self._rest and len(data) >= HEADER.size:
            size, kind, number = HEADER.unpack_from(data)
            if size + HEADER.size == len(data) and kind:  # the usual case: one frame in one piece
                return [(kind, number, data[HEADER.size :])]
        self._rest += data
        found: list[tuple[int, int, bytes]] = []
        begin = 0
        while len(self._rest) - begin >= HEADER.size:
            size, kind, number = HEADER.unpack_from(self._rest, begin)
            end = begin + HEADER.size + size
            if size > _MOST_FRAME or not 0 < kind <= LEAVING:
                raise NoFrameError
            if len(self._rest) < end:
                break
            found.append((kind, number, bytes(self._rest[begin + HEADER.size : end])))
            begin = end
        del self._rest[:begin]
        return found


def request_bytes(request: Request, limit: float) -> bytes:
    """A request and its limit in seconds, to be sent to a host."""
    kind, place, values = _VALUES[type(request)]
    said = list(values(request))
    if place is not None:
        said[place] = event_values(said[place])
    return pickle.dumps((limit, kind, said), protocol=5)


def read_request(payload: bytes) -> tuple[Request, float]:
    """What `request_bytes` wrote. Only a host reads it: it trusts its worker."""
    limit, kind, said = pickle.loads(payload)
    make, place = _REQUESTS[kind]
    if place is not None:
        said[place] = event_of(said[place])
    return make(*said), limit


_REQUESTS: list[tuple[Callable[..., Request], int | None]] = []
_VALUES: dict[type, tuple[int, int | None, Callable[[Any], Any]]] = {}
for _kind, _class in enumerate((HandlerCall, FunctionCalls, StepCall, HookCall)):
    _names = [item.name for item in fields(_class)]
    _place = _names.index("event") if "event" in _names else None
    _REQUESTS.append((_class, _place))
    _VALUES[_class] = (_kind, _place, attrgetter(*_names))


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def answer_bytes(request: Request, answer: Any) -> bytes:
    """An answer as JSON. Raises PluginError, which says what cannot be sent, for other data."""
    lines: list[Any] = []
    try:
        head = _plain(request, answer, lines)
        data = "\n".join(map(_encode, [head, *lines])).encode()
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start : error.end])
        raise PluginError(request.plugin, f"returned text with {half}, half a character") from None
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        message = f"returned something that is no plain data: {error}"
        raise PluginError(request.plugin, message) from None
    if len(data) > MOST_BYTES:
        raise PluginError(request.plugin, f"returned more than {MOST_BYTES >> 20} MB")
    return data


def read_answer(request: Request, payload: bytes) -> Answer:
    """The answer that `answer_bytes` wrote.

    Raises PluginError for an action that this process does not know, and for what is no answer.
    """
    try:
        head, *lines = payload.split(b"\n")
        return _answer(request, from_json(head), map(_actions, lines))
    except _UNUSABLE as error:
        raise PluginError(request.plugin, f"returned something unusable: {error}") from None


async def read_long_answer(request: Request, payload: bytes) -> Answer:
    """The same of a long one. The loop gets a turn after each line."""
    try:
        head, *lines = payload.split(b"\n")
        read: list[tuple[Action, ...]] = []
        for line in lines:
            read.append(_actions(line))
            await asyncio.sleep(0)
        return _answer(request, from_json(head), iter(read))
    except _UNUSABLE as error:
        raise PluginError(request.plugin, f"returned something unusable: {error}") from None


_UNUSABLE = (UsageError, TypeError, ValueError, LookupError, AttributeError)


def json_bytes(data: Any) -> bytes:
    """Plain data of our own as JSON; text that is no Unicode is written with its numbers."""
    return json.dumps(data).encode("ascii")


def read_words(kind: int, payload: bytes) -> list[Any]:
    """What a host tells of itself, as it was written with `json_bytes`. Raises NoFrameError."""
    try:
        said = json.loads(payload) if payload else []
    except (ValueError, RecursionError):
        raise NoFrameError from None
    words = said if isinstance(said, list) else [said]
    if [type(word) for word in words] != _WORDS[kind]:
        raise NoFrameError
    return words


_WORDS: Mapping[int, list[type]] = {
    READY: [], AT: [str, str], FAULT: [str, str, str], LOG: [int, str, str], LEAVING: [str],
}  # fmt: skip


def read_reason(payload: bytes) -> str:
    """Why a call has failed, in words."""
    try:
        return str(json.loads(payload))
    except (ValueError, RecursionError):
        return "failed, and its process does not say why"


def _plain(request: Request, answer: Any, lines: list[Any]) -> Any:
    if isinstance(request, HandlerCall):
        actions, wait = _listed(answer.actions, lines), answer.wait
        if wait is None and not answer.state and not answer.end:
            return actions
        due = wait.due_at.isoformat() if wait is not None and wait.due_at else None
        pause = None if wait is None else [due, wait.event_types, wait.key]
        return {"actions": actions, "wait": pause, "state": answer.state, "end": answer.end}
    if isinstance(request, FunctionCalls):
        return [[good, _value(value)] for good, value in answer]
    if isinstance(request, HookCall):
        return [each if isinstance(each, str) else _listed(each, lines) for each in answer]
    return _listed(answer, lines)


def _answer(request: Request, data: Any, lines: Iterator[tuple[Action, ...]]) -> Answer:
    if isinstance(request, HandlerCall):
        if isinstance(data, list | int):
            return Progress(_read_list(data, lines), None)
        wait = None
        if data["wait"] is not None:
            due, types, key = data["wait"]
            wait = Wait(from_iso(due) if due else None, tuple(types), key)
        return Progress(_read_list(data["actions"], lines), wait, data["state"], data["end"])
    if isinstance(request, FunctionCalls):
        return tuple((bool(good), _read_value(value)) for good, value in data)
    if isinstance(request, HookCall):
        return tuple(each if isinstance(each, str) else _read_list(each, lines) for each in data)
    return _read_list(data, lines)


def _listed(actions: Sequence[Action], lines: list[Any]) -> Any:
    """Actions as they are sent, or the number of lines in which they follow."""
    if len(actions) <= LINE:
        return [_written(action) for action in actions]
    starts = range(0, len(actions), LINE)
    lines += ([_written(action) for action in actions[at : at + LINE]] for at in starts)
    return len(starts)


def _read_list(data: Any, lines: Iterator[tuple[Action, ...]]) -> tuple[Action, ...]:
    if isinstance(data, int):
        return tuple(action for _ in range(data) for action in next(lines, ()))
    return tuple(map(_action, data))


def _written(action: Action) -> list[Any]:
    """An action, without the fields that have their default."""
    kind = type(action)
    usual = _USUAL.get(kind) or _usual(kind)
    params = to_params(action)
    said = {name: value for name, value in params.items() if value != usual.get(name, _NEVER)}
    return [action.kind, action.policy, said]


def _usual(kind: type[Any]) -> dict[str, Any]:
    """The defaults of a class of actions, as `to_params` writes them."""
    usual: dict[str, Any] = {}
    for item in fields(kind):
        value = item.default
        if item.default_factory is not MISSING:
            value = item.default_factory()
        if value is not MISSING:
            plain = list(value) if isinstance(value, tuple) else value
            usual[item.name] = dict(plain) if isinstance(plain, Mapping) else plain
    _USUAL[kind] = usual
    return usual


_USUAL: dict[type[Any], dict[str, Any]] = {}
_NEVER = object()


def _actions(line: bytes) -> tuple[Action, ...]:
    return tuple(map(_action, from_json(line)))


def _action(data: Any) -> Action:
    kind, policy, params = data
    return from_params(kind, params, policy)


def _value(value: Any) -> Any:
    """The value of a function: moments and spans of time under a name, the rest as it is."""
    if isinstance(value, datetime):
        return {"moment": value.isoformat()}
    if isinstance(value, timedelta):
        return {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
    if isinstance(value, Mapping):
        raise TypeError("a mapping")
    return list(value) if isinstance(value, tuple | set | frozenset) else value


def _read_value(data: Any) -> Any:
    if isinstance(data, dict):
        return datetime.fromisoformat(data["moment"]) if "moment" in data else timedelta(**data)
    return data
