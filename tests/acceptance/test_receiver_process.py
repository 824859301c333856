"""The receiver as a process: killed, stopped, started twice. Every 2xx is in the log."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import pytest

from ringback.twilio.signature import sign

ACCOUNT = "AC" + "0123456789abcdef" * 2
TOKEN = "3f9c1a7be2d4586079c1d2e3f4a5b6c7"
BASE = "https://hooks.example.org"
PATH = "/twilio/message/status"


class Process:
    """`ringback serve --no-worker` on a folder, on a free port."""

    def __init__(self, folder: Path, *extra: str) -> None:
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RINGBACK_", "TWILIO_", "MATON_"))
        }
        environ |= {
            "RINGBACK_PUBLIC_URL": BASE,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
        }
        command = [sys.executable, "-m", "ringback.cli.main", "serve", str(folder)]
        self.popen = subprocess.Popen(
            [*command, "--no-worker", "--port", "0", *extra],
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> int:
        """Wait for the readiness line; the port."""
        assert self.popen.stderr is not None
        said = []
        for line in self.popen.stderr:
            if "serving on http://" in line:
                return int(line.partition("http://")[2].split()[0].rpartition(":")[2])
            said.append(line)
        raise AssertionError(f"ended with {self.popen.wait()}: {''.join(said)}")

    def end(self) -> tuple[int, str]:
        """The exit code and what was said."""
        assert self.popen.stderr is not None
        said = self.popen.stderr.read()
        code = self.popen.wait(60)
        self.popen.stderr.close()
        return code, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def request_of(number: int) -> tuple[str, bytes]:
    sid = f"SM{number:032x}"
    fields = [
        ("AccountSid", ACCOUNT), ("MessageSid", sid), ("MessageStatus", "sent"),
        ("From", "+15550001111"), ("To", "+15557654321"),
    ]  # fmt: skip
    body = urlencode(fields)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"X-Twilio-Signature: {sign(TOKEN, BASE + PATH, fields)}\r\n\r\n{body}"
    )
    return sid, head.encode()


async def pour(port: int, numbers: Iterator[int], acked: set[str], asked: set[str]) -> None:
    """Send webhooks one after the other until the connection breaks."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            sid, data = request_of(number)
            asked.add(sid)
            writer.write(data)
            if b" 204 " not in (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]:
                return
            acked.add(sid)
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        if writer is not None:
            writer.close()


def stored(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "data" / "log.db")) as connection:
        assert connection.execute("pragma integrity_check").fetchone()[0] == "ok"
        rows = connection.execute("select body from log order by id").fetchall()
    return [body.decode().partition("MessageSid=")[2].partition("&")[0] for (body,) in rows]


@pytest.mark.slow
async def test_every_2xx_survives_kill_nine(folder: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    acked: set[str] = set()
    asked: set[str] = set()
    numbers = iter(range(1, 1 << 40))
    for _ in range(3):
        process = Process(folder)
        port = await asyncio.to_thread(process.ready)
        pouring = [asyncio.create_task(pour(port, numbers, acked, asked)) for _ in range(16)]
        await asyncio.sleep(rng.uniform(0.1, 0.5))
        process.popen.kill()
        await asyncio.gather(*pouring)
        process.end()
    found = stored(folder)
    assert len(acked) > 100
    assert acked <= set(found), "acknowledged but lost"
    assert set(found) <= asked, "never asked"
    assert len(found) == len(set(found))


async def test_sigterm_finishes_what_is_in_hand_and_ends_with_zero(folder: Path) -> None:
    process = Process(folder)
    port = await asyncio.to_thread(process.ready)
    acked: set[str] = set()
    asked: set[str] = set()
    numbers = iter(range(1, 1 << 40))
    pouring = [asyncio.create_task(pour(port, numbers, acked, asked)) for _ in range(8)]
    await asyncio.sleep(0.3)
    process.popen.send_signal(signal.SIGTERM)
    await asyncio.gather(*pouring)
    code, said = await asyncio.to_thread(process.end)
    assert code == 0, said
    assert len(acked) > 10
    assert acked <= set(stored(folder))
    assert not (folder / "data" / "log.db-wal").exists()


@pytest.mark.slow
async def test_a_second_sigterm_ends_at_once(folder: Path) -> None:
    process = Process(folder)
    port = await asyncio.to_thread(process.ready)
    lock = sqlite3.connect(folder / "data" / "log.db", isolation_level=None)
    lock.execute("begin immediate")
    stuck = asyncio.create_task(pour(port, iter([1]), set(), set()))
    await asyncio.sleep(0.2)
    process.popen.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.2)
    process.popen.send_signal(signal.SIGTERM)
    started = time.monotonic()
    code, _ = await asyncio.to_thread(process.end)
    assert code == 128 + signal.SIGTERM
    assert time.monotonic() - started < 15, "a first SIGTERM waits longer for what is in hand"
    await stuck
    lock.close()


@pytest.mark.slow
def test_a_second_node_ends_with_75_and_names_the_first(folder: Path) -> None:
    first = Process(folder)
    first.ready()
    second = Process(folder)
    code, said = second.end()
    assert code == 75
    assert f"pid {first.popen.pid}" in said
    assert "Traceback" not in said
    first.popen.terminate()
    assert first.end()[0] == 0


def test_a_log_that_is_no_database_ends_with_65_untouched(folder: Path) -> None:
    (folder / "data").mkdir()
    log = folder / "data" / "log.db"
    log.write_text("Dear log,\n" * 1000)
    before = log.read_bytes()
    code, said = Process(folder).end()
    assert code == 65
    assert "log.db" in said
    assert "Traceback" not in said
    assert log.read_bytes() == before


@pytest.mark.slow
def test_a_data_folder_that_cannot_be_ends_with_74(folder: Path) -> None:
    (folder / "data").write_text("I am a file")
    code, said = Process(folder).end()
    assert code == 74
    assert "Traceback" not in said
