"""The page on the architecture, held against the tree, the contracts and the running worker."""

import re
import tomllib
from functools import partial
from pathlib import Path
from random import Random

import pytest

from ringback.cli.actions import STATES
from ringback.cli.runs import STATES as RUN_STATES
from simulation.disturbances import prepare
from simulation.life import settings_for
from simulation.story import Story, quiet

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "engine" / "ringback"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def block(name: str) -> str:
    """The text of a fenced block."""
    found = re.search(rf"^```{name}\n(.*?)^```", PAGE, re.M | re.S)
    assert found, name
    return found.group(1)


def moves() -> set[tuple[str, str]]:
    """The changes of state that the table allows; a new action begins with no state."""
    table = PAGE[PAGE.index("| from | to | when |") :].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    pairs = [([s.strip() for s in a.split(",")], b.split(",")) for a, b in rows]
    return {
        ("" if a == "(new)" else a, b.strip()) for olds, news in pairs for a in olds for b in news
    }


def test_every_path_exists() -> None:
    """Each file and folder that is named in code letters is there."""
    named = re.findall(r"`([\w./-]+\.(?:py|toml|md)|[\w/-]+/)`", PAGE)
    assert len(named) > 40
    wrong = [
        name
        for name in named
        if not (ENGINE / name).exists()
        and not (ROOT / name).exists()
        and not list((ENGINE / "rules").glob(name))
        and not list((ENGINE / "worker").glob(name))
    ]
    assert wrong == []


def test_the_layers_are_those_of_the_contract() -> None:
    """The picture has the rows of the import contract, in its order."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    drawn = [re.split(r" {2,}", line)[0] for line in block("layers").splitlines()]
    assert [set(re.findall(r"\w+", row)) for row in drawn] == [
        set(re.findall(r"\w+", row)) for row in layers
    ]


def test_the_states_are_those_of_the_program() -> None:
    """The diagram and the table know each state of an action, and no other."""
    drawn = set(re.findall(r"\b[a-z]+\b", block("states"))) & set(STATES)
    assert drawn == set(STATES)
    assert {state for move in moves() for state in move} - {""} == set(STATES)
    runs = PAGE[PAGE.index("## The states of a run") :].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z]+)`", runs)) >= set(RUN_STATES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # killed lives
def test_the_worker_moves_actions_as_the_table_says(tmp_path: Path) -> None:
    """Every change of state in stories full of faults, kills, pauses and clocks is in the table."""
    quiet()
    seen: set[tuple[str, str]] = set()
    for seed in (7, 1):
        (folder := tmp_path / str(seed)).mkdir()
        story = Story(seed, folder, settings=settings_for(folder))
        story.play(50, partial(prepare, faults=story.faults, rng=Random(seed)))
        seen |= {(move.old, move.new) for _, move in story.moves if move.kind != "heard"}
    seen = {(old, new) for old, new in seen if old != new}
    assert len(seen) > 10  # one story alone may have fewer, as luck has it
    assert seen <= moves()
