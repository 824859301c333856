"""Books of a story: the tables of its journal at one moment, and what of the log they stand for."""

from typing import Any, NamedTuple

from ringback.store.log import Entry
from simulation.story import Story

Row = dict[str, Any]
TABLES = {
    "events": "id", "runs": "id", "actions": "id", "attempts": "id", "incidents": "id",
    "contacts": "conversation", "consents": "sender, recipient", "timers": "id",
}  # fmt: skip
"""Each table, and what its rows are ordered by."""


class Books(NamedTuple):
    """Each table as a list of rows; `matched` are the acknowledged webhooks that the journal has
    read by now."""

    events: list[Row]
    runs: list[Row]
    actions: list[Row]
    attempts: list[Row]
    incidents: list[Row]
    contacts: list[Row]
    consents: list[Row]
    timers: list[Row]
    matched: list[Entry]

    @property
    def tags(self) -> dict[str, str]:
        """The action that each tag belongs to."""
        return {row["tag"]: row["action_uid"] for row in self.attempts}


def read(story: Story) -> Books:
    """The books of a story as they stand now."""
    with story.store.reader() as reader:
        reader.execute("begin")
        tables = {
            name: [
                dict(zip(row.keys(), row, strict=True))
                for row in reader.execute(f"select * from {name} order by {order}")
            ]
            for name, order in TABLES.items()
        }
        cursor = reader.execute("select value from meta where key = 'cursor'").fetchone()
    done = int(cursor[0]) if cursor else 0
    ahead = {event["log_id"] for event in tables["events"] if (event["log_id"] or 0) > done}
    later = [entry for row, entry in enumerate(story.acknowledged, 1) if row in ahead]
    return Books(**tables, matched=[*story.acknowledged[:done], *later])
