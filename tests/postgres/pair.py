"""A primary and a standby that follows it over a link."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from postgres.link import Link, link
from postgres.processes import until
from postgres.server import Server, configure, ended, free_port, own_folder, run, server

STANDBY = "standby"
"""The name by which the primary knows its standby."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers, and the link between them, by which the standby follows."""

    primary: Server
    standby: Server
    link: Link

    def promote(self) -> None:
        """Make the standby a primary of its own; the one that it followed should be dead."""
        run(
            self.standby.folder, self.standby.binaries / "pg_ctl", "-D", str(self.standby.data),
            "promote", "-w", "-t", "60",
        )  # fmt: skip


@contextmanager
def pair(binaries: Path, pristine: Path, folder: Path, *, synchronous: bool) -> Iterator[Pair]:
    """Two new servers. Synchronous: a commit waits until the standby has it on its disk."""
    with ExitStack() as kept:
        primary = server(binaries, pristine, folder.with_name(f"{folder.name}-1"))
        kept.enter_context(ended(primary))
        between = kept.enter_context(link(primary.port))
        follower = standby(primary, between.port, folder.with_name(f"{folder.name}-2"))
        kept.enter_context(ended(follower))
        if synchronous:
            wait_for_standby(primary)
        yield Pair(primary, follower, between)


def standby(primary: Server, port: int, folder: Path) -> Server:
    """A new standby of a server, which reaches it by a port that may be a link's; returns when it
    has all that was committed."""
    own_folder(folder)
    where = f"host=127.0.0.1 port={port} user=postgres application_name={STANDBY}"
    words = "--checkpoint=fast --wal-method=stream --write-recovery-conf --no-sync"
    copy = folder / "data"
    run(folder, primary.binaries / "pg_basebackup", *words.split(), "-d", where, "-D", str(copy))
    made = Server(primary.binaries, folder, free_port())
    configure(made, f"port = {made.port}\nwal_retrieve_retry_interval = 200ms\n")
    made.start()
    until(
        lambda: _row(primary, "select state from pg_stat_replication") == ("streaming",), "streams"
    )
    return made


def wait_for_standby(primary: Server) -> None:
    """Let each commit of a primary wait for its standby, from now on."""
    _row(primary, f"alter system set synchronous_standby_names = 'ANY 1 ({STANDBY})'")
    _row(primary, "select pg_reload_conf()")
    until(
        lambda: _row(primary, "select sync_state from pg_stat_replication") == ("quorum",), "sync"
    )


def _row(server: Server, text: str) -> tuple[Any, ...] | None:
    with closing(psycopg.connect(server.url(), autocommit=True)) as connection:
        asked = connection.execute(text.encode())
        return asked.fetchone() if asked.description else None
