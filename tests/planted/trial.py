"""Trials of planted faults: each in a copy of the tree, by the tests that must notice it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

from planted.table import ROOT, Fault, outdated

LIMIT = 150.0
"""So many seconds the tests of one fault may take."""
CONTROL_LIMIT = 600.0
"""So many seconds the tests of all of them may take without any."""
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv", ".nox", ".mypy_cache", ".ruff_cache", ".hypothesis", "data", "planted"
)
NOTICED, UNNOTICED = 1, 0
"""The exit codes of pytest for tests that failed, and for tests that all passed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one fault: the tests that failed, or what is wrong with the trial."""

    name: str
    noticed_by: tuple[str, ...]
    problem: str
    seconds: float


class Copy:
    """A copy of the tree. Its files get times of their own, so that no compiled module of before is
    taken for theirs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        shutil.copytree(ROOT, self.root, ignore=LEFT_OUT, symlinks=True)
        shutil.copytree(ROOT / "tests" / "data", self.root / "tests" / "data")
        self._moment = 1_000_000_000

    def write(self, path: Path, text: str) -> None:
        """Put another text into a file."""
        target = self.root / path
        target.write_text(text, "utf-8")
        self._moment += 10
        os.utime(target, (self._moment, self._moment))

    def test(self, tests: Sequence[str], limit: float) -> tuple[int, str]:
        """Run tests of the copy against the copy: pytest's exit code, and what it says."""
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-rfE"),
            *("--no-header", "--timeout", "90", "-m", "slow or not slow"),
            *(f"tests/{test}" for test in tests),
        ]
        environ = {**os.environ, "PYTHONPATH": str(self.root / "engine")}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        environ.pop("PYTEST_ADDOPTS", None)
        environ = {name: value for name, value in environ.items() if "XDIST" not in name}
        try:
            done = subprocess.run(
                command, cwd=self.root, env=environ, capture_output=True, text=True, check=False,
                timeout=limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return -1, f"they did not end in {limit:g} s"
        return done.returncode, done.stdout + done.stderr


def tried(fault: Fault, copy: Copy) -> Result:
    """Plant a fault, run its tests, and take it out again."""
    begun = monotonic()
    stale = outdated(fault, copy.root)
    if stale:
        return Result(fault.name, (), "; ".join(stale), 0.0)
    before = {change.path: (copy.root / change.path).read_text("utf-8") for change in fault.changes}
    try:
        for change in fault.changes:
            text = (copy.root / change.path).read_text("utf-8")
            copy.write(change.path, text.replace(change.find, change.put))
        code, said = copy.test(fault.tests, LIMIT)
    finally:
        for path, text in before.items():
            copy.write(path, text)
    failed = tuple(re.findall(r"^(?:FAILED|ERROR) tests/(\S+)", said, re.MULTILINE))
    problem = ""
    if code == UNNOTICED and re.search(r"^\d+ skipped", said, re.MULTILINE):
        failed = ("(skipped: a tool that its tests need is not installed)",)
    elif code == UNNOTICED:
        problem = f"no test notices it: {', '.join(fault.tests)} passed"
    elif code != NOTICED or not failed:
        problem = f"its tests could not be run: {said.strip()[-1000:]}"
    return Result(fault.name, failed, problem, monotonic() - begun)


def control(faults: Sequence[Fault], copy: Copy) -> str:
    """What is wrong with the tests before anything is planted; empty when they pass."""
    tests = dict.fromkeys(test for fault in faults for test in fault.tests)
    code, said = copy.test(list(tests), CONTROL_LIMIT)
    return "" if code == UNNOTICED else f"without any fault: {said.strip()[-2000:]}"


def trials(faults: Sequence[Fault], processes: int, *, controlled: bool) -> Iterator[Result]:
    """Try all faults, in so many copies at once. With `controlled` the tests are first run without
    any fault: when they fail then, that is the one result."""
    processes = max(1, min(processes, len(faults)))
    with tempfile.TemporaryDirectory(prefix="ringback-planted-") as folder:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(processes):
            place = Path(folder) / str(number)
            place.mkdir()
            copies.put(Copy(place))

        def one(work: Fault | Sequence[Fault]) -> Result:
            copy = copies.get()
            try:
                if isinstance(work, Fault):
                    return tried(work, copy)
                begun = monotonic()
                problem = control(work, copy)
                return Result("(none)", (), problem, monotonic() - begun)
            finally:
                copies.put(copy)

        work: list[Fault | Sequence[Fault]] = [*faults]
        if controlled:
            work[:0] = [faults[part::processes] for part in range(processes)]
        with ThreadPoolExecutor(processes) as pool:
            yield from pool.map(one, work)
