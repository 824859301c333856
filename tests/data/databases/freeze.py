"""Frozen shapes of the databases: what each migration makes, as `shapes.json` beside this keeps it.

`python tests/data/databases/freeze.py` writes it anew: for a new migration, never for an old one.
The last digest of each file stands in `ringback.store.migrations` too.
"""

import json
from pathlib import Path

from sqlite_utils import Database

from ringback.store.migrations import journal_migrations, log_migrations
from ringback.store.upkeep.shape import digest, shape_of

FROZEN = Path(__file__).with_name("shapes.json")


def made_by_each() -> dict[str, str]:
    """For each migration the digest of the shape that a fresh file has after it."""
    made = {}
    for migrations in (log_migrations, journal_migrations):
        names = migrations.names
        for name, following in zip(names, [*names[1:], None], strict=True):
            model = Database(memory=True)
            migrations.library.apply(model, stop_before=following)
            made[f"{migrations.name} {name}"] = digest(shape_of(model.conn))
            model.close()
    return made


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(made_by_each(), indent=1) + "\n")
