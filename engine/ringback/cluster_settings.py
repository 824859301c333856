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


def password_in(url: str) -> str:
    """The password in the address of a database, as it stands there; empty when there is none."""
    user, at, _ = url.partition("://")[2].rpartition("@")
    return user.partition(":")[2] if at else ""
