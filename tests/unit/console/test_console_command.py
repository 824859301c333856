"""The command `console` as somebody meets it who has not read about it."""

from pathlib import Path

import pytest

from ringback.cli.main import run

NEXT = "from its next start on"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ringback.toml").write_text("")
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RINGBACK_CONSOLE_PASSWORD", raising=False)
    monkeypatch.delenv("RINGBACK_API_TOKEN", raising=False)
    return tmp_path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "abc"], "flag --port: console_port is 'abc'"),
        (["--port", "8090", "users", "list"], "say how the console runs"),
        (["nowhere", "users", "list"], "say how the console runs"),
        ([".", "--port", "abc"], "flag --port: console_port is 'abc'"),
    ],
)
def test_what_does_not_go_together_is_said_by_its_names(
    capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run(["console", *words]) != 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("password", ["", "correct horse battery"])
def test_a_token_is_told_with_what_it_is_for(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    password: str,
) -> None:
    """Its secret alone on the standard output. A node has to start anew where there was no console
    before, and only there."""
    if password:
        monkeypatch.setenv("RINGBACK_CONSOLE_PASSWORD", password)
    told = []
    for _ in range(2):
        assert run(["console", "tokens", "add", "wall", "--days", "9"]) == 0
        secret, said = capsys.readouterr()
        assert secret.startswith("rbt_")
        assert secret.count("\n") == 1
        assert "Authorization: Bearer" in said
        assert "role read" in said
        told.append(NEXT in said)
    assert told == [not password, False]
