"""Planted faults: the table is true to the source, and, among the slow tests, each is noticed."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from planted.table import ROOT, Change, Fault, faults, outdated

FAULTS = faults()


def test_each_text_is_in_the_source_once_and_leaves_python_behind() -> None:
    """A fault that cannot be planted any more, or that no module survives, tests nothing."""
    assert [problem for fault in FAULTS for problem in outdated(fault)] == []
    for fault in FAULTS:
        texts = {change.path: (ROOT / change.path).read_text("utf-8") for change in fault.changes}
        for change in fault.changes:
            texts[change.path] = texts[change.path].replace(change.find, change.put)
        for path, text in texts.items():
            compile(text, str(path), "exec")


def test_each_test_that_is_named_is_there() -> None:
    """By its file and its function."""
    for fault in FAULTS:
        assert fault.tests, f"{fault.name} names no test"
        for test in fault.tests:
            file, _, function = test.partition("::")
            text = (ROOT / "tests" / file).read_text("utf-8")
            assert not function or f"def {function}(" in text, f"{fault.name}: {test}"


def test_names_tell_faults_apart() -> None:
    """Each is said once."""
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("find", "problem"),
    [("rank", "times in outcomes.py"), ("no such text", "is 0 times in outcomes.py")],
)
def test_a_text_that_is_not_there_once_is_named(find: str, problem: str) -> None:
    """With the fault it belongs to."""
    fault = Fault("a fault", (Change("outcomes.py", find, ""),), ("unit/test_outcomes.py",))
    (found,) = outdated(fault)
    assert found.startswith(f"a fault: {find!r} ")
    assert problem in found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_planted_faults_are_noticed() -> None:
    """A third of them each day, each in a copy of the tree, two at a time: all of them take a
    quarter of an hour. Without any fault the same tests pass."""
    third = datetime.now(UTC).toordinal() % 3
    done = subprocess.run(
        [sys.executable, str(Path("tests") / "planted"), "--third", str(third)], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(FAULTS[third::3])} faults, 0 wrong" in done.stdout
