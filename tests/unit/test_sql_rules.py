"""SQL of the store, held to what SQLite and PostgreSQL both understand."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

STORE = Path(__file__).parents[2] / "engine" / "ringback" / "store"
SQLITE_ALONE = (
    "sqlite", "postgres", "digests", "upkeep", "console/pairs.py", "console/access.py",
    "migrations.py",
)  # fmt: skip
"""Modules that speak to one of the two databases."""
RULES = {
    "`insert or`: say `on conflict`": r"\b(insert|update) or (ignore|replace|abort|fail)\b",
    "`on conflict do update` names no columns": r"\bon conflict do update\b",
    "`limit -1`": r"\blimit -1\b",
    "`rowid`": r"\b(_?rowid_?|last_insert_rowid\(\)|total_changes)\b",
    "`glob`": r"\bglob\b",
    "`ifnull`, `iif`, `char(10)`: not on PostgreSQL": r"\b(ifnull|iif|char|printf)\(",
    "`is distinct from`, `->>`: not on SQLite 3.35": r"\bis (not )?distinct from\b|->>?",
    "a sum of truths": r"\bsum\((?!case\b)[^()]*(<|>|=| like | in | is )[^()]*\)",
    "a value as a condition: compare it": r"\b(when|where|and|or) (not )?(\?|:[a-z_]+) "
    r"(then|and|or)\b|\b(and|or|where) not (\?|:[a-z_]+)",
    "a value without a type: cast it": r"(\?|(?<![:\w]):[a-z_]+) is (not )?null\b",
    "NUL: text on PostgreSQL has none": r"\x00",
}  # fmt: skip
STATEMENT = re.compile(r"\b(select|insert|update|delete|where|from|on conflict|order by|set)\b")
COUNTED_UP = re.compile(r"\bdo update set (.*?)(?: where |$)")
COLUMN = re.compile(r"(?<![\w.])([a-z_]+) = (?:coalesce\(|max\(|min\()?\1\b(?!\.)")


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """The texts of a module that look like SQL, values left out, each with its line."""
    tree = ast.parse(module.read_text("utf-8"))
    documents = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
             for part in node.values}  # fmt: skip
    for node in ast.walk(tree):
        if id(node) in documents or id(node) in parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        elif isinstance(node, ast.JoinedStr):
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else "\x1a"
                for part in node.values
            )
        else:
            continue
        if STATEMENT.search(text.lower()):
            yield node.lineno, " ".join(text.lower().split(" "))


def faults(text: str) -> list[str]:
    """The rules that a text of SQL breaks."""
    found = [rule for rule, pattern in RULES.items() if re.search(pattern, text)]
    if any(COLUMN.search(changes) for changes in COUNTED_UP.findall(text)):
        found.append("an upsert that does not name the table of the column it adds to")
    return found


def test_the_store_says_nothing_that_one_database_alone_understands() -> None:
    """Both databases are given one text."""
    wrong = []
    for module in sorted(STORE.rglob("*.py")):
        place = module.relative_to(STORE).as_posix()
        if place.startswith(SQLITE_ALONE):
            continue
        for line, text in texts(module):
            wrong += [f"{place}:{line}: {fault}: {text}" for fault in faults(text)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    ["insert or replace into t (a) values (?)",
     "insert into t (a) values (?) on conflict do update set a = 1",
     "insert into t (a) values (?) on conflict (a) do update set n = n + excluded.n",
     "insert into t (a) values (?) on conflict (a) do update set at = max(at, excluded.at)",
     "select a from t limit -1", "select rowid from t", "select a from t where a glob '+5*'",
     "select ifnull(a, '') from t", "select a from t where a is distinct from b",
     "select sum(state = 'failed') from t", "select case when ? then 1 end from t",
     "select a from t where a = 1 or not :late", "select case when ? is null then a end from t",
     "select a from t where b < 'x\0'"],
)  # fmt: skip
def test_what_one_of_them_refuses_is_found(text: str) -> None:
    assert faults(text)


@pytest.mark.parametrize(
    "text",
    ["insert into t (a) values (?) on conflict (a) do update set n = t.n + excluded.n",
     "select sum(case when state = 'failed' then 1 else 0 end), sum(n) from t",
     "select case when ? <> 0 then 1 end from t", "select a from t where cast(? as text) is null"],
)  # fmt: skip
def test_what_both_understand_is_let_through(text: str) -> None:
    assert not faults(text)
