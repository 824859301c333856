"""Frozen shapes of the databases: what each migration makes, as `shapes.json` beside this keeps it.

`python tests/data/databases/freeze.py` writes it anew: for a new migration, never for an old one.
"""

import hashlib
import json
from pathlib import Path

from sqlite_utils import Database

from ringback.store.migrations import journal_migrations, log_migrations, names_of
from ringback.store.upkeep.shape import shape_of

FROZEN = Path(__file__).with_name("shapes.json")


def made_by_each() -> dict[str, str]:
    """For each migration the digest of the shape that a fresh file has after it."""
    made = {}
    for migrations in (log_migrations, journal_migrations):
        names = names_of(migrations)
        for name, following in zip(names, [*names[1:], None], strict=True):
            model = Database(memory=True)
            migrations.apply(model, stop_before=following)
            shape = json.dumps(shape_of(model.conn), sort_keys=True)
            made[f"{migrations.name} {name}"] = hashlib.sha256(shape.encode()).hexdigest()[:16]
            model.close()
    return made


if __name__ == "__main__":
    FROZEN.write_text(json.dumps(made_by_each(), indent=1) + "\n")
