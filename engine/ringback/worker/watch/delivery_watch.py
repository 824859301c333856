"""Delivery watch: incidents of texts that fail or have no end, of people who leave, of spending.

It looks every minute. An incident is opened when the same cause stands out in two looks, and is
over when three in a row find it usual again. One is open for each cause, however many texts it
costs; what it says is brought up to date when it has grown.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ringback.config import Settings
from ringback.error_codes import explain_error
from ringback.rules.delivery_rates import ALL, Key
from ringback.runtime import Runtime, iso
from ringback.store.deliveries.delivery_figures import Lately, Usually
from ringback.store.interface import Journal
from ringback.worker.recovery.incidents import Incidents
from ringback.worker.watch.delivery_causes import (
    LEAST_FAILURES,
    UNUSUAL,
    USUAL_AGAIN,
    Figures,
    Finding,
    as_it_shows,
    cause_named,
    causes,
    ratio,
)
from ringback.worker.watch.spend_watch import SpendWatch

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
SPAN = timedelta(minutes=5)
"""What is held against the day before."""
DAY = timedelta(days=1)
GAP = timedelta(minutes=10)
"""The day ends so long before now: what has just begun is not usual yet."""
USUAL_SECONDS = 600.0
PATIENCE = timedelta(minutes=1)
"""So long a text may be on its way without being missed."""
_THIS_MINUTE = timedelta(minutes=1)
LEAVING = timedelta(minutes=10)
LOOKS_TO_OPEN, LOOKS_TO_END = 2, 3
KEPT = timedelta(days=2)
_PENDING_SHARE, _PENDING_WEIGHT = 0.02, 200
KIND = "delivery"
FAILING = "delivery:failing:"
UNFINISHED = "delivery:unfinished:"


@dataclass(slots=True)
class Trouble:
    """Something that stands out: what it says, how many texts it costs, how many looks in a row saw
    it or saw it no more, and how many texts were told of last."""

    text: str
    details: Mapping[str, str]
    size: int
    seen: int = 1
    unseen: int = 0
    told: int = 0
    open: bool = False


@dataclass(slots=True)
class DeliveryWatch:
    """Opens, updates and resolves the incidents of the kind `delivery`."""

    journal: Journal
    settings: Settings
    runtime: Runtime
    incidents: Incidents
    _spending: SpendWatch = field(init=False)
    _usual: Usually | None = None
    _usual_at: float = 0.0
    _troubles: dict[str, Trouble] = field(default_factory=dict)
    _taken_up: bool = False

    def __post_init__(self) -> None:
        self._spending = SpendWatch(self.journal, self.settings)

    async def look(self) -> int:
        """Look once; 0, for nothing of it is news of the log."""
        if not self.settings.delivery_incidents:
            await self.incidents.settle(KIND, {})
            return 0
        await self._take_up()
        now = self.runtime.now()
        usual = await self._usually(now)
        begun = (iso(now - SPAN - PATIENCE), iso(now - PATIENCE))
        lately = await self.journal.deliveries.lately(
            iso(now - SPAN), iso(now + _THIS_MINUTE), begun, iso(now - LEAVING)
        )
        found = [*self._failing(lately, usual), *self._unfinished(lately, usual)]
        found += self._leaving(lately, usual)
        found += [
            (key, Trouble(text, details, size))
            for key, text, details, size in await self._spending.found(now, [*self._troubles])
        ]
        await self._settle(dict(found))
        return 0

    async def _take_up(self) -> None:
        """Go on with the incidents of an earlier process."""
        if not self._taken_up:
            for key in await self.journal.incidents.open_keys(KIND):
                self._troubles[key] = Trouble("", {}, 0, open=True)
            self._taken_up = True

    async def _usually(self, now: datetime) -> Usually:
        moment = self.runtime.monotonic()
        if self._usual is None or moment - self._usual_at >= USUAL_SECONDS:
            self._usual = await self.journal.deliveries.usually(iso(now - DAY), iso(now - GAP))
            self._usual_at = moment
            await self.journal.deliveries.forget(iso(now - KEPT))
            await self._spending.learn(now)
        return self._usual

    def _failing(self, lately: Lately, usual: Usually) -> list[tuple[str, Trouble]]:
        failures = lately.failures
        figures = Figures(lately.ended, usual.ended)
        told = [key for key, each in self._troubles.items() if each.open]
        names = [key.removeprefix(FAILING) for key in told if key.startswith(FAILING)]
        known = [cause for name in names if (cause := cause_named(name)) is not None]
        again = [as_it_shows(cause, failures, figures) for cause in known]
        still = [each for each in again if each.unlikely >= USUAL_AGAIN and each.failed > 1]
        new = causes(failures, figures, self.settings.delivery_minimum, known)
        return [_failing_trouble(each) for each in (*still, *new)]

    def _unfinished(self, lately: Lately, usual: Usually) -> list[tuple[str, Trouble]]:
        """The set of texts that stay without an end, when they are more than usual; of all senders
        and countries the one that explains most."""
        found: list[tuple[float, Key, int, int]] = []
        for key, waiting in lately.pending.items():
            ended = lately.ended[key].all if key in lately.ended else 0
            before = usual.ended[key].all if key in usual.ended else 0
            left = usual.pending.get(key, 0)
            share = (left + _PENDING_SHARE * _PENDING_WEIGHT) / (before + left + _PENDING_WEIGHT)
            whole = waiting + ended
            if waiting >= self.settings.delivery_minimum / 2 and waiting / whole >= share + 0.2:
                found.append((ratio(waiting, whole, share), key, waiting, whole))
        keep = [key for key in self._troubles if key.startswith(UNFINISHED)]
        unlikely, key, waiting, whole = max(found, default=(0.0, ALL, 0, 0))
        if unlikely < (USUAL_AGAIN if keep else UNUSUAL):
            return []
        name = keep[0] if keep else UNFINISHED + ":".join(filter(None, key))
        where = _where(key)
        text = (
            f"{waiting} of {whole} texts {where}of the last minutes have no final state after "
            f"{PATIENCE.seconds // 60} min. Texts are slow, or their status callbacks do not come: "
            "see https://status.twilio.com, and `ringback doctor`."
        ).replace("  ", " ")
        details = {"Cause": "unfinished", "By": key.by, "Of": key.of, "Fault": "carrier",
                   "Failed": str(waiting), "Ended": str(whole)}  # fmt: skip
        return [(name, Trouble(text, details, waiting))]

    def _leaving(self, lately: Lately, usual: Usually) -> list[tuple[str, Trouble]]:
        """People who leave, when they are more than usual."""
        name = "delivery:opt_outs"
        expected = (usual.left + 1.0) * (LEAVING / DAY) + 0.2
        unlikely = ratio(lately.left, 1_000_000, expected / 1_000_000)
        if unlikely < (USUAL_AGAIN if name in self._troubles else UNUSUAL):
            return []
        if lately.left < LEAST_FAILURES:
            return []
        text = (
            f"{lately.left} people opted out within {LEAVING.seconds // 60} min; "
            f"{expected:.1f} are usual. Stop the campaign that they answer to: "
            "`ringback consents list` names them."
        )
        details = {"Cause": "opt_outs", "Fault": "ours", "Failed": str(lately.left)}
        return [(name, Trouble(text, details, lately.left))]

    async def _settle(self, found: Mapping[str, Trouble]) -> None:
        for key, trouble in found.items():
            known = self._troubles.get(key)
            if known is None:
                self._troubles[key] = trouble
                continue
            known.text, known.details, known.size = trouble.text, trouble.details, trouble.size
            known.seen, known.unseen = known.seen + 1, 0
            await self._tell(key, known)
        for key in [key for key in self._troubles if key not in found]:
            known = self._troubles[key]
            known.unseen += 1
            if not known.open or known.unseen >= LOOKS_TO_END:
                del self._troubles[key]
                if known.open:
                    await self.incidents.resolve(key, KIND, "it is as usual again")

    async def _tell(self, key: str, trouble: Trouble) -> None:
        """Open the incident, or bring it up to date when it is half as large again."""
        if not trouble.open and trouble.seen < LOOKS_TO_OPEN:
            return
        if not trouble.open:
            since = self.runtime.now() - timedelta(seconds=LOOK_SECONDS)
            await self.incidents.open(key, KIND, trouble.text, since=since, more=trouble.details)
            trouble.open, trouble.told = True, trouble.size
        elif trouble.size >= 1.5 * trouble.told + 1:
            await self.incidents.update(key, KIND, trouble.text, trouble.details)
            trouble.told = trouble.size


def _failing_trouble(found: Finding) -> tuple[str, Trouble]:
    cause, known = found.cause, explain_error(found.code)
    where, why = _where(cause.key), cause.error_class
    code = f"error {found.code}: {known.title}" if found.code else "no code was reported"
    text = (
        f"{found.failed} of {found.ended} texts {where}failed as {why} within "
        f"{SPAN.seconds // 60} min, {found.share:.0%} where {found.usual:.1%} is usual ({code}). "
        f"{known.remedy}"
    ).rstrip()
    details = {
        "Cause": why, "By": cause.key.by, "Of": cause.key.of, "Fault": known.fault,
        "Failed": str(found.failed), "Ended": str(found.ended), "Code": str(found.code),
        "Examples": " ".join(found.examples), "Mend": known.remedy,
    }  # fmt: skip
    return f"{FAILING}{cause.name}", Trouble(text, details, found.failed)


def _where(key: Key) -> str:
    words = {"sender": "from", "rule": "of rule", "country": "to"}
    return f"{words[key.by]} {key.of} " if key.by in words else ""
