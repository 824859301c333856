"""Backtests that pages and programs begin: one at a time, in a child at the lowest priority.

What was recorded goes through the rules of now, or through those of a text that is not saved. It
may take long, so it is begun, looked at, and stopped. What came of the last ones is kept in memory.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringback.console.identity import Identity
from ringback.console.problems import refuse
from ringback.console.surroundings import RunChild
from ringback.console.trials import MOST_LETTERS, written
from ringback.runtime import REAL, iso

Note = Callable[[Identity, str, str], None]
"""What keeps on record who did what, to what."""

KEPT = 5
EXAMPLES = 50
_SID = re.compile(r"(?:SM|MM|CA|RE)[0-9a-f]{32}")
_SINCE = re.compile(r"\d{1,4}[hd]|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


@dataclass(slots=True)
class Backtest:
    """One backtest: who began it, on which span, with which rules (`text`, empty for those of now);
    its `state` (`running`, `done`, `stopped`, `failed`), and what came of it."""

    uid: str
    by: str
    since: str
    text: str
    began_at: str
    state: str = "running"
    ended_at: str = ""
    said: str = ""
    summary: dict[str, Any] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    only_now: list[dict[str, Any]] = field(default_factory=list)
    only_then: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As the API gives it."""
        return {
            "uid": self.uid, "by": self.by, "since": self.since, "began_at": self.began_at,
            "state": self.state, "ended_at": self.ended_at or None, "said": self.said,
            "summary": self.summary, "rules": self.rules, "only_now": self.only_now,
            "only_then": self.only_then, "counts": self.counts, "text": self.text,
        }  # fmt: skip


class Backtests:
    """The backtests of one console. Who begins and stops them is noted."""

    def __init__(self, run: RunChild | None, note: Note | None = None) -> None:
        self._run = run
        self._note = note
        self._kept: list[Backtest] = []
        self._task: asyncio.Task[None] | None = None

    def all(self) -> Sequence[Backtest]:
        """The last ones, the newest first."""
        return tuple(reversed(self._kept))

    def one(self, uid: str) -> Backtest:
        """The one of this id. Raises a Refusal."""
        for each in self._kept:
            if each.uid == uid:
                return each
        raise refuse("missing", f"The last {KEPT} backtests are kept until the console ends.")

    def begin(self, who: Identity, since: str, text: str) -> Backtest:
        """Begin one, and note it. Raises a Refusal while another runs."""
        if not _SINCE.fullmatch(since):
            raise refuse("field", "since is a span back from now, as 24h or 30d, or a time in UTC.")
        if "T" in since and since > iso(now := REAL.now()):
            raise refuse("field", f"since lies ahead: it is {iso(now)} now.",
                         fields=(("since", "lies ahead"),))  # fmt: skip
        if len(text) > MOST_LETTERS:
            raise refuse("field", f"The rules have more than {MOST_LETTERS:,} letters.")
        if self._run is None:
            raise refuse("missing", "No command of the shell can be run from here.")
        if self._task is not None and not self._task.done():
            raise refuse("busy", "A backtest runs; one at a time. Stop it, or wait for its end.")
        found = Backtest(REAL.uid("bkt"), who.name, since, text.strip(), iso(REAL.now()))
        rules = "rules that are not saved" if found.text else "the rules of now"
        self._noted(who, "backtest begun", f"{found.uid}, {since}, {rules}")
        self._kept = [*self._kept[1 - KEPT :], found]
        self._task = asyncio.create_task(self._play(self._run, found))
        return found

    async def stop(self, uid: str, who: Identity | None = None) -> Backtest:
        """Stop one, if it runs, and note it when somebody did."""
        found = self.one(uid)
        if found.state == "running" and who is not None:
            self._noted(who, "backtest stopped", uid)
        if found.state == "running" and self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            if found.state == "running":  # it had not even begun
                found.state, found.ended_at = "stopped", iso(REAL.now())
        return found

    def _noted(self, who: Identity, what: str, subject: str) -> None:
        if self._note is not None:
            self._note(who, what, subject)

    async def close(self) -> None:
        """Stop what runs."""
        for each in self._kept:
            await self.stop(each.uid)

    async def _play(self, run: RunChild, found: Backtest) -> None:
        files = {"rules.yaml": found.text} if found.text else {}
        try:
            with written(files) as folder:
                words = ["backtest", "--since", found.since, "--json"]
                words += ["--rules", str(folder / "rules.yaml"), "--beside"] if files else []
                code, printed = await run(words)
                lines = printed.replace(f"{folder}/", "").splitlines()
            rows = [row for line in lines if line.startswith("{") and (row := _row(line))]
            others = [line for line in lines if line.strip() and not line.startswith("{")]
            found.said = "\n".join(others[-20:])
            _take(found, rows)
            found.state = "done" if code == 0 and found.summary else "failed"
        except asyncio.CancelledError:
            found.state = "stopped"
            raise
        except TimeoutError:
            found.state, found.said = "failed", "It took too long."
        except Exception as error:  # of the child: the page says so
            found.state, found.said = "failed", str(error) or type(error).__name__
            raise
        finally:
            found.ended_at = iso(REAL.now())


def _take(found: Backtest, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what a backtest printed."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        kinds.setdefault(str(row.get("line")), []).append(_plain(row))
    found.summary = next(iter(kinds.get("summary", [])), {})
    found.rules = kinds.get("rule", [])
    now, then = kinds.get("only now", []), kinds.get("only then", [])
    found.only_now, found.only_then = now[:EXAMPLES], then[:EXAMPLES]
    summary = {"same": 0, "only_now": len(now), "only_then": len(then), "by_people": 0}
    found.counts = {name: int(found.summary.get(name, n)) for name, n in summary.items()}


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line without its kind; of an action to whom it is, what it says, and the record of Twilio
    that it answers."""
    kept = {name: value for name, value in row.items() if name not in ("line", "params", "event")}
    if "params" in row:
        params = row["params"]
        sid = _SID.search(str(row.get("event", "")))
        kept |= {
            "to": str(params.get("to") or ""),
            "words": str(params.get("body") or params.get("text") or ""),
            "sid": sid.group() if sid else "",
        }  # fmt: skip
    return kept


def _row(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:  # it was cut
        return {}
    return found if isinstance(found, dict) else {}
