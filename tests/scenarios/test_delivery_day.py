"""Days of up to 100,000 texts: each planted trouble is one incident, right and in time."""

from pathlib import Path
from random import Random

import pytest

from delivery_day.day import Day
from delivery_day.troubles import Trouble, judged, troubles


@pytest.mark.slow
async def test_a_filtered_sender_is_one_incident_within_five_minutes(tmp_path: Path) -> None:
    """Of a quarter of an hour in the afternoon, after a quarter that is as usual."""
    key = "delivery:failing:sender:+12025550102:carrier_filtered"
    planted = (
        Trouble("filtered", key, 855, 865, sender="+12025550102", code=30007, share=0.7),
    )  # fmt: skip
    seen = await Day(1, tmp_path, planted, 60_000).play(845, 862)
    assert [each.key for each in seen] == [key]
    assert seen[0].opened - 855 <= 5


@pytest.mark.slow
async def test_twelve_troubles_are_twelve_incidents(tmp_path: Path) -> None:
    """Opened within 5 minutes of its beginning, over within 15 of its end, and no other."""
    planted = troubles(Random("troubles 1"))
    assert len(planted) == 12
    found = judged(planted, await Day(1, tmp_path, planted, 100_000).play())
    assert (found.missed, found.false) == ((), ())
    assert max(found.to_open) <= 5
    assert max(found.to_end) <= 15


@pytest.mark.slow
async def test_a_quiet_day_has_none(tmp_path: Path) -> None:
    assert await Day(1, tmp_path, (), 40_000).play() == []
