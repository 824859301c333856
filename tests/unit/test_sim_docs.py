"""Tests of the manual's page about the simulator: it names every control route."""

from pathlib import Path

import pytest

from ringback.cli.simulator import simulator
from ringback.simulator.app import ROUTES
from ringback.simulator.faults import (
    COMMON,
    HOWS,
    LIST_HOWS,
    REQUEST_FAULTS,
    WEBHOOK_FAULTS,
)
from ringback.simulator.handset import CALL_OUTCOMES, MAGIC_CALLS, MESSAGE_OUTCOMES
from ringback.simulator.ledger import KINDS
from ringback.simulator.plan import PLAN_KEYS, read_plan

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()


@pytest.mark.parametrize("path", sorted({path for _, path, _ in ROUTES}))
def test_every_control_route_is_documented(path: str) -> None:
    assert f"{path}`" in PAGE


@pytest.mark.parametrize("kinds", [REQUEST_FAULTS, WEBHOOK_FAULTS])
def test_every_fault_and_its_options_are_documented(kinds: dict[str, tuple[str, ...]]) -> None:
    for kind, options in kinds.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind}`"))
        for option in options:
            assert f"`{option}`" in row, f"{kind}: {option}"


@pytest.mark.parametrize(
    "word",
    [*COMMON, *HOWS, *LIST_HOWS, *KINDS, *CALL_OUTCOMES, *MAGIC_CALLS],
)
def test_every_word_is_documented(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("word", MESSAGE_OUTCOMES)
def test_every_end_of_a_text_is_documented(word: str) -> None:
    assert f"`{word}" in PAGE


def test_every_option_is_documented() -> None:
    for option in simulator.params:
        assert option.opts[0] in PAGE


def test_the_example_plan_is_a_plan_with_every_key(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PAGE.split("```yaml\n")[1].split("```")[0])
    assert set(read_plan(file)) == set(PLAN_KEYS)
