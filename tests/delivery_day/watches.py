"""The watches of a node over its real journal, on a clock that is stepped."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from delivery_day.troubles import Seen
from ringback.config import Settings
from ringback.errors import RingbackError, Unauthorized, Unreachable
from ringback.gateway.limits import Limits
from ringback.runtime import Runtime, iso
from ringback.store.facts import JournalGateFacts
from ringback.store.journal import open_store
from ringback.store.log import Log, LogReader, insert
from ringback.store.migrations import migrate_log
from ringback.store.sqlite.file_writer import SqliteFile
from ringback.store.sqlite.sqlite_files import connect_writer
from ringback.store.writer import GroupWriter
from ringback.twilio.rest import Request, path
from ringback.worker.gate.gate import Gatekeeper
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.recovery.refusal_watch import RefusalWatch
from ringback.worker.recovery.sending_watch import SendingWatch
from ringback.worker.send.stoppages import Stoppages
from ringback.worker.watch.delivery_watch import DeliveryWatch
from ringback.worker.watch.silence_watch import SilenceWatch

if TYPE_CHECKING:
    from delivery_day.day import Answer, Wanted

BEGIN = datetime(2026, 3, 4, tzinfo=UTC)
ACCOUNT = "AC" + "0" * 32
SEND = Request("POST", path(ACCOUNT, "Messages"), (), "messages")
ERRORS: dict[str, RingbackError] = {
    "credentials": Unauthorized("the credentials were refused", http_status=401, origin="twilio"),
    "unreachable": Unreachable("the gateway does not answer", wrote=False),
}
_INSERT = (
    "insert into actions (uid, run_uid, event_uid, rule, ordinal, kind, params, policy, state, "
    "remote_sid, planned_at, conversation, effect, segments) values "
    "(?, '', ?, ?, 0, 'send_message', '{}', 'checked', ?, ?, ?, ?, 'message', ?) "
    "on conflict (event_uid, rule, ordinal) do update set state = excluded.state, "
    "remote_sid = excluded.remote_sid"
)


class Watches:
    """The watches, and what the parts around them would tell them."""

    def __init__(self, folder: Path) -> None:
        self.now = BEGIN
        data = folder / "data"
        data.mkdir(parents=True)
        Log(GroupWriter(SqliteFile(data / "log.db", migrate_log), insert, threaded=False)).close()
        self._store = open_store(data, threaded=False)
        self.journal = self._store.journal
        self._writer = connect_writer(data / "journal.db")
        self._writer.execute("pragma synchronous = off")
        self._log = LogReader(data / "log.db")
        self._facts = JournalGateFacts(self._writer, self._log)
        runtime = Runtime(time=lambda: self.now.timestamp(), monotonic=lambda: self.now.timestamp())
        settings = Settings(project=folder, data=data)
        incidents = Incidents(self.journal, runtime)
        limits = Limits(8.0, runtime=runtime)
        self._stoppages = Stoppages(runtime, limits, settings.settle_seconds / 2, ACCOUNT)
        self._gate = Gatekeeper(settings, runtime)
        self._refusals = RefusalWatch(self.journal, runtime, incidents)
        self._sending = SendingWatch(
            journal=self.journal, settings=settings, runtime=runtime, stoppages=self._stoppages,
            incidents=incidents, has_gateway=True, at_will=lambda: False,
        )  # fmt: skip
        self._deliveries = DeliveryWatch(self.journal, settings, runtime, incidents)
        self._silence = SilenceWatch(self.journal, settings, runtime, incidents)
        self._minutes = count()

    async def look(self) -> None:
        """Let each watch look that is due after a minute."""
        await self._deliveries.look()
        await self._sending.look()
        await self._silence.suddenly_silent()
        await self._refusals.close_quiet()
        if next(self._minutes) % 5 == 4:
            await self._silence.silent()

    def ask_gateway(self, held: str) -> None:
        """A request leaves, and its answer says why nothing does, or that it went well."""
        self._stoppages.ends(self._stoppages.begins(SEND), ERRORS.get(held))

    async def allowed(self, answer: "Answer") -> bool:
        """Whether the gate lets an answer leave."""
        state, reason, _ = self._gate.look(answer, self._facts)
        if state == "refused":
            await self._refusals.refused(answer.rule, reason)
        return state == "planned"

    def note(self, waiting: "Iterable[Wanted]", sent: "Iterable[Wanted]") -> None:
        """Write the actions of texts that wait for their turn, and of those that left."""
        rows = [
            (
                f"act_{each.number}", f"evt_a{each.number}", each.rule, state,
                each.sid if state == "accepted" else "", iso(each.at), each.conversation,
                each.segments,
            )
            for state, texts in (("planned", waiting), ("accepted", sent))
            for each in texts
        ]  # fmt: skip
        self._writer.execute("begin immediate")
        self._writer.executemany(_INSERT, rows)
        self._writer.execute("commit")

    def remember(
        self, came: Iterable[tuple[str, str]], spent: Iterable[tuple[str, str, str, int]]
    ) -> None:
        """Write what the day before leaves behind."""
        self._writer.execute("begin immediate")
        self._writer.executemany(
            "insert into events (uid, type, at, received_at, trust, source, account_sid, "
            "subject_sid, sender, recipient, conversation, status, error_code, tag, verdicts, "
            "dedupe_key, depth, fields) values (:uid, 'message.received', :at, :at, 'signed', "
            "'webhook', '', :uid, '', :ours, '', 'received', 0, '', '{}', :uid, 0, '{}')",
            [
                {"uid": f"old_{number}", "at": at, "ours": ours}
                for number, (at, ours) in enumerate(came)
            ],
        )
        self._writer.executemany(
            "insert into spend_counts (measure, dimension, value, span, number) "
            "values ('segments', ?, ?, ?, ?)",
            spent,
        )
        self._writer.execute("commit")

    def seen(self) -> list[Seen]:
        """The incidents so far."""
        rows = self._writer.execute(
            "select key, opened_at, resolved_at, (select min(received_at) from events e "
            "where e.subject_sid = i.uid and e.type = 'incident.opened'), "
            "coalesce(json_extract(details, '$.Reason'), '') from incidents i order by id"
        )
        return [
            Seen(key, _minute_of(told or at), _minute_of(over) if over else float("inf"), reason)
            for key, at, over, told, reason in rows
        ]

    def close(self) -> None:
        """Let go of the files."""
        self._writer.close()
        self._store.close()


def _minute_of(moment: str) -> float:
    return (datetime.fromisoformat(moment) - BEGIN) / timedelta(minutes=1)
