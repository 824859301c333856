"""A journal and log of SQLite, copied into the tables of a PostgreSQL database."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ringback.store.postgres.schema import create
from ringback.store.postgres.server_connection import PostgresConnection
from ringback.store.postgres.server_database import PARTITION


def copy_into(url: str, data: Path) -> None:
    """Make the tables, and fill them with all rows of the files in `data`; what comes after them
    gets the ids that follow. What its triggers would write are rows of the files already."""
    with closing(PostgresConnection(url, "copy", PARTITION)) as server:
        create(server, PARTITION)
        server.execute("set session_replication_role = replica")
        for name in ("log.db", "journal.db"):
            with closing(sqlite3.connect(f"file:{data / name}?mode=ro", uri=True)) as file:
                for table in _tables(file):
                    _copy(file, server, table)


def _tables(file: sqlite3.Connection) -> list[str]:
    rows = file.execute(  # the simulation has tables of its own
        "select name from sqlite_master where type = 'table' and name not like '%sqlite%' "
        "and name not like 'sim%'"
    )
    return [row[0] for row in rows]


def _copy(file: sqlite3.Connection, server: PostgresConnection, table: str) -> None:
    columns = [row[1] for row in file.execute(f"pragma table_info({table})")]
    holes = ", ".join("?" * len(columns))
    server.execute("begin")
    server.execute(f"delete from {table}")
    server.executemany(
        f"insert into {table} ({', '.join(columns)}) values ({holes})",
        file.execute(f"select {', '.join(columns)} from {table}").fetchall(),
    )
    identity = server.execute(
        "select column_name from information_schema.columns where table_schema = ? "
        "and table_name = ? and is_identity = 'YES'",
        (PARTITION, table),
    ).fetchone()
    if identity:
        server.execute(
            "select setval(pg_get_serial_sequence(?, ?), coalesce(max(id), 1), max(id) is not null)"
            f" from {table}",
            (f"{PARTITION}.{table}", identity[0]),
        )
    server.execute("commit")
