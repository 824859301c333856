"""Retention of the log: blanks old texts and deletes old rows, once a day.

The receiver does it, as the log's only writer. Small steps with a pause between them: a webhook
never waits for more than one.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from ringback.config import Settings
from ringback.errors import RingbackError
from ringback.runtime import REAL, Runtime, iso
from ringback.store.log import Log
from ringback.store.upkeep.retention import matched_on_server, matched_up_to

FIRST_SECONDS = 60.0
DAY_SECONDS = 24 * 3600.0
PAUSE_SECONDS = 0.02
STEP_ROWS = 250

_logger = logging.getLogger("ringback.receiver")


async def daily(settings: Settings, log: Log, runtime: Runtime = REAL) -> None:
    """Tidy the log soon after the start and then every day, until cancelled."""
    wait = FIRST_SECONDS
    while settings.keep_bodies_days or settings.keep_rows_days:
        await asyncio.sleep(wait)
        wait = DAY_SECONDS
        try:
            blanked, retired = await tidy(settings, log, runtime.now())
        except RingbackError as error:
            _logger.error("old rows of the log could not be deleted: %s", error)
        else:
            _logger.info("log: %d rows blanked, %d rows deleted for their age", blanked, retired)


async def tidy(settings: Settings, log: Log, now: datetime) -> tuple[int, int]:
    """Blank and delete what is older than the settings allow; how many rows were touched by each.

    Rows that the worker has not matched yet stay as they are. Raises StorageError or DataError.
    """
    matched = (
        await matched_on_server(log) if settings.database_url else matched_up_to(settings.data)
    )
    counts = [0, 0]
    for index, (days, step) in enumerate(
        (
            (settings.keep_bodies_days, log.blank),
            (settings.keep_rows_days, log.retire),
        )
    ):
        before = iso(now - timedelta(days=days))
        while days and (touched := await step(before, matched, STEP_ROWS)):
            counts[index] += touched
            await asyncio.sleep(PAUSE_SECONDS)
    return counts[0], counts[1]
