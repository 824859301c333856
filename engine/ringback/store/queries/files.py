"""Files behind the questions: the journal and the log of one place, for reading."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any, Self

from ringback.store.data_place import (
    DataPlace,
    end_at,
    file_of,
    is_lost,
    open_journal,
    open_log_reader,
    translated,
)

Row = dict[str, Any]


class Files:
    """The databases of one data folder or server. Raises StorageError when no node of this program
    has run on it, and DataError for the journal of a newer one."""

    def __init__(self, where: Path | DataPlace) -> None:
        place = self._place = DataPlace.of(where)
        self._file = file_of(place)
        with ExitStack() as opened:
            self._connection = opened.enter_context(closing(open_journal(place)))
            self._log = None
            if place.has_log():
                self._log = opened.enter_context(closing(open_log_reader(place)))
            self._opened = opened.pop_all()

    def identity(self) -> str:
        """What tells this journal from every other one: of its file, or of its database."""
        if self._file:
            return self._file
        row = self._one(
            "select system_identifier, oid, current_schema() as part from pg_control_system(), "
            "pg_database where datname = current_database()"
        )
        return ":".join(map(str, row.values())) if row else ""

    def current(self) -> bool:
        """Whether the journal that was opened is still the one that lies in this place."""
        if self._place.url:  # another database is never behind the same connection
            return not is_lost(self._connection)
        return file_of(self._place) == self._file

    @property
    def name(self) -> str:
        """The place, as messages name it: without a password."""
        return self._place.name

    def close(self) -> None:
        """Close the files."""
        self._opened.close()

    def end_at(self, moment: float) -> None:
        """Let no question of the journal go on behind this moment of `time.monotonic`; it raises
        StorageError then."""
        with self._translated():
            end_at(self._connection, moment)

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self._place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
        with self._translated():
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
