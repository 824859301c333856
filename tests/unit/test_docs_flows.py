"""The flows of the manual: each is good, its cases hold, and the table counts what there is."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from ringback.rules.files.load import load_rules
from ringback.testing.cases import run_cases

FLOWS = Path(__file__).parents[2] / "docs" / "flows"
PAGES = sorted(FLOWS.glob("[0-9]*.md"))
INDEX = (FLOWS / "index.md").read_text(encoding="utf-8")


class Original(NamedTuple):
    """What people use today for a flow: a file of a public repository, and its lines."""

    repository: str
    file: str
    lines: int


def rules_of(page: Path) -> str:
    """The one rule file of a page."""
    (found,) = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    return str(found)


def lines_of(rules: str) -> int:
    """How many lines a flow has: without its cases, empty lines and comments."""
    said = (line.strip() for line in rules.partition("\ncases:\n")[0].splitlines())
    return sum(1 for line in said if line and not line.startswith("#"))


def originals_of(page: Path) -> list[Original]:
    """What the page says that it replaces."""
    found = re.findall(r"^- `(\S+)`, `(\S+)`: (\d+) lines$", page.read_text("utf-8"), re.M)
    return [Original(repository, file, int(lines)) for repository, file, lines in found]


def row_of(page: Path) -> str:
    """The row of a flow in the table, as it must be."""
    title = page.read_text("utf-8").partition("\n")[0].removeprefix("# ")
    originals = originals_of(page)
    names = ", ".join(dict.fromkeys(f"`{each.repository}`" for each in originals)) or "none found"
    count = sum(each.lines for each in originals) or ""
    return f"| [{title}]({page.name}) | {lines_of(rules_of(page))} | {names} | {count} |"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_flow_is_good_and_does_what_its_cases_say(page: Path, tmp_path: Path) -> None:
    """`ringback check` has nothing to say, and `ringback test` neither."""
    path = tmp_path / "flow.yaml"
    path.write_text(rules_of(page))
    assert [str(problem) for problem in load_rules([path]).problems] == []
    results = run_cases(path)
    assert len(results) >= 2
    assert [str(result.problem) for result in results if not result.good] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_flow_says_what_it_is_for_and_what_it_replaces(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.match(r"# .+\n\n[A-Z].+\n", text)
    replaced = text.partition("\n## What it replaces\n")[2]
    assert originals_of(page) or replaced.strip().startswith("No public flow")


def test_the_table_counts_the_lines_of_each_flow_and_of_its_original() -> None:
    """It is made of the pages: this fails with the rows as they must be."""
    rows = [line for line in INDEX.splitlines() if line.startswith("| [")]
    assert rows == [row_of(page) for page in PAGES], "\n".join(map(row_of, PAGES))


def test_there_are_twenty_five() -> None:
    assert [int(page.name[:2]) for page in PAGES] == list(range(1, 26))
