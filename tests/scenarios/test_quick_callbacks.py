"""Status callbacks that are quicker than the API's own answer: what they say is kept.

A real worker on real files and a stepped clock; Twilio answers when it has called back.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from admission.compare import load
from admission.node import Node, Twilio, settings_of
from admission.stories import OURS, PEOPLE, Happens, Story, text
from ringback.errors import BadRequest, GatewayError
from ringback.gateway.transport import Reply
from ringback.store.evidence import Shown
from ringback.twilio.rest import Request

RULES = """rules:
- {name: ask, on: message.received, do: [%s]}
- {name: told, on: action.failed, do: [notify: "${{ event.type }} ${{
   string(event.error_code) }} ${{ event.error_class }}"]}
"""
REPLY, CALL = "reply: Hello", "call: {to: '${{ event.from }}', say: Hello}"


class Overtaken(Twilio):
    """Calls back before it answers, with the tag or without it."""

    def __init__(self, status: str, code: int, *, tagged: bool, answer: str) -> None:
        super().__init__()
        self.status, self.code, self.tagged, self.answer = status, code, tagged, answer
        self.node: Node | None = None

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        leaving()
        reply = await super().perform(request)
        sid, call = str(reply.data["sid"]), request.resource == "calls"
        callback = dict(request.form)["StatusCallback"]
        found = re.search(r"status/([a-z0-9-]+)", callback)
        assert self.node is not None
        assert found is not None
        fields = {"From": OURS, "To": PEOPLE[0], "ErrorCode": str(self.code or "")}
        fields |= {"CallSid": sid, "CallStatus": self.status} if call else {}
        fields |= {} if call else {"MessageSid": sid, "MessageStatus": self.status}
        route = "call/status" if call else "message/status"
        await self.node.record(Happens(route, fields), found[1] if self.tagged else "")
        while await self.node.engine._match():
            pass
        await self.node.engine.hooks.shutdown()
        if self.answer == "lost":
            raise GatewayError("the answer was lost", wrote=True)
        if self.answer == "refused":
            raise BadRequest("no", code=30003, http_status=400, origin="twilio")
        return Reply(201, {"sid": sid, "status": self.answer})


@pytest.mark.parametrize(
    ("tagged", "answer"),
    [(True, "queued"), (False, "queued"), (True, "failed"), (True, "lost"), (True, "refused")],
)
@pytest.mark.parametrize(
    ("step", "status", "code", "error_class"),
    [
        (REPLY, "failed", 30003, "recipient_unreachable"),
        (REPLY, "undelivered", 30007, "carrier_filtered"),
        (REPLY, "failed", 0, ""),
        (CALL, "failed", 13224, "invalid_number"),
        (CALL, "busy", 0, ""),
    ],
)
async def test_a_rule_is_told_the_code_of_the_callback(
    tmp_path: Path, step: str, status: str, code: int, error_class: str, answer: str, tagged: bool
) -> None:
    twilio = Overtaken(status, code, tagged=tagged, answer=answer)
    settings = settings_of(tmp_path, {"public_url": "https://hooks.example.org"})
    node = Node(settings, load(Story(RULES % step, ()), tmp_path), twilio)
    twilio.node = node
    await node.start({})
    await node.happen(text("hi"))
    await node.wait(600.0)
    (told,) = node.reader.execute(
        "select json_extract(params, '$.text') from actions where rule = 'told'"
    ).fetchall()
    await node.close()
    assert told[0] == f"action.failed {code} {error_class}"


class Lost(Twilio):
    """Takes every request and lets the answer get lost; remembers the tag."""

    tag = ""

    async def perform(
        self, request: Request, *, leaving: Callable[[], None] = lambda: None
    ) -> Reply:
        leaving()
        found = re.search(r"status/([a-z0-9-]+)", dict(request.form)["StatusCallback"])
        assert found is not None
        self.tag = found[1]
        raise GatewayError("the answer was lost", wrote=True)


@pytest.mark.parametrize("strangers", [0, 20])
async def test_a_callback_without_a_tag_counts_behind_one_with_it_in_the_same_batch(
    tmp_path: Path, strangers: int
) -> None:
    """The first claims the SID for its action, whatever else Twilio reports at the time."""
    twilio = Lost()
    settings = settings_of(tmp_path, {"public_url": "https://hooks.example.org"})
    node = Node(settings, load(Story(RULES % REPLY, ()), tmp_path), twilio)
    await node.start({})
    await node.happen(text("hi"))

    async def report(sid: int, status: str, tag: str = "") -> None:
        fields = {"MessageSid": f"SM{sid:032x}", "MessageStatus": status}
        fields |= {"From": OURS, "To": PEOPLE[0]}
        await node.record(Happens("message/status", fields), tag)

    for number in range(strangers):
        await report(100 + number, "delivered")
    await report(1, "sent", twilio.tag)
    await report(1, "delivered")
    while await node.engine._match():
        pass
    (found,) = node.reader.execute(
        "select remote_sid, outcome, state from actions where rule = 'ask'"
    ).fetchall()
    await node.close()
    assert tuple(found) == (f"SM{1:032x}", "delivered", "settled")


DELIVERED, FAILED = ("delivered", 0, ""), ("undelivered", 30005, "")


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([DELIVERED, ("sent", 0, "tag")], ("delivered", 0, "settled")),
        ([("sent", 0, ""), DELIVERED, ("sent", 0, "tag")], ("delivered", 0, "settled")),
        ([FAILED, ("sent", 0, "tag")], ("undelivered", 30005, "failed")),
        ([FAILED, ("queued", 0, "tag"), DELIVERED], ("delivered", 0, "settled")),
        ([("read", 0, ""), ("delivered", 0, "tag")], ("read", 0, "settled")),
    ],
)
async def test_what_came_without_a_tag_before_the_one_with_it_counts(
    tmp_path: Path, reports: list[tuple[str, int, str]], outcome: tuple[str, int, str],
    batches: bool,
) -> None:  # fmt: skip
    """The order of arrival changes no outcome, also when only the last report says whose it is."""
    twilio = Lost()
    settings = settings_of(tmp_path, {"public_url": "https://hooks.example.org"})
    node = Node(settings, load(Story(RULES % REPLY, ()), tmp_path), twilio)
    await node.start({})
    await node.happen(text("hi"))
    for status, code, tag in reports:
        fields = {"MessageSid": f"SM{1:032x}", "MessageStatus": status, "ErrorCode": str(code)}
        fields |= {"From": OURS, "To": PEOPLE[0]}
        await node.record(Happens("message/status", fields), tag and twilio.tag)
        while batches and await node.engine._match():
            pass
    while await node.engine._match():
        pass
    (found,) = node.reader.execute(
        "select outcome, error_code, state from actions where rule = 'ask'"
    ).fetchall()
    await node.close()
    assert tuple(found) == outcome


async def test_what_is_only_claimed_does_not_count_when_the_answer_comes(tmp_path: Path) -> None:
    """A failure that nobody has proven came before Twilio's answer."""
    settings = settings_of(tmp_path, {"public_url": "https://hooks.example.org"})
    node = Node(settings, load(Story(RULES % REPLY, ()), tmp_path))
    await node.start({})
    fields = {"MessageSid": f"SM{1:032x}", "MessageStatus": "failed", "ErrorCode": "30003"}
    fields |= {"From": OURS, "To": PEOPLE[0]}
    await node.record(Happens("message/status", fields, "claimed"))
    await node.happen(text("hi"))
    rows = node.reader.execute("select remote_sid, outcome, state from actions").fetchall()
    await node.close()
    assert [tuple(row) for row in rows] == [(f"SM{1:032x}", "queued", "accepted")]


async def test_a_record_that_was_taken_for_ours_wrongly_leaves_nothing_of_its_own(
    tmp_path: Path,
) -> None:
    """The answer named one record, which was delivered; the tag shows that ours is another."""
    twilio = Lost()
    settings = settings_of(tmp_path, {"public_url": "https://hooks.example.org"})
    node = Node(settings, load(Story(RULES % REPLY, ()), tmp_path), twilio)
    await node.start({})
    await node.happen(text("hi"))
    uid = node.reader.execute("select uid from actions").fetchone()[0]
    action = await node.journal.actions.get(uid)
    assert action is not None
    await node.journal.evidence.claim(action, Shown("SM" + "e" * 32, "delivered", 0), "", "2026")
    fields = {"MessageSid": f"SM{1:032x}", "MessageStatus": "undelivered", "ErrorCode": "30005"}
    await node.record(
        Happens("message/status", {**fields, "From": OURS, "To": PEOPLE[0]}), twilio.tag
    )
    while await node.engine._match():
        pass
    (found,) = node.reader.execute(
        "select remote_sid, outcome, error_code, state from actions where rule = 'ask'"
    ).fetchall()
    await node.close()
    assert tuple(found) == (f"SM{1:032x}", "undelivered", 30005, "failed")
