"""Blanking of the journal: what people said leaves actions, runs, events and contacts that stay.

Numbers, SIDs, times, states and outcomes stay. An address keeps its host, a key of a rule becomes a
digest, by which `once_within` still finds its last run. What a rule remembered is forgotten with
the action that remembered it, unless that was done again since.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from ringback.rules.interpreter.progress import CAME_IN_TIME, TOO_FEW
from ringback.store.connection import Connection
from ringback.store.meta import get_meta, set_meta
from ringback.store.upkeep.log_retention import bare_fields, without_content

OPEN_RUNS = ("pending", "running", "waiting")
_RUNS, _OPEN, _EVENTS = "blanked_runs_to", "blanked_runs_open", "blanked_events_to"
_ADDRESSES = frozenset({"url", "wait_url", "action", "transcribe_callback"})
_WORDS = frozenset({"reason", "hints"})


def key_digest(rule: str, key: str) -> str:
    """What stands for the key of a run whose texts are blanked."""
    text = f"{rule}\0{key}".encode("utf-8", "surrogatepass")
    return f"#{sha256(text).hexdigest()[:32]}"


def blank_action(connection: Connection, uid: str, kind: str, params: Mapping[str, Any]) -> None:
    """Blank what was said in an action that has come to its end, and what came of it."""
    if kind == "remember":
        _forget(connection, uid, params)
    text = json.dumps(_without(kind, params), ensure_ascii=False)
    connection.execute(
        "update actions set params = ?, "
        "reason = case when state in ('failed', 'cancelled') then '' else reason end "
        "where uid = ?",
        (text, uid),
    )
    connection.execute("update attempts set detail = '' where action_uid = ?", (uid,))


def _without(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    blanked = _bare(without_content(params))
    if kind == "notify":
        blanked["key"] = ""
    extra = blanked.get("extra")
    if isinstance(extra, dict) and "ContentVariables" in extra:
        blanked["extra"] = {**extra, "ContentVariables": ""}
    return dict(blanked)


def _bare(value: Any) -> Any:
    """The same without the words that stand in addresses and reasons."""
    if isinstance(value, list):
        return [_bare(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {name: _word(name, inner) for name, inner in value.items()}


def _word(name: str, value: Any) -> Any:
    if isinstance(value, str) and name in _WORDS:
        return ""
    if isinstance(value, str) and name in _ADDRESSES and value:
        return origin(value)
    return _bare(value)


def origin(url: str) -> str:
    """The scheme and host of an address; values may stand anywhere else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}/…" if host else ""


def _forget(connection: Connection, uid: str, params: Mapping[str, Any]) -> None:
    place, name = params.get("conversation", ""), params.get("name", "")
    again = connection.execute(
        "select 1 from actions where conversation = ? and kind = 'remember' "
        "and id > (select id from actions where uid = ?) and json_extract(params, '$.name') = ? "
        "limit 1",
        (place, uid, name),
    ).fetchone()
    row = connection.execute(
        "select memory from contacts where conversation = ?", (place,)
    ).fetchone()
    memory = json.loads(row[0]) if row else {}
    if again is None and name in memory:
        del memory[name]
        connection.execute(
            "update contacts set memory = ? where conversation = ?",
            (json.dumps(memory, ensure_ascii=False), place),
        )


def blank_runs(connection: Connection, before: str, limit: int) -> int:
    """Blank the reasons, keys and memories of runs that began before that moment; how many it has
    come to for the first time. Those that have not ended are looked at again each time."""
    done = int(get_meta(connection, _RUNS, "0"))
    waiting: list[int] = json.loads(get_meta(connection, _OPEN, "[]"))
    rows = connection.execute(
        "select id from runs where id > ? and started_at < ? order by id limit ?",
        (done, before, limit),
    ).fetchall()
    if not rows and not waiting:
        return 0
    fresh = [row[0] for row in rows]
    still = [run for run in (*waiting, *fresh) if not _blank_run(connection, run)]
    set_meta(connection, _OPEN, json.dumps(still))
    if fresh:
        set_meta(connection, _RUNS, str(fresh[-1]))
    return len(fresh)


def _blank_run(connection: Connection, run: int) -> bool:
    """False for one that has not ended."""
    row = connection.execute(
        "select r.state, r.rule, r.key, r.reason, e.conversation, e.subject_sid from runs r "
        "left join events e on e.uid = r.event_uid where r.id = ?",
        (run,),
    ).fetchone()
    if row is None:
        return True
    state, rule, key, reason, *plain = row
    if state in OPEN_RUNS:
        return False
    if key and not key.startswith("#") and key not in plain:
        key = key_digest(rule, key)
    if reason != TOO_FEW:  # it says that the run did nothing, as the other one does
        reason = CAME_IN_TIME if reason.endswith(CAME_IN_TIME) else ""
    connection.execute(
        "update runs set key = ?, reason = ?, memory = null where id = ?", (key, reason, run)
    )
    return True


def blank_events(connection: Connection, before: str, limit: int) -> int:
    """Blank what was said in the events that came before that moment, as far as it stands in the
    journal, and in the verdicts on them; how many it looked at, 0 when none are left."""
    done = int(get_meta(connection, _EVENTS, "0"))
    rows = connection.execute(
        "select id, fields, verdicts from events where id > ? and received_at < ? "
        "and verdicts is not null order by id limit ?",
        (done, before, limit),
    ).fetchall()
    for number, fields, verdicts in rows:
        kept = json.dumps(_fields(json.loads(fields)), ensure_ascii=False) if fields else fields
        if "error:" in verdicts:
            said = {rule: _verdict(why) for rule, why in json.loads(verdicts).items()}
            verdicts = json.dumps(said, ensure_ascii=False)
        if fields or "error:" in verdicts:
            connection.execute(
                "update events set fields = ?, verdicts = ? where id = ?", (kept, verdicts, number)
            )
    if rows:
        set_meta(connection, _EVENTS, str(rows[-1][0]))
    return len(rows)


def _fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What an event of our own making says, or a later report has added."""
    blanked: dict[str, Any] = bare_fields(fields)
    return blanked


def _verdict(why: str) -> str:
    """A verdict without what an expression had to say about a value: `error:2`."""
    return ":".join(why.split(":")[:2]) if why.startswith("error:") else why
