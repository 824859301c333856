"""Failing disk of the receiver: never a 2xx, a defined answer, recovery where there can be one."""

import asyncio
import os
import resource
import shutil
import sqlite3
import time
from dataclasses import replace
from typing import Any

import pytest

from ringback.errors import DataError, HeldError
from ringback.receiver.server import running

MESSAGE = {"MessageSid": "SM" + "a" * 32, "From": "+15557654321", "To": "+15550001111"}
CALL = {"CallSid": "CA" + "b" * 32, "CallStatus": "ringing", "From": "+1", "To": "+2"}


@pytest.fixture(params=["protocol", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    """Both ways in which a request comes to the receiver."""
    return str(request.param)


async def test_a_full_disk_is_503_then_works_again(receiver: Any) -> None:
    await receiver.post("/twilio/message", MESSAGE)
    connection = receiver.node.log.writer.target._connection
    pages = connection.execute("pragma page_count").fetchone()[0]
    connection.execute(f"pragma max_page_count={pages}")
    body = {"MessageSid": "SM" + "c" * 32, "Body": "x" * 20_000, "From": "1", "To": "2"}
    started = time.monotonic()
    reply = await receiver.post("/twilio/message", body)
    assert (reply.status, reply.headers["retry-after"]) == (503, "15")
    assert time.monotonic() - started < 4, "at once, not after a time-out"
    call = await receiver.post("/twilio/call", {**CALL, "Custom": "y" * 20_000})
    assert call.status == 200
    assert b"<Response>" in call.body
    assert receiver.count("twiml_unrecorded") == 1
    connection.execute("pragma max_page_count=1000000")
    assert (await receiver.post("/twilio/message", body)).status == 200
    assert [row.route for row in receiver.rows()] == ["message", "message"]


async def test_after_an_io_error_nothing_is_accepted_and_the_node_ends(
    receiver: Any, transport: str
) -> None:
    assert (await receiver.post("/twilio/message", MESSAGE)).status == 200
    body = {"MessageSid": "SM" + "c" * 32, "Body": "x" * 60_000, "From": "1", "To": "2"}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (24 * 1024, hard))
    try:
        assert (await receiver.post("/twilio/message", body)).status == 503
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (await receiver.post("/twilio/message", body)).status == 503, "fits now, but: fail-stop"
    assert (await receiver.post("/twilio/call", CALL)).status == 200
    assert (await receiver.send("/readyz", method="GET")).status == 503
    if transport == "protocol":  # an application cannot end the process that it is served by
        async with asyncio.timeout(5):
            assert await receiver.ended == 74


@pytest.mark.slow
async def test_a_foreign_lock_is_503_after_its_time_and_then_over(receiver: Any) -> None:
    other = sqlite3.connect(receiver.settings.data / "log.db", isolation_level=None)
    other.execute("begin immediate")
    reply = await receiver.post("/twilio/message", MESSAGE)
    assert reply.status == 503
    other.execute("rollback")
    other.close()
    assert (await receiver.post("/twilio/message", MESSAGE)).status == 200
    assert len(receiver.rows()) == 1


async def test_a_second_node_on_the_folder_is_refused(receiver: Any) -> None:
    with pytest.raises(HeldError, match="receiver with pid"):
        async with running(replace(receiver.settings, port=0)):
            pass
    assert (await receiver.post("/twilio/message", MESSAGE)).status == 200


@pytest.mark.parametrize("transport", ["protocol"])  # the application has no port
async def test_a_taken_port_is_said_and_the_folder_given_back(receiver: Any, tmp_path: Any) -> None:
    other = replace(receiver.settings, data=tmp_path / "other", port=receiver.port)
    with pytest.raises(HeldError, match=f"{receiver.port} is already in use"):
        async with running(other):
            pass
    async with running(replace(other, port=0)) as (serving, _):
        assert serving.url


@pytest.mark.parametrize("link", [os.link, os.symlink])
@pytest.mark.parametrize("name", ["log.db", "journal.db"])
async def test_a_database_with_a_second_name_is_refused(
    receiver_settings: Any, tmp_path: Any, name: str, link: Any
) -> None:
    """Another folder has another lock: through a link two nodes would write one file."""
    first = receiver_settings.data
    async with running(receiver_settings):
        pass
    (first / name).touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link(first / name, elsewhere / name)
    with pytest.raises(DataError, match=f"elsewhere/{name}: (is a link|has 2 names)") as caught:
        async with running(replace(receiver_settings, data=elsewhere)):
            pass
    assert caught.value.exit_code == 65
    (elsewhere / name).unlink()
    shutil.copy(first / name, elsewhere / name)
    async with running(receiver_settings), running(replace(receiver_settings, data=elsewhere)):
        pass
