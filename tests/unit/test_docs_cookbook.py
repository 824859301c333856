"""The cookbook: every rule loads, every case in it is run, and there are enough of them."""

import re
from pathlib import Path

import pytest

from ringback.rules.files.load import load_rules
from ringback.testing.cases import run_cases

PAGE = (Path(__file__).parents[2] / "docs" / "cookbook.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)


def block(text: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize(("title", "text"), RECIPES, ids=[title for title, _ in RECIPES])
def test_a_recipe_does_what_its_cases_say(title: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(block(text))
    assert [str(problem) for problem in load_rules([path]).problems] == []
    results = run_cases(path)
    assert results
    assert [str(result.problem) for result in results if not result.good] == []


def test_there_are_at_least_forty_rules() -> None:
    assert sum(block(text).count("  - name: ") for _, text in RECIPES) > 80
    assert len(RECIPES) >= 40
