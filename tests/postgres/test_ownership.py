"""Ownership of a partition on a real PostgreSQL: who has it, who gets it, who may still write."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from postgres.processes import until
from ringback.errors import HeldError, StorageError, TakenOver
from ringback.store.connection import Connection
from ringback.store.postgres.ownership import Ownership
from ringback.store.postgres.schema import create
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION
from ringback.store.postgres.server_writer import JournalTarget

Join = Callable[..., Ownership]


@pytest.fixture
def join(postgres_url: str) -> Iterator[Join]:
    """A maker of workers that have joined the cluster."""
    with contextlib.ExitStack() as kept:
        first = kept.enter_context(
            contextlib.closing(PostgresConnection(postgres_url, "test", PARTITION))
        )
        create(first, PARTITION)

        def make(node: str, lease: float = 60.0) -> Ownership:
            made = Ownership(postgres_url, PARTITION, node, f"boot_{time.monotonic_ns()}", lease)
            kept.callback(made.close)
            made.join()
            return made

        yield make


def write(target: JournalTarget, key: str) -> Exception | None:
    """Write a row, as the journal writes all of its."""

    def put(connection: Connection) -> None:
        connection.execute("insert into meta (key, value) values (?, 'written')", (key,))

    return target.transact(put)[1]


@contextlib.contextmanager
def journal_of(url: str, owner: Ownership, idle: float = 0.0) -> Iterator[JournalTarget]:
    """The journal as this owner writes it."""
    connection = PostgresConnection(url, "journal", PARTITION, idle=idle)
    with contextlib.closing(JournalTarget(connection, owner.epoch)) as target:
        yield target


def keys(url: str) -> list[str]:
    """What was written."""
    with contextlib.closing(PostgresConnection(url, "test", PARTITION)) as connection:
        return [
            row[0]
            for row in connection.execute(
                "select key from meta where value = 'written' order by key"
            )
        ]


def test_one_of_two_owns_and_the_other_follows(join: Join) -> None:
    """The next owner has the next epoch; who gave back is not held against the name."""
    a, b = join("a"), join("b")
    assert (a.take(), b.take()) == (True, False)
    assert (a.epoch, b.epoch, b.owner) == (1, 0, "a")
    a.renew()
    assert not b.take()
    a.release()
    assert b.take()
    assert b.epoch == 2
    assert not join("a").take()


def test_an_owner_whose_connection_ends_is_followed_before_its_lease_ends(join: Join) -> None:
    a, b = join("a"), join("b")
    assert a.take()
    a.close()
    until(b.take, "the partition is free", 20)


def test_a_silent_owner_is_followed_when_its_lease_ends(join: Join) -> None:
    """Its connection stands, as that of a frozen machine. By its own clock it never owns for longer
    than by the server's."""
    a, b = join("a", 0.5), join("b")
    assert a.take()
    until(b.take, "the lease ends", 20)
    assert a.left() <= 0
    with pytest.raises(TakenOver, match="node b has taken over"):
        a.renew()


def test_of_many_that_see_it_free_one_takes_it(join: Join) -> None:
    workers = [join(f"n{number}") for number in range(6)]
    with ThreadPoolExecutor(len(workers)) as pool:
        assert sorted(pool.map(Ownership.take, workers)) == [False] * 5 + [True]
    assert sorted(worker.epoch for worker in workers) == [0] * 5 + [1]


def test_a_second_live_node_of_a_name_is_refused(join: Join) -> None:
    """One that has ended, or whose life is longer silent than its lease, is none."""
    first = join("a")
    with pytest.raises(HeldError, match="another node called a works on postgresql://") as found:
        join("a")
    assert found.value.exit_code == 75
    first.close()
    silent = join("a", 0.01)
    join("a")
    with pytest.raises(TakenOver, match="another node is called a by now"):
        silent.take()


def test_what_a_former_owner_writes_is_not_written(join: Join, postgres_url: str) -> None:
    """It is told who has taken over, once and for all."""
    a, b = join("a", 0.01), join("b")
    assert a.take()
    with journal_of(postgres_url, a) as mine:
        assert write(mine, "before") is None
        until(b.take, "the lease ends", 20)
        for _ in range(2):
            refused = write(mine, "behind")
            assert isinstance(refused, StorageError)
            assert "node b has taken over" in str(refused)
        assert isinstance(mine.broken, TakenOver)
    with journal_of(postgres_url, b) as of_the_next:
        assert write(of_the_next, "of the next") is None
    assert keys(postgres_url) == ["before", "of the next"]


def test_the_next_owner_waits_for_what_the_last_one_is_writing(
    join: Join, postgres_url: str
) -> None:
    """What is under way when a lease ends is committed before anybody takes over, and read then."""
    a, b = join("a", 0.01), join("b")
    assert a.take()
    taking: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool, journal_of(postgres_url, a) as mine:

        def put(connection: Connection) -> None:
            connection.execute("insert into meta (key, value) values ('under way', 'written')")
            taking.append(pool.submit(until, b.take, "the lease has ended", 20))
            with contextlib.closing(PostgresConnection(postgres_url, "test", PARTITION)) as look:
                until(lambda: waiting(look), "the next one waits", 20)
            assert not taking[0].done()

        assert mine.transact(put) == (None, None)
        taking[0].result()
    assert b.epoch
    assert keys(postgres_url) == ["under way"]


def waiting(connection: PostgresConnection) -> bool:
    """Whether somebody waits for a lock."""
    asked = connection.execute(
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and application_name = 'ringback:beat' and wait_event_type = 'Lock'"
    )
    return bool(asked.fetchone()[0])


def test_a_transaction_of_one_that_stands_still_is_ended(join: Join, postgres_url: str) -> None:
    """A frozen owner amid a transaction holds the partition no longer than its lease."""
    a, b = join("a", 0.01), join("b")
    assert a.take()
    with journal_of(postgres_url, a, idle=0.3) as mine:

        def stand_still(connection: Connection) -> None:
            until(b.take, "the transaction is ended", 20)
            connection.execute("insert into meta (key, value) values ('behind', 'written')")

        assert isinstance(mine.transact(stand_still)[1], StorageError)
        assert mine.broken is not None
    assert keys(postgres_url) == []


WORKER = """
import sys, time
from ringback.store.postgres.ownership import Ownership
from ringback.store.postgres.server_database import PARTITION
mine = Ownership(sys.argv[1], PARTITION, "killed", "boot", 60.0)
mine.join()
print(mine.take(), flush=True)
time.sleep(60)
"""


def test_a_killed_owner_is_followed_at_once(join: Join, postgres_url: str) -> None:
    """The kernel ends its connections, and the server its session lock."""
    command = [sys.executable, "-c", WORKER, postgres_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        b = join("b")
        assert not b.take()
        began = time.monotonic()
        process.kill()
        until(b.take, "the partition is free", 20)
        print(f"free {time.monotonic() - began:.3f} s after kill -9")
