"""Strikes of rules that blocked or ended their process, and their quarantine, as statements."""

from ringback.store.connection import Connection


def strike(
    connection: Connection, rule: str, plugin: str, reason: str, now: str, limit: int
) -> bool:
    """`Runs.strike`, within a unit of work."""
    note_fault(connection, rule, plugin, reason, now, 1)
    return bool(
        connection.execute(
            "update strikes set quarantined_at = ? "
            "where rule = ? and count >= ? and quarantined_at is null",
            (now, rule, limit),
        ).rowcount
    )


def note_fault(
    connection: Connection, rule: str, plugin: str, reason: str, now: str, count: int
) -> None:
    """`Runs.note_fault`, within a unit of work."""
    connection.execute(
        "insert into strikes (rule, plugin, count, last_at, reason) values (?, ?, ?, ?, ?) "
        "on conflict (rule) do update set count = strikes.count + excluded.count, "
        "last_at = excluded.last_at, reason = excluded.reason",
        (rule, plugin, count, now, reason),
    )


def release(connection: Connection, rule: str) -> bool:
    """`Runs.release`, within a unit of work."""
    return bool(connection.execute("delete from strikes where rule = ?", (rule,)).rowcount)
