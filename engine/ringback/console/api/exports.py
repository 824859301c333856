"""Exports of lists: all of their rows as CSV or as JSON lines, read and sent in chunks.

Each chunk is one question, so that no export holds a snapshot of the journal. A cell that a
spreadsheet would take for a formula begins with an apostrophe. https://owasp.org/www-community/attacks/CSV_Injection
"""

import asyncio
import csv
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import StreamingResponse

from ringback.console.api.answers import whole
from ringback.console.api.masked_answers import masked
from ringback.console.api.parameters import Parameter
from ringback.console.api.schemas import ALL
from ringback.console.identity import Identity
from ringback.console.page import Console
from ringback.console.problems import Refusal
from ringback.printed_json import printed_json
from ringback.runtime import REAL, iso

MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl"}
FORMAT = Parameter(
    "format", "The whole list, from `cursor` on, as a file of at most 100,000 rows.",
    choices=tuple(MEDIA),
)  # fmt: skip
CHUNK, MOST, AT_ONCE = 1000, 100_000, 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Export:
    """One export: of which list, in which form, asked by whom. `ask` gives a part of the list, for
    a request that names its cursor."""

    path: str
    answer: str
    personal: bool
    form: str
    console: Console
    identity: Identity
    request: Request
    ask: Callable[[Request], Awaitable[Mapping[str, Any]]]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns: the fields of a row of this list."""
        row = ALL[self.answer]["properties"]["items"]["items"]["$ref"].rpartition("/")[2]
        fields = ALL[row]["properties"]
        return tuple(name for name in fields if name != "masked")


async def exported(export: Export) -> StreamingResponse:
    """The answer that sends a list as a file. It is noted among the looks. Raises what the list
    does, before anything is sent."""
    first = await _part(export, export.request.query_params.get("cursor", ""))
    entry, who, now = export.console.entry, export.identity, iso(REAL.now())
    if entry is not None:
        filters = sorted(set(export.request.query_params) - {"limit", "cursor", FORMAT.name})
        said = f"{export.path} {export.form}{', by ' if filters else ''}{', '.join(filters)}"
        entry.access.look(now, who.name, "export", said[:200], who.peer)
    name = re.sub(r"[^a-z]+", "-", export.path.strip("/"))
    name = f"{name}-{re.sub(r'[-:]', '', now[:19])}Z.{export.form}"
    return StreamingResponse(
        _sent(export, first), media_type=f"{MEDIA[export.form]}; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


async def _sent(export: Export, first: Mapping[str, Any]) -> AsyncIterator[bytes]:
    found, sent = first, 0
    if export.form == "csv":
        yield csv_line(export.names)
    while True:
        rows = found["items"][: MOST - sent]
        sent += len(rows)
        yield await asyncio.to_thread(_written, export, rows)
        if not found["next"]:
            return
        if sent >= MOST:
            yield _not_whole(export, f"there are more than {MOST:,} rows")
            return
        try:
            found = await _part(export, found["next"])
        except Refusal as refusal:
            yield _not_whole(export, refusal.problem.kind.title)
            return


def _not_whole(export: Export, why: str) -> bytes:
    """The last line of a file that lacks rows: the answer has begun, and has no status any more."""
    says = f"this file is not whole: {why}"
    if export.form == "csv":
        return csv_line([says])
    return f"{printed_json({'not_whole': says})}\n".encode()


def _written(export: Export, rows: list[dict[str, Any]]) -> bytes:
    if export.personal and not whole(export.console, export.identity):
        rows = masked(rows, texts=export.console.settings.console_mask == "all")
    if export.form == "csv":
        names = export.names
        return b"".join(csv_line([_cell(row.get(name)) for name in names]) for row in rows)
    return "".join(f"{printed_json(row)}\n" for row in rows).encode("utf-8", "surrogatepass")


async def _part(export: Export, cursor: str) -> Mapping[str, Any]:
    """One chunk of the list, as its own handler finds it."""
    query = [
        (name, value) for name, value in export.request.query_params.multi_items()
        if name not in ("limit", "cursor")
    ]  # fmt: skip
    query += [("cursor", cursor)] if cursor else []
    scope = {**export.request.scope, "query_string": urlencode(query).encode()}
    return await export.ask(Request(scope))


def limit_of(values: Mapping[str, Any]) -> dict[str, int]:
    """The limit of a chunk, where a list has one."""
    if "limit" not in values:
        return {}
    return {"limit": CHUNK if "cursor" in values else AT_ONCE}


def csv_line(cells: Sequence[str]) -> bytes:
    """A line of CSV (RFC 4180)."""
    file = io.StringIO()
    csv.writer(file).writerow(cells)
    return file.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else printed_json(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
