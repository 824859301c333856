"""The servers of a test run end with its last process, however that one ended."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from postgres import processes
from postgres.binaries import OLDEST, PROGRAMS
from postgres.fixtures import without
from postgres.keeper import run_folder, shared_server

TESTS = Path(__file__).parents[1]

USER = """
import pathlib, sys
from postgres.keeper import run_folder, shared_server

base, binaries = map(pathlib.Path, sys.argv[1:])
with run_folder(base, binaries) as folder:
    print(shared_server(base, folder, binaries).url(), flush=True)
    sys.stdin.read()
"""


def test_servers_end_with_their_last_user(tmp_path: Path, postgres_binaries: Path) -> None:
    """Two processes share one server. One is killed: the other still has it. Then it goes, and its
    folder with it."""
    words = [sys.executable, "-c", USER, str(tmp_path), str(postgres_binaries)]
    with subprocess.Popen(
        words, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        url = first.stdout.readline().strip()
        with run_folder(tmp_path, postgres_binaries) as folder:
            server = shared_server(tmp_path, folder, postgres_binaries)
            assert server.url() == url
            first.kill()
            first.wait()
            with closing(psycopg.connect(url)) as connection:
                assert connection.execute("select 1").fetchone() == (1,)
            data = server.data
            assert server.running
    processes.until(lambda: not folder.exists(), "the folder goes")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    with run_folder(tmp_path, postgres_binaries) as folder:
        assert folder != data.parents[1]


@pytest.mark.parametrize(("version", "will_do"), [(OLDEST - 1, False), (OLDEST, True)])
def test_programs_that_are_too_old_are_passed_over(
    tmp_path: Path, version: int, *, will_do: bool
) -> None:
    """The PATH is looked at first."""
    for name in PROGRAMS:
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} (PostgreSQL) {version}.3 (Debian)"\n')
        program.chmod(0o755)
    asked = [sys.executable, str(TESTS / "postgres" / "binaries.py")]
    path = f"{tmp_path}{os.pathsep}{os.defpath}"
    done = subprocess.run(
        asked, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip() == str(tmp_path)) is will_do


@pytest.mark.parametrize(
    ("ci", "ends"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_without_postgres_ci_fails(
    monkeypatch: pytest.MonkeyPatch, ci: str, ends: type[BaseException]
) -> None:
    """On a user's machine such tests skip."""
    monkeypatch.setenv("CI", ci)
    with pytest.raises(ends, match="needs"):
        without("needs what is not here")
