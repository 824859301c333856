"""Retention of the log: which rows go, and which texts are blanked.

Each function does one step of at most `limit` rows inside the caller's transaction and says how
many it found; the caller comes again until there are none.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ringback.hooks.reading import ROUTE
from ringback.store.connection import Connection
from ringback.store.upkeep.kept_fields import is_content, stays

BLANKED = "; blanked"
"""Marks the content type of a log row whose texts are removed."""


def first_since(connection: Connection, table: str, column: str, moment: str) -> int:
    """The first row that is not older than `moment`, found by halving: rows are in the order in
    which they came. One past the last row when all are older."""
    found = connection.execute(f"select min(id), max(id) from {table}").fetchone()
    low, high = int(found[0] or 1), int(found[1] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            f"select {column} from {table} where id >= ? order by id limit 1", (middle,)
        ).fetchone()
        if row is None or row[0] >= moment:
            high = middle
        else:
            low = middle + 1
    return low


def retire_log(connection: Connection, before: str, matched: int, limit: int) -> int:
    """Delete rows of the log that came before that moment and have been matched.

    The newest row always stays, so that ids never begin again.
    """
    newest = int(connection.execute("select coalesce(max(id), 0) from log").fetchone()[0])
    bound = min(first_since(connection, "log", "received_at", before), matched + 1, newest)
    return connection.execute(
        "delete from log where id in (select id from log where id < ? order by id limit ?)",
        (bound, limit),
    ).rowcount


def blank_log(connection: Connection, before: str, matched: int, limit: int) -> int:
    """Blank what was said in rows of the log that came before that moment and have been matched.

    The row stays, with its SIDs, numbers and statuses; its content type says that it was blanked.
    """
    bound = min(first_since(connection, "log", "received_at", before), matched + 1)
    rows = connection.execute(
        "select id, route, content_type, body from log where id >= ? and id < ? "
        "order by id limit ?",
        (_first_unblanked(connection), bound, limit),
    ).fetchall()
    for row_id, route, content_type, body in rows:
        if not content_type.endswith(BLANKED):
            # Nobody here knows the names of another system; its id and number stand beside it.
            foreign = route.startswith(ROUTE) and body
            left = b"{}" if foreign else blank_body(content_type, body)
            connection.execute(
                "update log set body = ?, content_type = ? where id = ?",
                (left, content_type + BLANKED, row_id),
            )
    return len(rows)


def _first_unblanked(connection: Connection) -> int:
    """Blanking goes in the order of the ids, so the first row that is left is found by halving."""
    found = connection.execute("select min(id), max(id) from log").fetchone()
    low, high = int(found[0] or 1), int(found[1] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            "select content_type from log where id >= ? order by id limit 1", (middle,)
        ).fetchone()
        if row is not None and row[0].endswith(BLANKED):
            low = middle + 1
        else:
            high = middle
    return low


def blank_body(content_type: str, body: bytes) -> bytes:
    """The body of a webhook without what was said in it; what cannot be read becomes empty."""
    try:
        text = body.decode()
        if "json" in content_type:
            data = json.loads(text)
            if isinstance(data, list):  # what is no event may be anything
                data = [each if isinstance(each, Mapping) else None for each in data]
            return json.dumps(bare_fields(data)).encode()
    except ValueError:
        return b""
    pairs = parse_qsl(text, keep_blank_values=True)
    return urlencode([(name, bare_fields(value, name)) for name, value in pairs]).encode()


def bare_fields(value: Any, name: str = "") -> Any:
    """The fields of a webhook, or the one of this name, without what was said, or may have been."""
    if isinstance(value, Mapping | list) and is_content(name):
        return _blanked(value)
    if isinstance(value, Mapping):
        return {key: bare_fields(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [bare_fields(each, name) for each in value]
    if not stays(name, value):
        return _blanked(value)
    return value.partition("?")[0] if name == "ErrorUrl" else value


def without_content(value: Any) -> Any:
    """The same data with every text that a person said, or is to hear, blanked."""
    if isinstance(value, Mapping):
        return {
            key: _blanked(inner) if is_content(key) else without_content(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_content(each) for each in value]
    return value


def _blanked(value: Any) -> Any:
    if isinstance(value, str):
        return ""
    return type(value)() if isinstance(value, list | dict) else None
