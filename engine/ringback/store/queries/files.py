"""Files behind the questions: the journal and the log of one data folder, for reading."""

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self

from ringback.store.log import LogReader
from ringback.store.migrations import connect_journal
from ringback.store.sqlite.sqlite_files import translated

Row = dict[str, Any]
_STEPS = 20_000
"""After so many steps of SQLite, about a millisecond, the time is looked at."""


class Files:
    """The databases of one data folder. Raises StorageError when no node of this program has run
    on it, and DataError for the journal of a newer one."""

    def __init__(self, data: Path) -> None:
        self._path = data / "journal.db"
        with ExitStack() as opened:
            self._connection = opened.enter_context(closing(connect_journal(self._path)))
            log = data / "log.db"
            self._log = opened.enter_context(closing(LogReader(log))) if log.exists() else None
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def end_at(self, moment: float) -> None:
        """Let no question of the journal go on behind this moment of `time.monotonic`; it raises
        StorageError then."""
        self._connection.set_progress_handler(lambda: time.monotonic() > moment, _STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        with translated(self._path):
            return [dict(row) for row in self._connection.execute(sql, values)]

    def _one(self, sql: str, values: Sequence[object] = ()) -> Row | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None


def loads(text: str | None, default: Any) -> Any:
    """JSON of a column; the text itself when it is none."""
    if not text:
        return default
    try:
        return json.loads(text)
    except ValueError:
        return text
