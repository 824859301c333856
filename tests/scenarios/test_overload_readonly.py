"""A file system that turns read-only under a running receiver, as one does that has found an error:
never a 2xx for what is not on disk, then an end that says so."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from ringback.errors import StorageError
from ringback.receiver.server import running
from ringback.twilio.signature import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
BASE = "https://hooks.example.org"
MESSAGE = {"MessageSid": "SM" + "a" * 32, "From": "+15557654321", "To": "+15550001111"}
CALL = {"CallSid": "CA" + "b" * 32, "CallStatus": "ringing", "From": "+1", "To": "+2"}


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own; tests that need it are left out where none can be made."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    image.write_bytes(bytes(8 * 1024 * 1024))
    try:
        _run("mkfs.ext4", "-q", image)
        _run("mount", "-o", "loop", image, place)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk can only be made by root")
    yield place
    _run("umount", "-l", place)


def fail(place: Path) -> None:
    """What the kernel does to a disk on which it finds an error: no write succeeds from now on,
    open files or not."""
    _run("mount", "-o", "remount,abort", place)


async def test_a_receiver_whose_disk_turns_read_only_refuses_and_ends(
    disk: Path, start_receiver: Callable[[Any], Any], receiver_settings: Any
) -> None:
    settings = replace(receiver_settings, data=disk / "data")
    receiver = await start_receiver(settings)
    assert (await receiver.post("/twilio/message", MESSAGE)).status == 200
    fail(disk)
    later = {**MESSAGE, "MessageSid": "SM" + "c" * 32}
    refused = await receiver.post("/twilio/message", later)
    assert (refused.status, refused.headers["retry-after"]) == (503, "15")
    call = await receiver.post("/twilio/call", CALL)
    assert call.status == 200
    assert b"<Response>" in call.body
    assert (await receiver.send("/readyz", method="GET")).status == 503
    async with asyncio.timeout(5):
        assert await receiver.ended == 74
    assert [b"a" * 32 in row.body for row in receiver.rows()] == [True], "what was acknowledged"


async def test_on_a_read_only_disk_no_receiver_starts(disk: Path, receiver_settings: Any) -> None:
    settings = replace(receiver_settings, data=disk / "data")
    async with running(settings):
        pass
    fail(disk)
    with pytest.raises(StorageError, match=str(disk)) as caught:
        async with running(settings):
            pass
    assert caught.value.exit_code == 74


@pytest.mark.slow
def test_the_whole_node_ends_with_74(disk: Path, tmp_path: Path) -> None:
    """Receiver and worker as processes: when the disk has failed, a webhook gets a 503, the node
    says why and ends, and the next one ends at once."""
    (tmp_path / "rules").mkdir()
    command = [sys.executable, "-m", "ringback.cli.main", "serve", str(tmp_path)]
    environ = {
        **{name: value for name, value in os.environ.items() if "RINGBACK" not in name},
        "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "RINGBACK_PORT": "0",
        "RINGBACK_PUBLIC_URL": BASE, "RINGBACK_DATA": str(disk / "data"),
        "RINGBACK_GATEWAY_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    node = subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)
    assert node.stderr is not None
    try:
        line = next(line for line in node.stderr if "serving on" in line)
        url = line.split("serving on ")[1].split(" ")[0]
        assert post(url, "a").status_code == 200
        fail(disk)
        assert post(url, "c").status_code == 503
        said = node.stderr.read()
        assert node.wait(30) == 74
        assert "the log is broken" in said
        assert "Traceback" not in said
    finally:
        node.kill()
        node.wait()
        node.stderr.close()
    again = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)
    assert again.returncode == 74, again.stderr
    assert str(disk) in again.stderr
    assert "Traceback" not in again.stderr


def post(url: str, letter: str) -> httpx.Response:
    """A signed webhook about a message."""
    fields = {"AccountSid": ACCOUNT, **MESSAGE, "MessageSid": "SM" + letter * 32}
    signature = sign(TOKEN, f"{BASE}/twilio/message", list(fields.items()))
    return httpx.post(
        f"{url}/twilio/message", data=fields, headers={"X-Twilio-Signature": signature}
    )
