"""Functions of plugins: where people look for them."""

import json
from pathlib import Path

import pytest

from ringback.cli.main import main
from ringback.plugins.loader import load_plugins
from ringback.rules.functions.builtins import BUILTINS

ROOT = Path(__file__).parents[2]
BROUGHT = load_plugins(ROOT / "plugins").functions


@pytest.mark.slow
def test_every_function_that_a_rule_may_call_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of the language and those of the project's plugins, each with what it is."""
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(ROOT), "rules", "functions", "--json"])
    assert not ended.value.code
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(row["about"] and row["gives"] for row in rows)
    assert len(rows) == len(BUILTINS) + len(BROUGHT)
    assert ("opt_out_word(string)", "opt_out") in {(row["function"], row["of"]) for row in rows}


def test_every_function_of_a_bundled_plugin_stands_with_the_functions_in_the_manual() -> None:
    section = (ROOT / "docs" / "rules.md").read_text("utf-8").partition("### Functions")[2]
    assert BROUGHT
    for each in BROUGHT:
        assert f"`{each.name}(" in section.partition("\n### ")[0]
