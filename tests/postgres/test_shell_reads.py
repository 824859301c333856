"""Commands that read, and those that work on files, where log and journal lie on a server."""

import json
import os
import socket
from contextlib import closing
from pathlib import Path

import pytest

from postgres.copied import copy_into
from postgres.test_reading import story
from ringback.cli.main import run
from ringback.store.data_place import DataPlace
from ringback.store.journal import open_ownership, open_store
from ringback.store.log import Log
from ringback.store.queries.questions import Questions

__all__ = ["story"]

READS = (
    "events list", "runs list", "actions list", "consents list", "incidents list --all",
    "conversations list", "calls", "queues", "failures --since 90d", "doings", "contacts list",
    "groups list", "spend --by rule", "deliveries --since 90d", "backtest", "rules list",
)  # fmt: skip
NOT_THERE = {
    "db backup copy": "pg_dump", "db check": "pg_amcheck", "db rebuild": "put back a backup",
    "db erase +12025550142 --yes": "erase there",
}  # fmt: skip


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A project, in which nothing of this machine's settings is known."""
    for name in list(os.environ):
        if name.startswith(("RINGBACK_", "TWILIO_", "MATON_")) or name == "PORT":
            monkeypatch.delenv(name)
    folder = tmp_path / "project"
    (folder / "rules").mkdir(parents=True)
    (folder / "ringback.toml").touch()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def node(postgres_url: str, monkeypatch: pytest.MonkeyPatch, project: Path) -> DataPlace:
    """A node that has never done anything and stands still, on a server."""
    Log.open(project / "fresh" / "log.db").close()
    open_store(project / "fresh", threaded=False).close()
    copy_into(postgres_url, project / "fresh")
    monkeypatch.setenv("RINGBACK_DATABASE_URL", postgres_url)
    return DataPlace(project / "data", postgres_url)


@pytest.mark.slow
def test_commands_say_the_same(
    story: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    copy_into(postgres_url, story)
    monkeypatch.setenv("RINGBACK_DATA", str(story))
    with Questions(story) as asked:
        uids = [asked.actions(limit=1)[0]["uid"], asked.events(limit=1)[0]["uid"]]
    said: dict[str, list[tuple[int, str, str]]] = {}
    for url in ("", postgres_url):
        monkeypatch.setenv("RINGBACK_DATABASE_URL", url)
        for command in (*READS, *(f"trace {uid}" for uid in uids)):
            code = run([*command.split(), "--json"])
            told = capsys.readouterr()
            said.setdefault(command, []).append((code, told.out, told.err))
    assert {command: each for command, each in said.items() if each[0] != each[1]} == {}
    assert {command for command, each in said.items() if each[0][0] != 0} == set()


@pytest.mark.parametrize("command", NOT_THERE)
def test_what_works_on_files_says_what_to_do_instead(
    command: str, node: DataPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command.split()) == 2
    said = capsys.readouterr().err
    assert NOT_THERE[command] in said
    assert node.name in said


def test_a_node_that_stands_still_is_paused(
    node: DataPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next one starts paused; and the switch goes back."""
    for command, noted in (("pause", "yes"), ("resume", "")):
        assert run([command]) == 0
        with Questions(node) as asked:
            assert asked.meta("paused") == noted
    assert "the next one starts paused" in capsys.readouterr().err


def test_nobody_writes_past_a_worker_on_another_machine(
    node: DataPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its worker has read the switch, and would not see what is written now."""
    with closing(open_ownership(node.url, "far", f"boot {socket.gethostname()}", 30.0)) as worker:
        worker.join()
        assert worker.take()
        assert run(["pause"]) == 75
        assert "node far works on it" in capsys.readouterr().err
    with Questions(node) as asked:
        assert asked.meta("paused") == ""


def test_no_tables_are_made_by_a_switch(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RINGBACK_DATABASE_URL", postgres_url)
    assert run(["pause"]) == 74
    assert "ringback cluster create" in capsys.readouterr().err


def test_doctor_misses_no_files(node: DataPlace, capsys: pytest.CaptureFixture[str]) -> None:
    """Log and journal are on the server, of which its own check tells."""
    node.data.mkdir(exist_ok=True)
    run(["doctor", "--json"])
    checks = {json.loads(line)["check"] for line in capsys.readouterr().out.splitlines()}
    assert "disk" in checks
    assert "database" not in checks
