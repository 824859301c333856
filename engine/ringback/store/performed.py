"""What was really wished and done, event by event: the other side of a backtest's comparison."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringback.store.sqlite import connect_reader, speaking

NOT_DONE = ("captured", "refused", "cancelled")
"""States in which nothing left the house."""


@dataclass(frozen=True, slots=True)
class Performed:
    """One action of the journal, under the identity of the event whose run wished for it."""

    event: str
    rule: str
    kind: str
    params: dict[str, Any]


def performed(data: Path, since: str = "") -> Iterator[Performed]:
    """The actions on what was recorded since then (ISO, empty: ever) that were not held back.

    Only events of the log count: what rules did on internal events has no record to run again.
    Raises StorageError when there is no journal.
    """
    path = data / "journal.db"
    connection = connect_reader(path)
    holes = ", ".join("?" * len(NOT_DONE))
    query = (
        "SELECT events.dedupe_key, rule, kind, params FROM actions"
        " JOIN events ON events.uid = actions.event_uid"
        f" WHERE events.received_at >= ? AND events.log_id IS NOT NULL AND state NOT IN ({holes})"
        " AND rule NOT LIKE '%.on_settled' ORDER BY actions.id"
    )
    try:
        with speaking(path):
            for key, rule, kind, params in connection.execute(query, (since, *NOT_DONE)):
                yield Performed(key, rule, kind, json.loads(params))
    finally:
        connection.close()
