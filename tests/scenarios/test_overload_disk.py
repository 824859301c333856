"""A disk that is really full, on a small file system of its own, and floods of duplicates."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ACCOUNT = "AC" + "0123456789abcdef" * 2
CALL = {"CallSid": "CA" + "b" * 32, "CallStatus": "ringing", "From": "+1", "To": "+2"}


def message(number: int, size: int = 0) -> dict[str, str]:
    return {"MessageSid": f"SM{number:032x}", "From": "+1", "To": "+2", "Body": "x" * size}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes; tests that need it are left out where none can be made."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system can only be made by root")
    yield place
    subprocess.run(["umount", str(place)], check=True, capture_output=True)


async def test_full_then_room_again(
    small_disk: Path, start_receiver: Callable[[Any], Any], receiver_settings: Any
) -> None:
    receiver = await start_receiver(replace(receiver_settings, data=small_disk / "data"))
    accepted, refused, slowest = set[Any](), set[Any](), 0.0
    for number in range(400):
        started = time.monotonic()
        reply = await receiver.post("/twilio/message", message(number, 20_000))
        slowest = max(slowest, time.monotonic() - started)
        assert reply.status in (200, 503), "never a 500"
        (accepted if reply.status == 200 else refused).add(number)
        if len(refused) == 20:
            break
    assert len(refused) == 20
    assert slowest < 10.0
    assert (await receiver.send("/readyz", method="GET")).status == 503
    assert (await receiver.send("/healthz", method="GET")).status == 200
    call = await receiver.post("/twilio/call", {**CALL, "Custom": "y" * 20_000})
    assert call.status == 200
    assert b"<Response>" in call.body
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    for number in sorted(refused):
        assert (await receiver.post("/twilio/message", message(number, 20_000))).status == 200
    assert receiver.node.log.broken is None, "it recovered without a restart"
    stored = [row.body for row in receiver.rows()]
    for number in accepted | refused:
        assert sum(f"SM{number:032x}".encode() in body for body in stored) == 1


async def test_a_flood_of_duplicates_costs_no_rows(receiver: Any) -> None:
    async def post(number: int) -> int:
        return int((await receiver.post("/twilio/message", message(number))).status)

    for start in range(0, 100, 20):
        copies = [number for number in range(start, start + 20) for _ in range(10)]
        assert set(await asyncio.gather(*(post(number) for number in copies))) == {200}
    assert len(receiver.rows()) == 100, "also for those that came while the first was on its way"
    assert receiver.count("duplicates") == 900


async def test_twins_on_their_way_share_the_fate_of_the_first(receiver: Any) -> None:
    writer = receiver.node.log.writer
    connection = writer.target._connection
    pages = connection.execute("pragma page_count").fetchone()[0]
    connection.execute(f"pragma max_page_count={pages}")
    replies = await asyncio.gather(
        *(receiver.post("/twilio/message", message(1, 30_000)) for _ in range(10))
    )
    assert {reply.status for reply in replies} == {503}
    connection.execute("pragma max_page_count=1000000")
    assert (await receiver.post("/twilio/message", message(1, 30_000))).status == 200
    assert len(receiver.rows()) == 1
