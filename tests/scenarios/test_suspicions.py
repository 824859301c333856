"""Suspected faults of the engine, each shown to be none: ends of calls, turns, days, look-ups."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from admission.compare import load
from admission.node import ACCOUNT, Node, Twilio, settings_of
from admission.stories import OURS, PEOPLE, Happens, Story, text
from ringback.actions import SendMessage
from ringback.errors import ConfigError, GatewayError
from ringback.gateway.client import Gateway
from ringback.gateway.credentials import Credentials
from ringback.gateway.pool import Limits
from ringback.gateway.transport import Reply
from ringback.runtime import iso
from ringback.store.actions import NewAction
from ringback.store.runs import StoredRun
from ringback.testing import NOON
from ringback.twilio.rest import Request
from ringback.worker.send import classify

ANN = PEOPLE[0]
CALL = {"CallSid": "CA" + "5" * 32, "From": ANN, "To": OURS, "Direction": "inbound"}
RULES = """rules:
- {name: over, on: call.completed, do: [{notify: over}]}
- {name: r, on: message.received, do: [{reply: R}]}
"""


@asynccontextmanager
async def node(
    folder: Path, twilio: Twilio | None = None, rules: str = RULES, **settings: Any
) -> AsyncIterator[Node]:
    made = Node(settings_of(folder, settings), load(Story(rules, ()), folder), twilio)
    await made.start({})
    try:
        yield made
    finally:
        made.engine.sender.stopping = True  # what waits for a rate, waits no longer
        await made.close()


class Lists(Twilio):
    """Twilio with one call in its list."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        if request.method == "GET":
            return Reply(200, {"messages": [], "calls": self.calls})
        return await super().perform(request)


def record(it: Node, began: float, ended: float, status: str = "completed") -> dict[str, Any]:
    """The call as the list of calls has it; moments in seconds before now."""

    def moment(seconds: float) -> str:
        return format_datetime(it.now - timedelta(seconds=seconds))

    return {
        "sid": CALL["CallSid"], "account_sid": ACCOUNT, "from": ANN, "to": OURS, "status": status,
        "direction": "inbound", "duration": "9", "date_created": moment(began),
        "start_time": moment(began), "end_time": moment(ended),
    }  # fmt: skip


@pytest.mark.parametrize("hours", [0.5, 3.0, 20.0])
@pytest.mark.parametrize("status", ["completed", "no-answer"])
async def test_the_end_of_a_call_that_was_answered_is_fetched_back(
    tmp_path: Path, hours: float, status: str
) -> None:
    """It rang long before the node went down, and ended while it was down. Once, and not before
    the webhook had its time."""
    twilio = Lists()
    async with node(tmp_path, twilio) as it:
        await it.happen(Happens("call", {**CALL, "CallStatus": "ringing"}))
        await it.engine.watch._repairer.step()
        it.time += hours * 3600.0
        twilio.calls = [record(it, hours * 3600.0, 5.0, status)]
        await it.engine.watch._repairer.step()
        await it.happen()
        types = "select type from events where source = 'repair'"
        assert it.reader.execute(types).fetchall() == []
        it.time += 600.0
        for _ in range(2):
            await it.engine.watch._repairer.step()
            await it.happen()
        assert [row[0] for row in it.reader.execute(types)] == [f"call.{status}"]
        told = it.reader.execute("select count(*) from incidents where kind = 'repair'")
        assert told.fetchone()[0] == 0, "nobody has asked Twilio for the ends of calls"


async def test_many_that_are_planned_hold_up_none_that_was_put_off(tmp_path: Path) -> None:
    """What is free to leave goes by when it became so."""
    async with node(tmp_path) as it:
        it.engine.sender.held = True
        await it.happen(text("a"))
        row = it.reader.execute("select run_uid, event_uid, conversation from actions").fetchone()
        many = [
            NewAction(
                f"act_{number}", row[0], row[1], "r", number + 1,
                SendMessage(ANN, f"S{number}", sender=OURS), "planned", "", iso(it.now), row[2],
                f"k{number}", 1, due_at=iso(it.now) if number % 2 else None,
            )
            for number in range(25)
        ]  # fmt: skip
        from ringback.store.actions import insert_actions
        from ringback.store.sqlite.sqlite_files import connect_writer

        connection = connect_writer(it.settings.data / "journal.db")
        insert_actions(connection, many)
        connection.execute(
            "update actions set state = 'deferred', due_at = ? where uid = 'act_20'",
            (iso(it.now),),
        )
        connection.execute(
            "update actions set state = 'deferred', due_at = '2026-01-01T00:00:00.000Z' "
            "where uid in ('act_21', 'act_22')"
        )
        connection.close()
        await asyncio.sleep(0)  # what another connection wrote is seen in the next turn
        found = await it.journal.actions.sendable(iso(it.now), 10, far="2100")
        uids = [action.uid for action in found]
        assert len(uids) == 10
        assert uids[:2] == ["act_21", "act_22"]


class Broken(Twilio):
    """Takes no request: its settings are wrong for looking, and answers get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        if request.method == "GET":
            self.looks += 1
            raise ConfigError(["no account"])
        raise RuntimeError("the answer was lost")


async def test_a_look_that_cannot_be_made_is_not_made_at_once_again(tmp_path: Path) -> None:
    twilio = Broken()
    async with node(tmp_path, twilio) as it:
        await it.happen(text("a"))
        it.time += 100.0
        async with asyncio.timeout(5):
            for _ in range(20):
                await it.engine.settler.step()
        assert twilio.looks == 1
        assert it.reader.execute("select state from actions").fetchone()[0] == "unknown"


async def test_what_was_allowed_before_midnight_is_not_given_back_to_the_new_day(
    tmp_path: Path,
) -> None:
    from ringback.errors import BadRequest

    class Slow(Twilio):
        begun, go = asyncio.Event(), asyncio.Event()

        async def perform(
            self, request: Request, *, leaving: Callable[[], None] = lambda: None
        ) -> Reply:
            if "SLOW" in str(request.form):
                self.begun.set()
                await self.go.wait()
                raise BadRequest("no", code=21211, http_status=400, origin="twilio")
            return await super().perform(request)

    twilio = Slow()
    rules = "rules:\n- {name: r, on: message.received, budget: {per_day: 2}, do: [{reply: "
    rules += "'${{ event.body }}'}]}\n"
    async with node(tmp_path, twilio, rules) as it:
        it.time += 6.9 * 3600.0  # shortly before midnight, UTC
        await it.record(text("SLOW", PEOPLE[1]))
        while await it.engine._match():
            pass
        await twilio.begun.wait()
        it.time += 3600.0
        await it.record(text("one"))
        while await it.engine._match():
            pass
        await it.engine.queue.idle()
        twilio.go.set()
        await it.engine.sender.idle()
        for body in ("two", "three", "four"):
            it.time += 60.0
            await it.happen(text(body))
        states = it.reader.execute(
            "select json_extract(params, '$.body'), state from actions order by id"
        ).fetchall()
        assert dict(tuple(row) for row in states) == {
            "SLOW": "failed", "one": "accepted", "two": "accepted", "three": "refused",
            "four": "refused",
        }  # fmt: skip


@pytest.mark.parametrize("refused", [1, 30])
async def test_what_the_gate_refuses_takes_nothing_of_the_rates(
    tmp_path: Path, refused: int
) -> None:
    """Texts to somebody who has opted out keep nobody else waiting."""
    sends = f"{{send: {{to: '{PEOPLE[1]}', body: News}}}}, " * refused
    rules = f"rules:\n- {{name: n, on: message.received, do: [{sends} {{reply: R}}]}}\n"
    async with node(tmp_path, rules=rules, gateway_rate=2.0, sender_rate=0.1) as it:
        await it.happen(text("STOP", PEOPLE[1]))
        it.time += 3600.0
        async with asyncio.timeout(5):
            await it.happen(text("hi"))
        to = "select state, count(*) from actions where conversation = ? group by state"
        found = it.reader.execute(to, (f"{OURS}/{ANN}",)).fetchall()
        assert [tuple(row) for row in found] == [("accepted", 1)]


async def test_what_waits_an_hour_for_a_rate_is_not_tried_all_the_time(tmp_path: Path) -> None:
    """It is not taken for one that was put off before the clock was set back."""
    rules = f"rules:\n- {{name: r, on: message.received, do: [{{reply: {'S' * 1500}}}]}}\n"
    async with node(tmp_path, rules=rules, sender_rate=10 / 3600) as it:
        await it.happen(text("a"))
        await it.record(text("b", PEOPLE[1]))
        while await it.engine._match():
            pass
        await it.engine.queue.idle()
        await it.engine.sender.idle()
        states = it.reader.execute("select state from actions order by id").fetchall()
        assert [row[0] for row in states] == ["accepted", "planned"]
        await it.engine.sender.refill()
        assert it.engine.sender.busy == 0


async def test_a_run_behind_a_busy_conversation_is_not_looked_for_all_the_time(
    tmp_path: Path,
) -> None:
    rules = "rules:\n- {name: w, on: message.received, do: [{wait: 1m}, {reply: R}]}\n"
    async with node(tmp_path, rules=rules) as it:
        await it.happen(text("a"))
        go, place = asyncio.Event(), f"{OURS}/{ANN}"

        async def work() -> None:
            await go.wait()

        it.engine.queue.put(place, work, ["w"])
        it.time += 61.0
        asked = 0
        due = it.journal.runs.due

        async def counted(now: str, limit: int) -> list[StoredRun]:
            nonlocal asked
            asked += 1
            return await due(now, limit)

        it.journal.runs.due = counted  # type: ignore[method-assign]
        loop = asyncio.ensure_future(it.engine._due_loop())
        await asyncio.sleep(0.4)
        often = asked
        go.set()
        await it.engine.queue.idle()
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        assert often <= 3
        assert it.reader.execute("select state from runs").fetchone()[0] == "done"


@pytest.mark.parametrize("limits", [Limits(connect=0.2, total=5), Limits(connect=5, total=0.2)])
@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_a_time_out_before_a_byte_has_left_is_no_doubt(scheme: str, limits: Limits) -> None:
    """The other side takes the connection and no more: with TLS nothing was sent."""
    done = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.transport.abort()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    base = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    request = Request("POST", f"/Accounts/{ACCOUNT}/Messages.json", (("To", "+1"),), "messages")
    access = Credentials.direct(ACCOUNT, "t" * 32, base_url=base)
    async with Gateway(access, limits=replace(limits, read=0.3)) as gateway:
        with pytest.raises(GatewayError) as caught:
            await gateway.perform(request)
    done.set()
    server.close()
    assert caught.value.wrote is (scheme == "http")
    verdict = classify.bad(
        "send_message", "checked", caught.value, tries=1, now=NOON, settle_seconds=60,
        rng=Random(1),
    )  # fmt: skip
    assert verdict.result == ("unknown" if scheme == "http" else "not_sent")
