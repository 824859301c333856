"""Lists of bulks, and what of each was left out."""

from ringback.store.queries.files import Row, loads
from ringback.store.queries.live_figures import LiveFigures

LEFT = 200


class BulkLists(LiveFigures):
    """The bulks by what people look for."""

    def bulks(self, limit: int = 50) -> list[Row]:
        """The newest bulks that were started."""
        rows = self._all(
            "select * from bulks where state <> 'previewed' order by id desc limit ?", (limit,)
        )
        return [_read(row) for row in rows]

    def bulk(self, uid: str) -> Row | None:
        """One bulk, with the things that were skipped or refused (`left`), each with its reason."""
        row = self._one("select * from bulks where uid = ?", (uid,))
        if row is None:
            return None
        left = self._all(
            "select uid, was, state, reason from bulk_items where bulk = ? "
            "and state in ('skipped', 'refused', 'failed') order by n limit ?",
            (row["id"], LEFT),
        )
        return _read(row) | {"left": left}


def _read(row: Row) -> Row:
    return row | {"wanted": loads(row["wanted"], {}), "by": loads(row["by"], {}).get("who", "")}
