"""Broken rule files: every mistake of every file in one run, each at its exact place."""

import os
import re
import time
from pathlib import Path

import pytest

from ringback.rules.files.load import load_rules
from ringback.rules.files.yaml_tree import MAX_BYTES

BROKEN = Path(__file__).parents[1] / "data" / "broken_rules"
LIBRARY = "[...]"  # stands in expected.txt for words of a library, and for lists that grow


def test_every_mistake_of_every_file_is_found_in_one_run_at_its_place() -> None:
    loaded = load_rules(BROKEN)
    expected = (BROKEN / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert len(loaded.problems) == len(expected)
    for problem, line in zip(loaded.problems, expected, strict=True):
        pattern = re.escape(line).replace(re.escape(LIBRARY), ".+")
        assert re.fullmatch(pattern, str(problem)), (str(problem), line)


def test_every_file_of_the_folder_has_a_problem() -> None:
    named = {problem.file for problem in load_rules(BROKEN).problems}
    assert named == {f"broken_rules/{path.name}" for path in BROKEN.glob("*.yaml")}


def test_every_kind_of_problem_is_among_them() -> None:
    kinds = {problem.kind for problem in load_rules(BROKEN).problems}
    assert kinds == {
        "duplicate", "hours", "limit", "name", "regex", "schedule", "schema", "span", "syntax",
        "type", "yaml", "zone",
    }  # fmt: skip


def test_a_problem_carries_the_line_that_it_points_into() -> None:
    for problem in load_rules(BROKEN).problems:
        lines = (BROKEN.parent / problem.file).read_text(encoding="utf-8").split("\n")
        assert problem.source == lines[problem.line - 1]
        assert 1 <= problem.column <= len(problem.source) + 1


def test_rules_that_are_right_load_beside_rules_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "rules:\n"
        "  - {name: good, on: message.received, do: [{reply: Hi}]}\n"
        "  - {name: bad, on: message.received, do: [{replly: Hi}]}\n"
    )
    (tmp_path / "b.yaml").write_text("rules: [")
    loaded = load_rules(tmp_path)
    assert [rule.name for rule in loaded.rules] == ["good"]
    assert [(item.file[-6:], item.line) for item in loaded.problems] == [
        ("a.yaml", 3),
        ("b.yaml", 1),
    ]


@pytest.mark.parametrize(
    ("data", "line", "column", "kind"),
    [
        (b"rules: []\x00\n", 1, 10, "encoding"),
        (b"rules: []\n# caf\xe9\n", 2, 6, "encoding"),
        ("rules: []\n".encode("utf-16"), 1, 1, "encoding"),
        (b"rules: []\n# \x1b[31mred\n", 2, 3, "encoding"),
        (b"a: " + b"[" * 30 + b"]" * 30, 1, 23, "limit"),
        (b"a: " + b"[" * 200_000, 1, 23, "limit"),
        (b"\n".join(b"  " * n + b"a:" for n in range(30)), 21, 41, "limit"),
        (b"a: &x 1\n" + b"".join(b"b%d: *x\n" % n for n in range(200)), 102, 7, "limit"),
        (b"x: 1\n" * 10_001, 10000, 4, "limit"),
        (b"a: *nowhere\n", 1, 4, "yaml"),
        (b"%YAML 9.9\n---\na: b\n", 1, 1, "yaml"),
    ],
)
def test_hostile_bytes_are_refused_with_a_place(
    tmp_path: Path, data: bytes, line: int, column: int, kind: str
) -> None:
    (tmp_path / "x.yaml").write_bytes(data)
    first = load_rules(tmp_path).problems[0]
    assert (first.line, first.column, first.kind) == (line, column, kind)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfrules: [{name: a, on: nope, do: [stop]}]\n")
    found = load_rules(tmp_path).problems
    assert [(each.line, each.column, each.message) for each in found] == [
        (1, 23, "unknown event type 'nope'")
    ]


def test_what_is_no_rule_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    (tmp_path / "missing.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "notes.txt").write_text("not a rule file")
    (tmp_path / ".hidden.yaml").write_text("[")
    found = {Path(each.file).name: each.kind for each in load_rules(tmp_path).problems}
    assert found == {
        "large.yaml": "limit", "pipe.yaml": "file", "loop.yaml": "file", "device.yaml": "file",
        "missing.yaml": "file",
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text("rules: []")
    path.chmod(0)
    assert [each.kind for each in load_rules(tmp_path).problems] == ["file"]


def test_a_folder_that_is_not_there_has_no_rules(tmp_path: Path) -> None:
    loaded = load_rules(tmp_path / "nothing")
    assert loaded.rules == ()
    assert loaded.problems == []


def test_lists_and_hours_of_one_file_are_known_in_another_and_may_not_be_there_twice(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.yaml").write_text(
        "lists: {vip: [+15551234567]}\nhours: {office: {tz: UTC, open: daily 00:00-24:00}}\n"
    )
    (tmp_path / "b.yaml").write_text(
        "rules:\n"
        "  - name: vip\n"
        "    on: message.received\n"
        "    if: event.from in lists.vip && is_open('office', event.at)\n"
        "    do: [{reply: Hi}]\n"
    )
    assert load_rules(tmp_path).problems == []
    (tmp_path / "c.yaml").write_text("lists: {vip: []}\n")
    assert [str(each) for each in load_rules(tmp_path).problems] == [
        f"{tmp_path.name}/c.yaml:1:9: duplicate: lists 'vip' are there twice, in two files"
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "rules:\n" + "  - x\n" * 9900,
        "lists:\n" + "".join(f"  a{n}: x\n" for n in range(9000)),
        "rules:\n  - name: a\n    on: message.received\n    if:\n" + "      - event.body\n" * 9000,
        '"' + "\\x41" * 60_000,
        "a: |\n" + " x\n" * 80_000,
        "[a," * 80_000,
        "? " * 100_000,
    ],
    ids=range(7),
)
def test_thousands_of_mistakes_are_found_in_a_short_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    start = time.thread_time()
    assert load_rules(tmp_path).problems
    assert time.thread_time() - start < 5
