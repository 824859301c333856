"""A power cut at any moment: what was acknowledged is there, and the file is sound.

A process writes to a real log or journal while each write, truncation and sync of its files is
recorded. The record is played up to a moment, and of what no sync had reached yet each piece is
kept or lost by chance, also in parts, as a disk with a cache would. Then SQLite opens what is left.
"""

import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

FOLDER = Path(__file__).with_name("power")
FILES = ("log.db", "journal.db")
CUTS = pytest.mark.parametrize(
    "cuts", [80, pytest.param(1000, marks=pytest.mark.slow)], ids="{} cuts".format
)
ENTRIES = 1200
SECTOR = 512
HEAD = struct.Struct("=IIQQ")


class Op(NamedTuple):
    """One thing that the process did to a file: w(rite), t(runcate), s(ync), u(nlink), or a line
    of acknowledgements."""

    kind: str
    name: str
    offset: int
    data: bytes


@pytest.fixture(scope="module")
def recorder() -> Iterator[Path]:
    """The recorder, compiled."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "recorder.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", library, FOLDER / "recorder.c", "-ldl"],
            check=True,
        )
        yield library


def record(recorder: Path, folder: Path, name: str, *synchronous: str) -> list[Op]:
    """Let the process write to this database and end; everything that it did to its files."""
    data, record_to = folder / "data", folder / "record"
    data.mkdir()
    subprocess.run(
        [sys.executable, FOLDER / "recorded.py", data, name, str(ENTRIES), *synchronous],
        check=True,
        env={
            **os.environ, "LD_PRELOAD": str(recorder), "RECORD_FOLDER": str(data),
            "RECORD_TO": str(record_to),
        },
    )  # fmt: skip
    if not record_to.exists():
        pytest.skip("this SQLite does not call the C library where it can be recorded")
    raw, at, ops = record_to.read_bytes(), 0, []
    while at < len(raw):
        kind, named, offset, size = HEAD.unpack_from(raw, at)
        at += HEAD.size
        path = raw[at : at + named].decode()
        at += named
        length = size if chr(kind) in "wa" else 0
        ops.append(Op(chr(kind), Path(path).name, offset, raw[at : at + length]))
        at += length
    return [op for op in ops if not op.name.endswith("-shm")]


class Disk:
    """What is on the platter, and what is still on its way to it, by file."""

    def __init__(self) -> None:
        self.solid: dict[str, bytearray] = {}
        self.loose: dict[str, list[Op]] = {}
        self.acknowledged: set[int] = set()

    def take(self, op: Op) -> None:
        """One more thing happens."""
        if op.kind == "a":
            self.acknowledged.update(int(line) for line in op.data.split())
        elif op.kind == "s":
            content = self.solid.setdefault(op.name, bytearray())
            for earlier in self.loose.pop(op.name, ()):
                apply(content, earlier)
        elif op.kind == "u":
            self.solid.pop(op.name, None)
            self.loose.pop(op.name, None)
        else:
            self.loose.setdefault(op.name, []).append(op)

    def cut(self, rng: random.Random, folder: Path) -> None:
        """The power goes: write what is left of the files into a folder."""
        for name in self.solid.keys() | self.loose.keys():
            content = bytearray(self.solid.get(name, b""))
            share = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0))
            for op in self.loose.get(name, ()):
                if op.kind == "t":
                    if rng.random() < share:
                        apply(content, op)
                    continue
                for start in range(0, len(op.data), SECTOR):
                    if rng.random() < share:
                        piece = op.data[start : start + SECTOR]
                        apply(content, op._replace(offset=op.offset + start, data=piece))
            (folder / name).write_bytes(content)


def apply(content: bytearray, op: Op) -> None:
    """Do to a content what was done to the file."""
    if op.kind == "t":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def after_cut(folder: Path, name: str) -> set[int]:
    """What SQLite finds when it opens the file again, which must be sound."""
    if not (folder / name).exists():
        return set()
    table, entries = {
        "log.db": ("log", "select body from log"),
        "journal.db": ("meta", "select key from meta where key glob '[0-9]*'"),
    }[name]
    connection = sqlite3.connect(folder / name, isolation_level=None)
    try:
        assert connection.execute("pragma integrity_check").fetchone()[0] == "ok"
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        if (table,) not in tables.fetchall():
            return set()
        return {int(row[0][:6]) for row in connection.execute(entries)}
    finally:
        connection.close()


def lost_in(ops: list[Op], name: str, cuts: int) -> tuple[int, int]:
    """How many cuts lost acknowledged rows, and how many rows the worst of them lost."""
    rng = random.Random(2026)
    moments = sorted(rng.randrange(1, len(ops) + 1) for _ in range(cuts))
    disk, at, bad, worst = Disk(), 0, 0, 0
    memory = Path("/dev/shm")
    for moment in moments:
        for op in ops[at:moment]:
            disk.take(op)
        at = moment
        with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            disk.cut(rng, Path(folder))
            missing = disk.acknowledged - after_cut(Path(folder), name)
        bad += bool(missing)
        worst = max(worst, len(missing))
    assert len(disk.acknowledged) > ENTRIES * 0.9
    return bad, worst


@CUTS
@pytest.mark.parametrize("name", FILES)
def test_no_acknowledged_row_is_lost_in_a_power_cut(
    recorder: Path, tmp_path: Path, name: str, cuts: int
) -> None:
    """Opened as a node opens it: every row that was acknowledged is there."""
    ops = record(recorder, tmp_path, name)
    assert sum(op.kind == "s" and op.name == name for op in ops) > 2, "no checkpoint happened"
    assert lost_in(ops, name, cuts) == (0, 0)


@pytest.mark.parametrize("name", FILES)
def test_without_a_sync_for_each_commit_rows_are_lost(
    recorder: Path, tmp_path: Path, name: str
) -> None:
    """The same cuts with `synchronous = normal` lose rows: the test above can fail."""
    bad, worst = lost_in(record(recorder, tmp_path, name, "normal"), name, 50)
    assert bad > 10, f"{bad} of 50 cuts lost rows"
    assert worst > 10
