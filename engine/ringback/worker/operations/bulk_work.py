"""Work of bulks: preview with a forecast, start, stop, and steps behind all that is newer."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ringback.errors import Conflict, Missing, RingbackError, StorageError, UsageError
from ringback.ipc import Message
from ringback.runtime import Runtime, from_iso, iso, ulid_from
from ringback.store.operations.broadcast_start import OP as BROADCAST
from ringback.store.operations.bulks import FILTERS, NAMED, OPS, Bulk, Item
from ringback.store.operations.doings import Doing
from ringback.worker.engine import Engine
from ringback.worker.operations.envelope import SORTS, require_role
from ringback.worker.operations.forecast import Forecasts

STEP = 50
LARGE = 500
"""More than so many want an admin."""
PAUSE_SECONDS = 10.0
"""So long after its start a bulk begins: time to stop it."""
LOOK_SECONDS, PATIENCE_SECONDS = 0.5, 5.0
FIRST = 5
FORECAST = 500
"""The gate is asked about so many of a bulk."""
_LEAVING = ("retry", "approve")

Carry = Callable[[Message, Doing], Awaitable[Mapping[str, Any]]]


class BulkWork:
    """Answers the operations of bulks and works at them. `carry` carries out one operation."""

    def __init__(
        self, engine: Engine, runtime: Runtime, forecasts: Forecasts, carry: Carry
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._forecasts = forecasts
        self._carry = carry
        self._news = asyncio.Event()

    async def preview(self, message: Message, doing: Doing) -> dict[str, Any]:
        """List what a bulk would be about, and what the gate says of it now. Nothing is done. The
        same request again is about the same bulk."""
        op, given = str(message.get("bulk") or ""), message.get("filter") or {}
        if op not in OPS:
            raise UsageError(f"a bulk is one of {', '.join(OPS)}; not {op!r}")
        wanted = self._wanted(op, given)
        now = iso(self._runtime.now())
        uid = f"blk_{doing.request}" if doing.request else self._runtime.uid("blk")
        fresh = Bulk(0, uid, op, wanted, 0, "", 0, 0, 0, 0, doing.by, None)
        bulk, more = await self._engine.journal.bulks.preview(fresh, now)
        found = {
            "uid": bulk.uid,
            "bulk": op,
            "total": bulk.total,
            "more": more,
            "state": bulk.state,
        }
        forecast = await self._forecast(bulk) if op in _LEAVING else {}
        return {**found, **forecast}

    async def start(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Let a bulk begin, in ten seconds."""
        bulk = await self._bulk(doing)
        if bulk.total > LARGE:
            require_role(doing, "admin", f"to start a bulk of more than {LARGE:,}")
        begins = iso(self._runtime.now() + timedelta(seconds=PAUSE_SECONDS))
        done = replace(doing, answer={"state": "waiting"})
        if not await self._engine.journal.bulks.start(bulk.uid, begins, done):
            raise Conflict(f"bulk {bulk.uid} is {bulk.state}", {"state": bulk.state})
        self._news.set()
        return {"state": "waiting"}

    async def stop(self, message: Message, doing: Doing) -> dict[str, Any]:
        """Stop a bulk: what is done stays done, the rest stays as it is. Of a broadcast the texts
        that wait are cancelled, so it takes a moment."""
        bulk, now = await self._bulk(doing), iso(self._runtime.now())
        state = "stopping" if bulk.op == BROADCAST else "stopped"
        done = replace(doing, answer={"state": state})
        if not await self._engine.journal.bulks.stop(bulk.uid, now, done):
            raise Conflict(f"bulk {bulk.uid} is {bulk.state}", {"state": bulk.state})
        return {"state": state}

    async def run(self) -> None:
        """Work at bulks for as long as the worker does."""
        while True:
            self._news.clear()
            bulk = await self._engine.journal.bulks.due(iso(self._runtime.now()))
            if bulk is not None:
                await self._let_others_first()
                await self._step(bulk)
                continue
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _step(self, bulk: Bulk) -> None:
        bulks, ended = self._engine.journal.bulks, list[tuple[Item, str, str]]()
        for item in await bulks.next_items(bulk, STEP):
            fresh = await bulks.get(bulk.uid)
            if fresh is None or fresh.state not in ("waiting", "running"):
                break
            ended.append((item, *await self._one(bulk, item)))
        await bulks.note(bulk, ended, iso(self._runtime.now()))

    async def _one(self, bulk: Bulk, item: Item) -> tuple[str, str]:
        """Do one thing of a bulk, once, whatever happened before."""
        choices = {k: v for k, v in bulk.wanted.items() if k in SORTS[bulk.op].words}
        doing = Doing(
            self._runtime.uid("op"), iso(self._runtime.now()), bulk.by, bulk.op,
            SORTS[bulk.op].kind, item.uid, {**choices, "bulk": bulk.uid},
            request=_request(bulk.uid, item.uid), expect={"state": item.was},
        )  # fmt: skip
        try:
            await self._carry({"op": bulk.op, "uid": item.uid, **choices}, doing)
        except Conflict as conflict:
            moved = conflict.now.get("state") != item.was
            return ("skipped" if moved else "refused"), str(conflict)
        except StorageError:
            raise
        except RingbackError as error:
            return "refused", str(error)
        return "done", ""

    async def _let_others_first(self) -> None:
        """Wait until nothing else is on its way, for a while."""
        end = self._runtime.monotonic() + PATIENCE_SECONDS
        engine = self._engine
        while (len(engine.queue) or engine.sender.busy) and self._runtime.monotonic() < end:
            await asyncio.sleep(0.05)

    async def _bulk(self, doing: Doing) -> Bulk:
        bulk = await self._engine.journal.bulks.get(doing.subject)
        if bulk is None:
            raise Missing(f"there is no bulk {doing.subject!r}")
        return bulk

    def _wanted(self, op: str, given: Any) -> dict[str, Any]:
        known = (*FILTERS[OPS[op][0]], *(("outcome",) if op == "resolve" else ()))
        if not isinstance(given, Mapping) or set(given) - set(known):
            raise UsageError(f"the filter of a bulk of {op} knows {', '.join(known)}")
        state = given.get("state")
        if state and state not in OPS[op][1]:
            raise UsageError(f"{op} is for the states {', '.join(OPS[op][1])}; not {state!r}")
        uids = given.get("uids")
        if uids is not None and not (
            isinstance(uids, list) and len(uids) <= NAMED
            and all(isinstance(each, str) for each in uids)
        ):  # fmt: skip
            raise UsageError(f"uids is a list of at most {NAMED} ids")
        if op == "resolve" and given.get("outcome") not in ("sent", "not_sent"):
            raise UsageError("a bulk of resolve wants the outcome `sent` or `not_sent`")
        return dict(given) | ({"since": _moment(given["since"])} if given.get("since") else {})

    async def _forecast(self, bulk: Bulk) -> dict[str, Any]:
        """What the gate would say: how many go out, are refused or put off and why; what they take;
        the first texts."""
        uids = await self._engine.journal.bulks.items(bulk)
        says: Counter[str] = Counter()
        why: Counter[tuple[str, str]] = Counter()
        segments, prices = 0, list[float]()
        for start in range(0, min(len(uids), FORECAST), STEP):
            told = await self._forecasts.forecast({"uids": uids[start : start + STEP]})
            for each in told["forecasts"].values():
                says[each["state"]] += 1
                if each["state"] != "planned":
                    why[each["state"], each["reason"]] += 1
                else:
                    segments += each["segments"] or 0
                    prices += [] if each["price"] is None else [each["price"]]
            await asyncio.sleep(0)
        first = [await self._engine.journal.actions.get(uid) for uid in uids[:FIRST]]
        return {
            "asked": min(len(uids), FORECAST), "says": dict(says), "segments": segments,
            "price": round(sum(prices), 4) if prices else None,
            "why": [{"state": s, "reason": r, "count": n} for (s, r), n in why.most_common(20)],
            "first": [
                {"uid": each.uid, "kind": each.kind, "params": json.loads(each.params)}
                for each in first if each is not None
            ],
        }  # fmt: skip


def _moment(given: Any) -> str:
    """A stored time."""
    try:
        return iso(from_iso(str(given)))
    except ValueError:
        raise UsageError(f"since: {given!r} is no time; write it like 2026-03-04T17:00Z") from None


def _request(bulk: str, item: str) -> str:
    """The ULID of one thing of a bulk: the same whenever it is tried."""
    return ulid_from(f"{bulk} {item}")
