"""Ownership of a partition: the one worker of a cluster that writes it, and until when.

An owner has a lease, which it renews, and a session lock of its life, which the server takes back
with the connection that holds it. When either is over the partition is free. Its epoch grows with
each owner: whoever writes asks first whether its own still holds. All times are the server's.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ringback.errors import HeldError, StorageError, TakenOver
from ringback.store.postgres.server_connection import PostgresConnection

clock = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds that go on while this machine sleeps, where it has such a clock."""

RETURN_SECONDS = 2.0
"""So long after a worker was killed the server has seen that its connection is gone."""
STEP_SECONDS = 0.1

_LEASE = "clock_timestamp() + :lease * interval '1 second'"
_JOIN = f"""
insert into rb.nodes (node, boot, seen, until) values (:node, :boot, clock_timestamp(), {_LEASE})
on conflict (node) do update set boot = excluded.boot, seen = excluded.seen, until = excluded.until
where not (nodes.until > clock_timestamp() and rb.lives(nodes.boot))
returning 1
"""
_SEEN = f"""
update rb.nodes set seen = clock_timestamp(), until = {_LEASE}
where node = :node and boot = :boot returning 1
"""
_LOOK = f"""
with seen as ({_SEEN})
select epoch, node, lease_until > clock_timestamp() and rb.lives(boot), (select count(*) from seen)
from owner
"""
_TAKE = f"""
update owner set epoch = epoch + 1, node = :node, boot = :boot, lease_until = {_LEASE}
where epoch = :epoch and not (lease_until > clock_timestamp() and rb.lives(boot))
returning epoch
"""
_RENEW = f"""
with seen as ({_SEEN})
update owner set lease_until = {_LEASE} where epoch = :epoch returning (select count(*) from seen)
"""
_RELEASE = "update owner set lease_until = '-infinity' where epoch = ?"
_LEAVE = "delete from rb.nodes where node = ? and boot = ?"


class Ownership:
    """One life of a worker among the nodes of a cluster. Used by one thread at a time.

    Each method raises StorageError when the server does not answer, and TakenOver when another
    worker has the name of this node, or its partition, by now.
    """

    def __init__(self, url: str, partition: str, node: str, boot: str, lease: float) -> None:
        """`boot` names this life of the worker, `lease` is how many seconds it may be silent."""
        self.node = node
        self.epoch = 0
        """Under which this worker owns the partition; 0 while it does not."""
        self.owner = ""
        """The node that owned it at the last look."""
        self._boot, self._lease = boot, lease
        self._until = clock()
        self._connection = PostgresConnection(url, "beat", partition)

    def join(self) -> None:
        """Take the name of this node. Raises HeldError when a node that lives has it."""
        with self._translated():
            self._connection.execute("select rb.live(?)", (self._boot,))
            began = time.monotonic()
            while not self._asked(_JOIN):
                if time.monotonic() - began > RETURN_SECONDS:
                    raise HeldError(
                        f"another node called {self.node} works on {self._connection.name}; give "
                        "each node a RINGBACK_NODE of its own"
                    )
                time.sleep(STEP_SECONDS)

    def take(self) -> bool:
        """Say that this node lives, and take the partition when it is free; whether it is ours."""
        with self._translated():
            epoch, self.owner, held, known = self._asked(_LOOK) or (0, "", True, 0)
            self._require_name(known)
            if held:
                return False
            sent = clock()
            taken = self._asked(_TAKE, epoch=epoch)
            if taken:
                self.epoch, self._until = taken[0], sent + self._lease
        return bool(self.epoch)

    def renew(self) -> None:
        """Say that this node lives, and go on owning the partition."""
        sent = clock()
        with self._translated():
            renewed = self._asked(_RENEW, epoch=self.epoch)
            if not renewed:
                raise TakenOver(words_on(self._connection))
            self._require_name(renewed[0])
        self._until = sent + self._lease

    def left(self) -> float:
        """For how many seconds the partition is ours without a further word, by our own clock:
        never longer than by the server's."""
        return self._until - clock()

    def release(self) -> None:
        """Give back what is ours, and leave."""
        try:
            with self._translated():
                self._connection.execute(_RELEASE, (self.epoch,))
                self._connection.execute(_LEAVE, (self.node, self._boot))
        finally:
            self.close()

    def cut(self) -> None:
        """Give up a server that does not answer, from any thread."""
        self._connection.cut()

    def close(self) -> None:
        """Leave without a word: the server sees it."""
        self._connection.close()

    def _asked(self, sql: str, **values: object) -> tuple[Any, ...] | None:
        given = {"node": self.node, "boot": self._boot, "lease": self._lease, **values}
        row: tuple[Any, ...] | None = self._connection.execute(sql, given).fetchone()
        return row

    def _require_name(self, known: int) -> None:
        if not known:
            raise TakenOver(f"another node is called {self.node} by now")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StorageError(f"{self._connection.name}: {error}") from error


def condition(epoch: int) -> str:
    """What a transaction of an owner asks first: one row while the epoch holds, which then does not
    change until the transaction has ended."""
    return f"select 1 from owner where epoch = {epoch:d} for key share"


def words_on(connection: PostgresConnection) -> str:
    """Who has taken over."""
    row = connection.execute("select node, epoch from owner").fetchone()
    return f"node {row[0]} has taken over on {connection.name} (epoch {row[1]})"
