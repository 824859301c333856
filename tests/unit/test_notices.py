"""Notices: which of them are one, and that each of the others goes out under a name of its own."""

import asyncio
import contextlib
import logging
from dataclasses import replace

import pytest

from ringback.actions import Notify
from ringback.errors import GatewayError
from ringback.gateway.channels import Channels
from ringback.gateway.safe_http import Outbound
from ringback.runtime import Runtime
from ringback.worker.send.notices import Notices

NOTICE = Notify(text="texts fail", key="delivery", severity="warning")


class Wall:
    """A clock that the test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 1_770_667_200.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("first", "minutes", "second", "told"),
    [
        ({}, 1, {}, False),
        ({}, 16, {}, True),
        ({}, 1, {"severity": "critical"}, True),
        ({}, 1, {"severity": "info"}, False),
        ({"severity": "critical"}, 1, {"severity": "error"}, False),
        ({}, 1, {"key": "other"}, True),
        ({"key": ""}, 1, {"key": ""}, True),
        ({}, 1, {"resolved": True}, True),
        ({"resolved": True}, 1, {}, True),
    ],
    ids=[
        "the same", "later", "worse", "less bad", "less bad than critical", "another matter",
        "no key", "its end", "anew after the end",
    ],
)  # fmt: skip
async def test_a_notice_joins_one_that_was_no_less_bad(
    first: dict[str, str | bool],
    minutes: int,
    second: dict[str, str | bool],
    told: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wall = Wall()
    async with Outbound() as outbound:
        notices = Notices(outbound, Channels({}, outbound), Runtime(time=wall))
        with caplog.at_level(logging.INFO, "ringback.notice"):
            assert await notices.give(replace(NOTICE, **first), "evt_1", "act_1") == "sent"  # type: ignore[arg-type]
            wall.now += 60 * minutes
            said = await notices.give(replace(NOTICE, **second), "evt_2", "act_2")  # type: ignore[arg-type]
    assert (said == "sent") == told, said
    assert len(caplog.records) == 1 + told


async def test_a_matter_that_got_worse_is_told_once_for_each_step() -> None:
    async with Outbound() as outbound:
        notices = Notices(outbound, Channels({}, outbound), Runtime(time=Wall()))
        steps = ("warning", "critical", "critical", "warning", "error")
        said = [
            str(await notices.give(replace(NOTICE, severity=each), "evt_1", f"act_{number}"))[:6]
            for number, each in enumerate(steps)
        ]
    assert said == ["sent", "sent", "joined", "joined", "joined"]


async def test_two_notices_have_two_ids_and_a_second_try_has_the_first_s() -> None:
    """Whoever keeps to Standard Webhooks drops what comes twice under one id."""
    ids: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
        await reader.readexactly(int(fields["content-length"]))
        ids.append(fields["webhook-id"])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "localhost", 0)
    port = server.sockets[0].getsockname()[1]
    notice = Notify(text="x", via="webhook", url=f"http://localhost:{port}/", key="k")
    async with Outbound(allow=(f"localhost:{port}",)) as outbound:
        channels = Channels({}, outbound)
        for key, uid in (("k", "act_1"), ("k", "act_2"), ("", "act_3"), ("", "act_3")):
            await channels.give(replace(notice, key=key), "evt_1", uid)
    server.close()
    await server.wait_closed()
    assert ids == ["act_1", "act_2", "act_3", "act_3"]


@pytest.mark.parametrize(
    ("answer", "second_try"),
    [("550 nobody of this name", None), ("450 later, please", "sent")],
    ids=["refused for good", "refused for now"],
)
async def test_who_has_a_notice_is_not_told_again_because_another_was_refused(
    answer: str, second_try: str | None
) -> None:
    """A storm of failures and one dead address would be a storm of mails to all the others."""
    told: list[str] = []
    refusals = [answer]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail\r\n")
        while line := (await reader.readline()).decode().strip().lower():
            says = "250 ok"
            if line == "data":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            elif line.startswith("rcpt") and "dead@" in line and refusals:
                says = refusals[0] if second_try is None else refusals.pop()
            elif line.startswith("rcpt"):
                told.append(line.partition("<")[2].rstrip(">"))
            writer.write(f"{'221 bye' if line == 'quit' else says}\r\n".encode())
            if line == "quit":
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    smtp = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    to = ["ann@example.org", "dead@example.org"]
    table = {"kind": "email", "smtp": smtp, "from": "ringback@example.org", "to": to}
    notice = replace(NOTICE, via="office")
    async with Outbound() as outbound:
        notices = Notices(outbound, Channels({"office": table}, outbound), Runtime(time=Wall()))
        with pytest.raises(GatewayError, match="1 others have it"):
            await notices.give(notice, "evt_1", "act_1")
        assert str(await notices.give(notice, "evt_2", "act_2"))[:6] == "joined"
        if second_try is not None:
            assert await notices.give(notice, "evt_1", "act_1") == second_try
            assert str(await notices.give(notice, "evt_3", "act_3"))[:6] == "joined"
        critical = replace(notice, severity="critical")
        with contextlib.suppress(GatewayError):
            await notices.give(critical, "evt_4", "act_4")
    server.close()
    await server.wait_closed()
    assert told.count("ann@example.org") == 2, "the first, and the one that is worse"
    assert told.count("dead@example.org") == (0 if second_try is None else 2)
