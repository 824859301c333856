"""Tests of the manual's page about calls: verbs, nouns of Dial, seconds, codes."""

from pathlib import Path
from typing import Any

import pytest

from ringback.simulator import vocabulary
from ringback.simulator.voice import (
    documents,
    gather_record,
    lifecycle,
    listening,
    recorder,
    sounds,
)

PAGE = (Path(__file__).parents[3] / "docs/simulator.md").read_text()
SECTION = PAGE.partition("## Calls, verb by verb")[2].partition("\n## ")[0]
TABLE = [line.split(" | ") for line in SECTION.splitlines() if line.startswith("| `")]


def test_every_verb_has_its_row() -> None:
    named = {word for row in TABLE for word in row[0].strip("| ").replace("`", "").split()}
    assert named == vocabulary.VOICE_VERBS


def test_the_nouns_of_dial_are_named() -> None:
    [row] = [row for row in TABLE if "`Dial`" in row[0]]
    for noun in vocabulary.VOICE["Dial"].children:
        assert f"`{noun}`" in row[1]


@pytest.mark.parametrize("code", [12100, 12102, 12300, 11750, 11770, 12200, 13201, 13238, 15004])
def test_the_codes_of_documents_are_named(code: Any) -> None:
    assert str(code) in SECTION


def test_the_seconds_are_those_of_the_program() -> None:
    assert (sounds.CHARACTERS_PER_SECOND, sounds.SHORTEST) == (15, 0.5)
    assert (sounds.PLAY_SECONDS, sounds.TONE_SECONDS, gather_record.BEEP_SECONDS) == (5, 0.25, 0.5)
    assert (lifecycle.SETUP_SECONDS, lifecycle.BUSY_SECONDS) == (0.5, 1)
    assert [lifecycle.DETECTION_SECONDS[who] for who in ("human", "machine", "fax")] == [2, 4, 3]
    assert lifecycle.GREETING_SECONDS == 8
    assert (recorder.PROCESS_SECONDS, recorder.TRANSCRIBE_SECONDS) == (1, 5)
    assert documents.MAX_DOCUMENTS == 1000
    assert listening.PAUSES["w"] == 0.5
    assert (lifecycle.MOST_HOPS, "Five such calls" in SECTION) == (5, True)
    for notices in ("15 letters", "5 · ¼ · ½", "½ · 1 more", "2 · 4 · 3 · 8", "1 · 5"):
        assert notices in SECTION
