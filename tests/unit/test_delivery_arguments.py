"""Arguments of what counts texts: a wrong one is a mistake of the file, and so no dead rule."""

from pathlib import Path

import pytest

from ringback.cli.main import run
from ringback.rules.files.load import load_rules

WRONG = {
    "failure_rate('15') > 0.1": "needs a unit",
    "failure_rate('10s') > 0.1": "not within 1m to 31d",
    "pending('2d') > 1": "not within 1m to 24h",
    "failure_rate('1h', event.conversation) > 0.1": "is not a sender of ours",
    "failures('1h', event.body) > 1": "is not a sender of ours",
    "failure_rate('1h', event.to) > 0.1": "is the other side of message.failed; our number there",
    "failure_rate('1h', '5550100') > 0.1": "is no sender",
    "failure_rate('1h', 0.5) > 0.1": "can't take (string, double)",
    "failures_of_class('1h', 'carrier_filterd') > 1": "did you mean 'carrier_filtered'?",
    "failures_of_class('1h', event.status) > 1": "is not a class of errors",
    "failures_of_line_type('1h', 'mobil') > 1": "did you mean 'mobile'",
    "failures_of_line_type('1h', event.to) > 1": "write line_type(event.to)",
    "failures_of_country('1h', 'Germany') > 1": "there is no country 'Germany'",
    "failures_of_country('1h', event.to) > 1": "write country(event.to)",
    "failures_of_rule('1h', 'remindr') > 1": "no rule is named 'remindr'",
    "failures_of_rule('1h', event.uid) > 1": "is not the name of a rule",
    "count('message.failed', '1h', event.from) > 1": "event.from is not a conversation",
}
RIGHT = (
    "failure_rate('15m', event.from) > 0.1",
    "failure_rate('15m', 'MG0123456789abcdef0123456789abcdef', 50) > 0.1",
    "failures('1h', 'whatsapp:+15551234567') > 1",
    "failures_of_rule('1h', 'reminder') > 1",
    "failures_of_rule('1h', 'shop.order') > 1",
    "failures_of_class('1h', event.error_class) > 1",
    "failures_of_country('1h', country(event.to)) > 1",
    "failure_rate_of_line_type('1h', line_type(event.to), 5) > 0.2",
    "count('message.failed', '1h', event.conversation) > 1",
)
WARNED = {
    "rate('message.failed', 'message.*', '1h') > 0.4": "failure_rate('15m')",
    "count('message.*', '1h') > 9": "ended('15m')",
    "count('message.failed', '1h') > 9": "leaves out message.undelivered",
    "count('message.failed', '1h') + count('message.undelivered', '1h') > 9": "",
    "count('message.received', '1h') > 9": "",
}


def rules(tmp_path: Path, line: str, on: str = "message.failed", name: str = "reminder") -> Path:
    """A file with a rule that has this line."""
    path = tmp_path / "rules.yaml"
    path.write_text(
        f"rules:\n  - name: {name}\n    on: {on}\n    if:\n      - {line}\n"
        "    do: [{notify: failing}]\n"
    )
    return path


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_argument_is_named_with_its_place(tmp_path: Path, line: str) -> None:
    (problem,) = load_rules([rules(tmp_path, line)]).problems
    assert WRONG[line] in str(problem)
    assert problem.line == 5
    assert problem.column > len("      - ")


def test_right_ones_are_right(tmp_path: Path) -> None:
    for line in RIGHT:
        assert load_rules([rules(tmp_path, line)]).problems == [], line


def test_our_side_is_the_other_one_of_a_text_that_comes_in(tmp_path: Path) -> None:
    line = "failure_rate('1h', event.{}) > 0.1"
    (problem,) = load_rules([rules(tmp_path, line.format("from"), "message.received")]).problems
    assert "our number there is event.to" in str(problem)
    assert load_rules([rules(tmp_path, line.format("to"), "message.received")]).problems == []
    assert load_rules([rules(tmp_path, line.format("to"), "call.received")]).problems == []


def test_in_a_text_too(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(
        "rules:\n  - name: a\n    on: message.failed\n"
        "    do: [{notify: \"${{ failures('1h', event.to) }} "
        "${{ failures_of_rule('1h', 'b') }}\"}]\n"
    )
    said = "\n".join(map(str, load_rules([path]).problems))
    assert "is the other side" in said
    assert "no rule is named 'b'" in said


@pytest.mark.slow
def test_check_warns_of_counts_that_cannot_be_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are no mistakes: the files stay good."""
    for number, line in enumerate(WARNED):
        good = rules(tmp_path, line, name=f"reminder-{number}")
        good.rename(tmp_path / f"{number}.yaml")
    assert run(["check", str(tmp_path)]) == 0
    warned = capsys.readouterr().err.splitlines()
    for number, hint in enumerate(WARNED.values()):
        about = " ".join(line for line in warned if f"reminder-{number}" in line)
        assert hint in about
        assert bool(hint) == bool(about)
