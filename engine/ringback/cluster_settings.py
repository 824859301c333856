"""Settings of a node whose databases lie on a PostgreSQL server.

They are a part of `ringback.config.Settings`, as those of the console are.
"""

from dataclasses import dataclass, field

from ringback.console_settings import ConsoleSettings, facts


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ClusterSettings(ConsoleSettings):
    """What is set for the server and for the nodes that share it."""

    database_url: str = field(default="", metadata=facts(
        "RINGBACK_DATABASE_URL", kind="database", secret=True,
        about="The PostgreSQL database that log and journal lie in, as "
        "postgresql://USER:PASSWORD@HOST/NAME; empty: SQLite files in that folder.",
    ))  # fmt: skip
    node: str = field(default="", metadata=facts(
        "RINGBACK_NODE",
        about="The name of this node among those that share the database; empty: the host name.",
    ))  # fmt: skip
    lease_seconds: float = field(default=10.0, metadata=facts(
        "RINGBACK_LEASE_SECONDS", kind="lease",
        about="How long a node may be silent until another one takes over; at least 10.",
    ))  # fmt: skip


def password_in(url: str) -> str:
    """The password in the address of a database, as it stands there; empty when there is none."""
    user, at, _ = url.partition("://")[2].rpartition("@")
    return user.partition(":")[2] if at else ""
