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


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 81, "a\x1b[1mb"])
def test_what_is_no_name_is_refused_before_anything_is_asked(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """With code 2, of tokens and of people, with no password given."""
    for words in (["tokens", "add", name], ["users", "add", name]):
        assert run(["console", *words]) == 2
        assert f"{name!r} is no name" in capsys.readouterr().err
    assert run(["console", "tokens", "list", "--json"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("project")
def test_a_second_token_of_a_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when it has spaces around it, which are left away."""
    for name, others in (("wall", False), ("hall", False), (" wall", True)):
        assert run(["console", "tokens", "add", name]) == 0
        assert ("of the same name stays" in capsys.readouterr().err) == others
