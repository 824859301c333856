"""Shape of a database: its tables with their columns, its indexes and triggers, to be compared.

How a statement was laid out does not count, nor what SQLite made of it when a column was added.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Mapping

Shape = Mapping[str, object]
"""What there is by its name, `table.column`, or the name of an index or trigger."""


def shape_of(conn: sqlite3.Connection) -> Shape:
    """The shape of an open database, without what SQLite and the list of migrations keep there."""
    found: dict[str, object] = {}
    ask = "select type, name, tbl_name, sql from sqlite_master where sql is not null"
    for kind, name, table, sql in conn.execute(ask).fetchall():
        if table.startswith(("_", "sqlite_")):
            continue
        if kind != "table":
            found[f"{kind} {name}"] = re.sub(r"[\s\"]+", " ", sql).strip().lower()
            continue
        for _, column, type_, not_null, _, key in conn.execute(f"pragma table_info({name})"):
            found[f"column {name}.{column}"] = (type_.lower(), not_null, key)
    return found


def digest(shape: Shape) -> str:
    """A short name for exactly this shape."""
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]


def differences(expected: Shape, found: Shape) -> list[str]:
    """What is missing in a database, or otherwise than expected. What somebody has added counts
    only where it keeps rows from being written: a column that must not be empty."""
    tables = {name.partition(".")[0] for name in expected if name.startswith("column ")}
    wrong = [
        f"{name} is {'otherwise' if name in found else 'missing'}"
        for name, facts in expected.items()
        if found.get(name) != facts
    ]
    added = [name for name in found if name not in expected and name.partition(".")[0] in tables]
    return wrong + [f"{name} was added" for name in added if _must_be_filled(found[name])]


def _must_be_filled(facts: object) -> bool:
    return isinstance(facts, tuple) and bool(facts[1])
