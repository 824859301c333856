"""Forkservers that are killed, and temporary files of hosts: real processes throughout."""

import asyncio
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from ringback.errors import PluginBlocked
from ringback.worker.hosts.pool import Pool
from ringback.worker.hosts.server_link import ServerLink, start_server
from unit.test_hosts import GOOD, pool_of, said, tried

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds are Linux's")


def spare_of(pool: Pool) -> int:
    """The number of the process that is to take the place of this pool's forkserver."""
    assert pool._current is not None
    spare = pool._current.server._spare
    assert spare is not None
    return spare.process.pid


def lives(pid: int) -> bool:
    """Whether a process runs; nobody may have waited for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def killed(pool: Pool) -> None:
    """Kill the process of all plugins, and see the pool notice."""
    generation = pool._current
    assert generation is not None
    os.kill(generation.server.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while pool._current is generation:
            await asyncio.sleep(0.001)


@pytest.mark.slow
async def test_a_spare_takes_the_place_of_a_forkserver_that_is_killed(tmp_path: Path) -> None:
    """No program is started for it, which would import the engine first; each brings the next."""
    async with pool_of(tmp_path, good=GOOD) as (pool, _):
        for _ in range(2):
            assert pool._current is not None
            spare = spare_of(pool)
            await killed(pool)
            assert await said(pool, "good.good", 5.0) == "pong"
            assert pool._current.server.pid == spare
        assert pool.status()["lost"]["forkserver"] == 2
        last = spare_of(pool)
    assert not any(lives(pid) for pid in (spare, last))


@pytest.mark.slow
@pytest.mark.parametrize("turns", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_forkserver_has_ended_when_the_loop_has(tmp_path: Path, turns: int) -> None:
    """Nobody waits for the end of one that a reload has replaced. A loop that ended meanwhile left
    it in the list of processes, without anyone to ask for it."""

    async def short() -> int:
        async with pool_of(tmp_path, good=GOOD) as (pool, _):
            assert pool._current is not None
            link = await start_server(pool.command)
        link[0].close()
        for _ in range(turns):
            await asyncio.sleep(0)
        return link[0].pid

    pid = asyncio.run(short())
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
async def test_a_spare_that_is_killed_is_no_loss(tmp_path: Path) -> None:
    async with pool_of(tmp_path, good=GOOD) as (pool, _):
        os.kill(spare_of(pool), signal.SIGKILL)
        assert await said(pool, "good.good", 5.0) == "pong"
        await killed(pool)
        assert await said(pool, "good.good", 20.0) == "pong"


@pytest.mark.slow
async def test_a_spare_that_hangs_in_an_import_ends_with_the_worker(tmp_path: Path) -> None:
    """Its parent is not the worker, and the code that it runs never comes back."""
    hangs = (
        "from pathlib import Path\nif Path(__file__).with_name('now').exists():\n    while 1: 1\n"
    )
    async with pool_of(tmp_path, good=GOOD, hangs=hangs) as (pool, _):
        assert pool._current is not None
        server = pool._current.server
        spare = server.take_spare()
        assert spare is not None
        (tmp_path / "plugins" / "now").touch()
        link = ServerLink(server.command, spare)
        loading = asyncio.ensure_future(link.manifest({}))
        async with asyncio.timeout(10):
            while link.at != "hangs":
                await asyncio.sleep(0.001)
        loading.cancel()
        link._control.sock.shutdown(socket.SHUT_RDWR)  # as when the worker is killed
        ended = select.poll()
        ended.register(os.pidfd_open(spare.process.pid), select.POLLIN)
        assert await asyncio.to_thread(ended.poll, 5000)
        await link.close()


FILES = """
import os, tempfile
from ringback import reply, rule

@rule("message.received")
def where(event):
    return reply(event, tempfile.gettempdir())

@rule("message.received")
def one(event):
    with tempfile.TemporaryFile() as file:
        for _ in range(600):
            file.write(b"0" * (1 << 20))
    return reply(event, "written")

@rule("message.received")
def many(event):
    folder = tempfile.mkdtemp()
    for number in range(10 ** 9):
        with open(os.path.join(folder, str(number)), "wb") as file:
            file.write(b"0" * 65536)
"""


async def test_a_host_has_temporary_files_of_its_own(tmp_path: Path) -> None:
    """In the temporary folder of the node; gone with the node."""
    async with pool_of(tmp_path, files=FILES) as (pool, _):
        before = Path(await said(pool, "files.where", 5.0)).parent
        await killed(pool)
        folder = Path(await said(pool, "files.where", 5.0))
        assert not before.exists(), "nobody else is to delete it"
        assert folder.parent.parent == Path(tempfile.gettempdir())
        assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o700,) * 2
    assert not folder.parent.exists()


@pytest.mark.slow
async def test_plugins_run_where_no_temporary_folder_can_be_made(tmp_path: Path) -> None:
    """As on a full disk: the forkserver goes on."""
    async with pool_of(tmp_path, files=FILES, good=GOOD) as (pool, _):
        root = Path(await said(pool, "files.where", 5.0)).parent
        shutil.rmtree(root)
        root.touch()  # no folder can be made below it
        assert pool._current is not None
        server = pool._current.server.pid
        for link in [*pool._current._links.values()]:
            link.kill()
        assert await said(pool, "good.good", 5.0) == "pong"
        assert pool._current.server.pid == server
        root.unlink()


@pytest.mark.slow
async def test_no_file_of_a_host_gets_larger_than_its_memory_may(tmp_path: Path) -> None:
    async with pool_of(tmp_path, files=FILES, good=GOOD) as (pool, _):
        assert "File too large" in str(await tried(pool, "files.one", 20.0))
        assert await said(pool, "good.good", 5.0) == "pong"


@pytest.mark.slow
async def test_a_host_that_fills_the_temporary_folder_is_ended_and_what_it_wrote_goes(
    tmp_path: Path,
) -> None:
    """Once it is made again, as after each SIGKILL; then it is blamed. Others are answered."""
    async with pool_of(tmp_path, files=FILES, good=GOOD) as (pool, _):
        folder = Path(await said(pool, "files.where", 5.0)).parent
        culprit = asyncio.ensure_future(tried(pool, "files.many", 60.0))
        while not culprit.done():
            assert await said(pool, "good.good", 5.0) == "pong"
            await asyncio.sleep(0.05)
        assert isinstance(await culprit, PluginBlocked)
        async with asyncio.timeout(10):
            while sum(1 for _ in folder.rglob("*")) > 10:
                await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_the_pool_counts_calls_and_the_processes_that_ended(tmp_path: Path) -> None:
    """By what became of a call. A host that ends with its call counts, the forkserver lives on."""
    bad = GOOD.replace('return reply(event, "pong")', "1 / 0").replace(
        'return reply(event, "later")', "import os; os._exit(3)"
    )
    async with pool_of(tmp_path, good=GOOD, bad=bad) as (pool, _):
        assert await said(pool, "good.good", 5.0) == "pong"
        await tried(pool, "bad.good", 5.0)
        found = pool.status()
        assert found["calls"] == {"done": 1, "failed": 1, "blocked": 0}
        assert found["lost"] == {"host": 0, "forkserver": 0}
        assert found["running"]["sync"] >= 1
        assert isinstance(await tried(pool, "bad.later", 5.0), PluginBlocked)
        found = pool.status()
        assert found["calls"]["blocked"] == 1
        assert found["lost"]["host"] >= 1
