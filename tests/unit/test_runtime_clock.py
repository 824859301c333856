"""Tests of the clock file: one time for all processes of a node of `ringback dev`."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ringback.cli.rule_override import end_of
from ringback.errors import UsageError
from ringback.private_files import make_file
from ringback.runtime import CLOCK, ClockFile, from_person, iso

ASK = "from ringback.runtime import REAL; print(REAL.time())"


def test_a_moved_clock_is_seen_by_all_and_never_goes_back(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    make_file(path)
    mine, theirs = ClockFile(path), ClockFile(path)
    assert mine.ahead == theirs.ahead == 0
    mine.move(3600)
    assert theirs.ahead == 3600
    assert 3590 < theirs.time() - time.time() < 3610
    theirs.move(-60)
    theirs.move(60)
    assert (mine.ahead, ClockFile(path).ahead) == (3660, 3660)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-03-04T17:00Z", "2026-03-04T17:00:00.000Z"),
        (" 2026-03-04T17:00+01:00 ", "2026-03-04T16:00:00.000Z"),
        ("2026-03-04T17:00", "has no zone"), ("2026-03-04", "has no zone"),
        ("soon", "is no time"), ("0001-01-01T00:00+14:00", "is no time"),
    ],
)  # fmt: skip
def test_a_moment_that_a_person_writes_has_its_zone(written: str, read: str) -> None:
    """The shell reads it so too."""
    if read.startswith("2"):
        assert iso(from_person(written)) == end_of(written) == read
        return
    with pytest.raises(ValueError, match=read):
        from_person(written)
    with pytest.raises(UsageError, match=read):
        end_of(written)


def test_a_process_that_is_told_of_a_clock_file_lives_by_it(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    ClockFile(path).move(86_400)
    for environ, ahead in (({CLOCK: str(path)}, 86_400), ({}, 0)):
        done = subprocess.run(
            [sys.executable, "-c", ASK], capture_output=True, text=True, check=True,
            env={**os.environ, **environ},
        )  # fmt: skip
        assert abs(float(done.stdout) - time.time() - ahead) < 30
