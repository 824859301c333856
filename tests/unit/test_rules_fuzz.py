"""Rule files that are good, with something broken in them: no crash, no hang, always a place.

`RINGBACK_FUZZ` is how many files to make; the default keeps the suite fast.
"""

import os
import random
import time
from pathlib import Path

import pytest

from ringback.errors import Problem
from ringback.rules.files.load import load_rules
from ringback.rules.files.report import render

ROOT = Path(__file__).parents[2]
SEEDS = [
    path.read_text(encoding="utf-8")
    for path in [
        *sorted((ROOT / "rules").glob("*.yaml")),
        *sorted((ROOT / "tests" / "data" / "good_rules").glob("*.yaml")),
    ]
]
ROUNDS = int(os.environ.get("RINGBACK_FUZZ", "200"))
BITS = [
    "'",
    '"',
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "  ",
    "\t",
    "#",
    "&a ",
    "*a",
    "!!str ",
    "|",
    ">",
    "%",
    "${{",
    "}}",
    "${{ event.body }}",
    "\\",
    "\u2028",
    "é",
    "😀",
    "0",
    "-1",
    "1e9",
    "null",
    "~",
    "true",
    "999999999999",
    "event.body",
    "==",
    "&&",
    "(",
    ")",
    "matches('(')",
    "on",
    "include: ../shared/*.yaml\n",
    "hooks: {shop: {secret: {$env: X}}}\n",
    "hook.data.a",
    "{$env: X}",
    "if",
    "do",
    "reply",
    "\x00",
    "\x07",
    "---\n",
    "...\n",
    "?",
]


def mutate(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        size = rng.choice([1, 1, 2, 5, 20, 80])
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at] + rng.choice(BITS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[at + size :]
        elif kind == 2:
            text = text[:at] + rng.choice(BITS) + text[at + size :]
        elif kind == 3:
            text = text[:at] + text[at : at + size] * rng.randint(2, 30) + text[at + size :]
        elif kind == 4:
            lines = text.split("\n")
            rng.shuffle(lines) if rng.random() < 0.1 else lines.pop(rng.randrange(len(lines)))
            text = "\n".join(lines) or "\n"
        else:
            other = rng.choice(SEEDS)
            start = rng.randrange(len(other))
            text = text[:at] + other[start : start + size] + text[at:]
    return text


def placed(problem: Problem) -> bool:
    return (
        problem.line >= 1 and problem.column >= 1 and bool(problem.message) and bool(problem.kind)
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_thousands_of_mutations_are_loaded_or_refused_with_a_place(tmp_path: Path) -> None:
    run(tmp_path, random.Random(6), 4_000)


def test_mutations_of_good_files_are_loaded_or_refused_with_a_place(tmp_path: Path) -> None:
    run(tmp_path, random.Random(20261122), ROUNDS)


def run(tmp_path: Path, rng: random.Random, rounds: int) -> None:
    path = tmp_path / "fuzz.yaml"
    slowest = 0.0
    rejected = 0
    for number in range(rounds):
        text = mutate(rng.choice(SEEDS), rng)
        path.write_bytes(text.encode("utf-8"))
        start = time.thread_time()
        loaded = load_rules([path])
        slowest = max(slowest, time.thread_time() - start)
        assert all(map(placed, loaded.problems)), (number, loaded.problems, text)
        assert len({rule.name for rule in loaded.rules}) == len(loaded.rules)
        rejected += bool(loaded.problems)
        for form in ("text", "json", "github"):
            render(loaded.problems, form)
    assert rejected > rounds // 3
    assert slowest < 2.0


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_a_file_cut_at_any_place_is_loaded_or_refused_with_a_place(
    seed: str, tmp_path: Path
) -> None:
    path = tmp_path / "cut.yaml"
    step = max(1, len(seed) // 40)
    for end in range(0, len(seed), step):
        path.write_text(seed[:end], encoding="utf-8")
        assert all(map(placed, load_rules([path]).problems)), seed[:end]
