"""Two PostgreSQL servers and links that stall, for the tests of a failover."""

import select
from collections.abc import Callable
from contextlib import closing

import psycopg
import pytest
from psycopg.pq import ExecStatus

from postgres.link import Link
from postgres.pair import Pair
from postgres.server import Server


def rows(server: Server) -> list[int]:
    with closing(psycopg.connect(server.url())) as connection:
        return [number for (number,) in connection.execute("select id from kept order by id")]


def test_a_commit_waits_for_the_standby(postgres_pair: Pair) -> None:
    """With a stalled link it is not acknowledged. What was acknowledged is there after the primary
    has crashed and the standby is promoted, and the new primary waits for nobody."""
    primary, standby = postgres_pair.primary, postgres_pair.standby
    with closing(psycopg.connect(primary.url(), autocommit=True)) as connection:
        connection.execute("create table kept (id int)")
        connection.execute("insert into kept values (1)")
        postgres_pair.link.stall()
        wire = connection.pgconn
        wire.send_query(b"insert into kept values (2)")
        assert not select.select([wire.socket], [], [], 0.3)[0]
        postgres_pair.link.go_on()
        assert select.select([wire.socket], [], [], 60)[0]
        result = wire.get_result()  # in C, and no thread goes on meanwhile
        assert result is not None
        assert result.status == ExecStatus.COMMAND_OK
    primary.kill()
    postgres_pair.promote()
    assert rows(standby) == [1, 2]
    with closing(psycopg.connect(standby.url(), autocommit=True)) as connection:
        connection.execute("insert into kept values (3)")


def test_an_asynchronous_standby_loses_commits(asynchronous_postgres_pair: Pair) -> None:
    """A stalled link holds no commit up, and a failover then is without it."""
    primary, standby = asynchronous_postgres_pair.primary, asynchronous_postgres_pair.standby
    asynchronous_postgres_pair.link.stall()
    with closing(psycopg.connect(primary.url(), autocommit=True)) as connection:
        connection.execute("create table kept (id int)")
    primary.kill()
    asynchronous_postgres_pair.promote()
    with pytest.raises(psycopg.errors.UndefinedTable):
        rows(standby)


def test_an_answer_is_lost_on_its_way(
    shared_postgres: Server, postgres_url: str, link_to: Callable[[int], Link]
) -> None:
    """The server commits, the client never hears of it; later the link carries again."""
    database = postgres_url.rpartition("/")[2]
    link = link_to(shared_postgres.port)
    url = shared_postgres.url(database, link.port)
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("select 1")
        link.stall(requests=False)
        connection.pgconn.send_query(b"create table made (id int)")
        with closing(psycopg.connect(postgres_url, autocommit=True)) as other:
            for _ in range(1000):
                seen = other.execute("select to_regclass('made'), pg_sleep(0.01)").fetchone()
                if seen is not None and seen[0] is not None:
                    break
        assert not select.select([connection.pgconn.socket], [], [], 0)[0]
        link.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
    link.go_on()
    with closing(psycopg.connect(url)) as connection:
        assert connection.execute("select count(*) from made").fetchone() == (0,)


def test_a_link_leads_elsewhere(
    own_postgres: Server, shared_postgres: Server, link_to: Callable[[int], Link]
) -> None:
    """As an address that moves with the primary: new connections reach the other server."""
    link = link_to(shared_postgres.port)
    url = shared_postgres.url(port=link.port)
    with closing(psycopg.connect(url)) as connection:
        link.lead_to(own_postgres.port)
        with closing(psycopg.connect(url)) as later:
            ports = [str(found.execute("show port").fetchone()) for found in (connection, later)]
    assert ports == [f"('{shared_postgres.port}',)", f"('{own_postgres.port}',)"]
