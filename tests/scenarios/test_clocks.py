"""Single stories in which the wall clock is wrong, or the sender is chosen late."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ringback.store.sqlite.sqlite_files import connect_reader
from ringback.worker.recovery.repair import Repairer
from simulation.checker import judge
from simulation.faults import calm
from simulation.life import settings_for
from simulation.story import Story, quiet
from simulation.twilio import SERVICE

ANN = "+15551000001"
HOUR = 3600.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a story leaves its files."""
    quiet()
    return tmp_path


def states(folder: Path) -> list[str]:
    """The states of all texts."""
    reader = connect_reader(folder / "journal.db")
    try:
        return [
            row[0] for row in reader.execute(
                "select state from actions where kind = 'send_message' order by id"
            )
        ]  # fmt: skip
    finally:
        reader.close()


def test_a_send_is_found_again_when_the_default_sender_is_a_service(folder: Path) -> None:
    """The list cannot be asked for its sender: that is chosen later, and is a number."""
    settings = replace(settings_for(folder), sender=SERVICE)
    story = Story(1, folder, faults=replace(calm(), callback_lost=1.0), settings=settings)
    story.twilio.next_create = ["reset_after"]
    story.receive(story.text("alert 1", ANN))
    story.run(150.0)
    assert states(folder) in (["accepted"], ["settled"])
    assert len(story.twilio.records) == 1
    story.end()


def heard(folder: Path) -> int:
    """How many texts are on record."""
    reader = connect_reader(folder / "journal.db")
    try:
        found = reader.execute("select count(*) from events where type = 'message.received'")
        return int(found.fetchone()[0])
    finally:
        reader.close()


@pytest.mark.parametrize("wrong", [-3 * HOUR, HOUR])
def test_what_was_put_off_before_the_clock_was_set_is_done_in_time(
    folder: Path, wrong: float
) -> None:
    """A text in doubt, and one to be tried again, are looked after within minutes; once each."""
    story = Story(1, folder, faults=replace(calm(), callback_lost=1.0))
    story.set_clock(24 * HOUR)
    story.twilio.next_create = ["reset_after", "429_wait"]
    story.receive(story.text("echo 1", ANN))
    story.run(1.0)
    story.receive(story.text("echo 2", "+15551000002"))
    story.run(5.0)
    story.set_clock(24 * HOUR + wrong)
    story.run(500.0)
    assert set(states(folder)) <= {"accepted", "settled"}
    assert len(story.twilio.records) == 2
    story.end()
    assert judge(story, drained=False).problems == []


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [-2 * HOUR, 24 * HOUR])
def test_a_first_send_by_a_wrong_clock_is_found_by_a_later_process(
    folder: Path, wrong: float
) -> None:
    """It left before any answer had told the time; then the worker died and the clock was set."""
    story = Story(1, folder, faults=replace(calm(), callback_lost=1.0))
    story.set_clock(wrong)
    story.twilio.next_create = ["reset_after"]
    story.receive(story.text("echo 1", ANN))
    story.run(2.0)
    assert len(story.twilio.records) == 1
    story.kill()
    story.set_clock(HOUR)
    story.start()
    story.run(1000.0)
    assert len(story.twilio.records) == 1
    assert states(folder) in (["accepted"], ["settled"])
    story.end()
    assert judge(story, drained=False).problems == []


@pytest.mark.slow
def test_a_look_back_that_a_wrong_clock_has_noted_for_tomorrow_is_not_believed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that only Twilio's list knows of is fetched all the same."""

    async def ours(repairer: Any) -> Any:
        return repairer._runtime.now()

    story = Story(1, folder, faults=calm())
    with monkeypatch.context() as wrong:
        wrong.setattr(Repairer, "_now", ours)
        story.set_clock(24 * HOUR)
        story.text("echo 1", ANN)
        story.run(1000.0)
        story.set_clock(0.0)
    assert heard(folder) == 0
    story.run(2000.0)
    assert heard(folder) == 1
    story.end()
