"""Tests of the clock file: one time for all processes of a node of `ringback dev`."""

import os
import subprocess
import sys
import time
from pathlib import Path

from ringback.private_files import make_file
from ringback.runtime import CLOCK, ClockFile

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


def test_a_process_that_is_told_of_a_clock_file_lives_by_it(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    ClockFile(path).move(86_400)
    for environ, ahead in (({CLOCK: str(path)}, 86_400), ({}, 0)):
        done = subprocess.run(
            [sys.executable, "-c", ASK], capture_output=True, text=True, check=True,
            env={**os.environ, **environ},
        )  # fmt: skip
        assert abs(float(done.stdout) - time.time() - ahead) < 30
