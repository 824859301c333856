"""The PostgreSQL servers of the tests: fresh databases, kill, freeze."""

import select
from contextlib import closing

import psycopg
import pytest

from postgres.server import Server


def test_a_fresh_database_is_empty(postgres_url: str) -> None:
    """It answers, keeps every commit, and has no table."""
    with closing(psycopg.connect(postgres_url)) as connection:
        shown = connection.execute(
            "select current_setting('fsync'), current_setting('synchronous_commit'),"
            " count(*) from information_schema.tables where table_schema = 'public'"
        ).fetchone()
    assert shown == ("on", "on", 0)


def test_a_killed_server_has_what_was_committed(own_postgres: Server) -> None:
    """Every process is gone at once; the same address answers after the next start."""
    with closing(psycopg.connect(own_postgres.url())) as connection:
        connection.execute("create table kept (id int)")
        connection.execute("insert into kept values (1)")
        connection.commit()
        connection.execute("insert into kept values (2)")
        own_postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert not own_postgres.running
    own_postgres.start()
    with closing(psycopg.connect(own_postgres.url())) as connection:
        assert connection.execute("select id from kept").fetchall() == [(1,)]


def test_a_frozen_server_goes_on(own_postgres: Server) -> None:
    """A frozen server answers nobody; no connection is lost."""
    with closing(psycopg.connect(own_postgres.url())) as connection:
        wire = connection.pgconn
        own_postgres.pause()
        wire.send_query(b"select 1")
        assert not select.select([wire.socket], [], [], 0.2)[0]
        own_postgres.resume()
        assert select.select([wire.socket], [], [], 60)[0]
