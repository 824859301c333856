"""Interface of the store: the face of log and journal, whichever database is behind it.

The journal is a set of nouns whose methods are awaited. A method that asks is a question, a method
that changes something is one unit of work: all of it is durable when it returns, or none of it is
written. A second database is a second `Database` (`store/database.py`) and a second `Log`.
"""

from asyncio import Event, Future
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from ringback.errors import RingbackError
from ringback.rules.language.scope import Facts
from ringback.runtime import Runtime
from ringback.store.action_ends import ActionEnds, Costs
from ringback.store.actions import Actions
from ringback.store.attempts import Attempts
from ringback.store.deliveries.delivery_figures import Deliveries
from ringback.store.deliveries.escalations import Escalations
from ringback.store.deliveries.spend_counts import Spending
from ringback.store.events import Events
from ringback.store.evidence import Evidence
from ringback.store.incidents import Incidents
from ringback.store.log import Entry, LogRow
from ringback.store.matching import Matching
from ringback.store.meta import Meta
from ringback.store.open_runs import OpenRuns
from ringback.store.operations.broadcasts import Broadcasts
from ringback.store.operations.bulks import Bulks
from ringback.store.operations.cards import Groups
from ringback.store.operations.consent_words import ConsentWords
from ringback.store.operations.doings import Doings
from ringback.store.operations.mutes import Mutes
from ringback.store.operations.problems import Problems
from ringback.store.operations.rule_states import RuleStates
from ringback.store.operations.run_locks import RunLocks
from ringback.store.operations.written import Written
from ringback.store.runs import Runs
from ringback.store.session import ReadSession
from ringback.store.timers import Timers
from ringback.store.upkeep.restore import Restore
from ringback.store.upkeep.retention import Retention

P = ParamSpec("P")
T = TypeVar("T")


class Log(Protocol):
    """The writing end of the log, in the process that records. Order is by id within the log."""

    def append(self, entry: Entry) -> "Future[int]":
        """Record one request; its id, once it is durable. Raises StorageError."""

    def push(self, entry: Entry, done: Callable[[int | Exception], object]) -> None:
        """`append` with a callback in place of the future. Raises StorageError."""

    async def retire(self, before: str, matched: int, limit: int) -> int:
        """Delete old rows that were matched, at most `limit`; how many."""

    async def blank(self, before: str, matched: int, limit: int) -> int:
        """Blank what was said in old rows that were matched, at most `limit`; how many."""

    async def note_journal(self) -> None:
        """Note for good that a journal follows this log."""

    @property
    def broken(self) -> RingbackError | None:
        """Why the log refuses everything for good, or None while it works."""

    def close(self) -> None:
        """Commit what waits and let go of the log."""


class LogRows(Protocol):
    """The reading end of the log, in the worker."""

    async def after(self, log_id: int, limit: int) -> list[LogRow]:
        """Up to `limit` rows that follow `log_id`, in order."""

    async def get(self, log_id: int) -> LogRow | None:
        """The row with this id, or None."""

    async def last_id(self) -> int:
        """The id of the newest row; 0 when there is none."""

    async def had_journal(self) -> bool:
        """Whether a journal has followed this log before."""


class Journal(Protocol):
    """What was matched, decided and done: the journal of one worker."""

    log: LogRows
    events: Events
    matching: Matching
    runs: Runs
    open_runs: OpenRuns
    actions: Actions
    attempts: Attempts
    evidence: Evidence
    ends: ActionEnds
    costs: Costs
    meta: Meta
    timers: Timers
    retention: Retention
    restore: Restore
    incidents: Incidents
    deliveries: Deliveries
    escalations: Escalations
    spending: Spending
    doings: Doings
    rule_states: RuleStates
    problems: Problems
    bulks: Bulks
    broadcasts: Broadcasts
    consent_words: ConsentWords
    mutes: Mutes
    groups: Groups
    run_locks: RunLocks
    written: Written

    async def read(
        self, work: Callable[Concatenate[ReadSession, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Ask several questions in a row, in one session: `work` gets it, and must not keep it."""

    def facts(self, runtime: Runtime) -> Facts:
        """What conditions, texts and plugins may ask of the past, at once and from any thread."""

    @property
    def broken(self) -> Exception | None:
        """Why the process should end and start again from what is on disk; None while all is
        well."""

    @property
    def failing(self) -> Event:
        """Set when a write has failed: see `broken`."""

    def close(self) -> None:
        """Commit what waits and let go of the database."""
