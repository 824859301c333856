"""What time is it at Twilio? Our own wall clock may be wrong, and may be set while we work.

What was sent is found again by when Twilio says that it made the record. So the moments that are
held against its records are told in its time: the `Date` of its last answer, carried on by the
monotonic clock. While the two walls agree, ours is used.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ringback.seams import Seams

AGREE = timedelta(seconds=5)
"""Two clocks that are no further apart than this show the same time."""
FRESH_SECONDS = 1.0
REMEMBERED = 1000


class Clock:
    """Twilio's clock, as far as it was heard."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._said: datetime | None = None
        self._at = 0.0
        self._began: dict[str, float] = {}

    @property
    def heard(self) -> bool:
        """Whether an answer has told the time yet."""
        return self._said is not None

    def hear(self, date: str) -> None:
        """An answer came with this `Date` (RFC 9110, 5.6.7), empty when it had none."""
        now = self._seams.monotonic()
        if not date or (self._said is not None and 0 <= now - self._at < FRESH_SECONDS):
            return
        try:
            said = parsedate_to_datetime(date)
        except ValueError:
            return
        self._said = said if said.tzinfo else said.replace(tzinfo=UTC)
        self._at = now

    def now(self) -> datetime:
        """The moment at Twilio; our own while nothing was heard, or while both agree."""
        ours = self._seams.now()
        theirs = self._theirs()
        return ours if theirs is None or abs(theirs - ours) <= AGREE else theirs

    def began(self, action_uid: str) -> None:
        """A request leaves. What leaves before Twilio was heard is remembered by its own clock."""
        if self._said is not None:
            self._began.pop(action_uid, None)
            return
        self._began[action_uid] = self._seams.monotonic()
        while len(self._began) > REMEMBERED:
            del self._began[next(iter(self._began))]

    def starts(self, action_uid: str, noted: datetime) -> tuple[datetime, ...]:
        """When, at Twilio, a request may have left that was noted at this moment.

        It may have been noted by a wrong clock of ours, before Twilio was heard: then the time by
        which that clock is wrong still, if it is, counts too. Empty when all of it would lie in the
        future: then nobody knows when it was.
        """
        now = self.now()
        if action_uid in self._began:
            passed = self._seams.monotonic() - self._began[action_uid]
            return (now - timedelta(seconds=passed),)
        wrong = self._seams.now() - now
        moments = (noted, noted - wrong) if wrong else (noted,)
        return tuple(moment for moment in moments if moment <= now + AGREE)

    def _theirs(self) -> datetime | None:
        if self._said is None:
            return None
        return self._said + timedelta(seconds=self._seams.monotonic() - self._at)
