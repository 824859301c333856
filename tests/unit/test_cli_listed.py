"""Listings: empty ones, tables on a terminal, and events without a webhook in them."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from ringback.cli.events import listed
from ringback.cli.main import run
from ringback.cli.output import nothing, print_rows
from ringback.rules.language.numbers import counted


def test_nothing_fits_is_not_nothing_yet() -> None:
    """With a filter, an empty listing does not claim that nothing has ever happened."""
    assert nothing("actions", None, "", "") == "no actions yet"
    assert nothing("actions", None, "misspelt", "") == "no actions fit that"
    assert nothing("events", "", "", "", "", False) == "no events yet"


def test_an_incident_says_what_is_wrong() -> None:
    """The text of an incident or a watchdog stands where that of a message does."""
    event = {"received_at": "2026-01-01T00:00:00.000Z", "sender": "", "recipient": "",
             "error_code": 0}  # fmt: skip
    row = listed({**event, "fields": {"Key": "held", "Kind": "held", "Text": "nothing is sent"}})
    assert row["text"] == "nothing is sent"
    assert listed({**event, "fields": {"Body": "hi", "Text": "else"}})["text"] == "hi"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_word_is_whole_on_a_terminal_of_any_width(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A SID that is broken over two lines cannot be copied."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    words = ["quiet", "hours", "until", "2026-11-29T04:59:00.000Z", "SM" + "4e" * 16]
    row = {"sid": words[-1], "reason": " ".join(words)}
    print_rows([row], ["sid", "reason"], as_json=False, empty="")
    out = capsys.readouterr().out
    assert sorted(set(words) & set(out.split())) == sorted(words)
    assert (max(map(len, out.splitlines()[1:])) > columns) == (columns == 60)


def test_a_number_goes_with_its_noun() -> None:
    assert counted(1, "event") == "1 event"
    assert counted(20114, "event") == "20,114 events"
    assert counted(0, "person", "people") == "0 people"


EVENT = {
    "at": "2026-11-20 17:00:00.123", "uid": "evt_01JD5Z7QK4W8X9Y0Z1A2B3C4D5",
    "type": "message.received", "from": "+14155550123", "to": "+12025550100", "trust": "signed",
    "error": "", "text": "Hello, are you open today? " * 3,
}  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("wide", [True, False])
def test_an_id_is_never_broken_and_columns_give_way_by_weight(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, wide: bool
) -> None:
    from ringback.cli import events, output

    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(output, "fancy", lambda: True)
    print_rows(
        [EVENT], events.COLUMNS, as_json=False, empty="", by_weight=events.BY_WEIGHT, wide=wide
    )
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert sum(str(EVENT["uid"]) in line for line in lines) == 1
    if wide:
        assert len(lines) == 2
        assert said.err == ""
    else:
        assert max(map(len, lines)) <= width
        assert ("--wide shows all" in said.err) == (width <= 120)
    assert ("trust" in lines[0]) == (wide or width >= 120)


PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {early!r}:
            {how}
sys.meta_path.insert(0, Interrupts())
sys.argv = ['ringback', 'docs']
from ringback.cli.start import main
main()
"""
INTERRUPT = "os.kill(os.getpid(), signal.SIGINT)"
DESTRUCTOR = f"type('Lost', (), {{'__del__': lambda self: {INTERRUPT}}})()"

CLASS = (
    "type('Made', (), {'field': type('Field', (), "
    f"{{'__set_name__': lambda *given: {INTERRUPT}}})()}})"
)


@pytest.mark.parametrize("how", [INTERRUPT, DESTRUCTOR, CLASS])
@pytest.mark.parametrize("early", ["click", "ringback.cli.main", "ringback.cli.docs"])
def test_an_interrupt_while_the_program_is_loaded_prints_no_traceback(early: str, how: str) -> None:
    """Also one that comes in a destructor, where Python prints the error and goes on, or while a
    class is made, where it becomes another error."""
    code = PROGRAM.format(early=early, how=how)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 130 or (how == DESTRUCTOR and "docs" in early), ended
    assert ended.stderr.strip() == ""


def interrupted(command: list[str], after: float) -> tuple[int, str]:
    """The exit code and stderr of a program that Ctrl-C in its terminal ends, or would."""
    program = shutil.which("ringback", path=str(Path(sys.executable).parent))
    assert program
    with subprocess.Popen(
        [program, *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as run:  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            run.wait(after)
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGINT)
        stderr = run.communicate(timeout=20)[1]
        return run.returncode, stderr


def frames_of_ours(stderr: str) -> list[str]:
    """The frames of a traceback that are not those of Python's own start: before the first line of
    a program runs, Python answers Ctrl-C itself."""
    frames = re.findall(r'File "([^"]+)", line', stderr)
    return [name for name in frames if "/ringback/" in name or "/click/" in name]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.1, 0.3])
def test_ctrl_c_soon_after_the_start_prints_no_traceback(after: float) -> None:
    code, stderr = interrupted(["check"], after)
    assert frames_of_ours(stderr) == []
    assert code in (0, 1, 130, -signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("command", [["check"], ["rules", "list"], ["docs"], ["serve", "--help"]])
def test_ctrl_c_at_any_moment_prints_no_traceback(command: list[str]) -> None:
    finished, _ = interrupted(command, 20.0)
    for step in range(61):
        code, stderr = interrupted(command, step * 0.005)
        assert frames_of_ours(stderr) == [], (step, stderr)
        assert "Exception ignored" not in stderr, (step, stderr)
        assert code in (finished, 1, 130, -signal.SIGINT), step


@pytest.mark.parametrize("group", ["events", "actions", "runs", "db", "plugins", "simulate", ""])
@pytest.mark.parametrize("width", [60, 80])
def test_no_line_of_the_help_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], group: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert run([*filter(None, [group]), "--help"]) == 0
    said = capsys.readouterr().out
    assert "Commands:" in said
    assert not re.search(r"\w\.\.\.$", said.partition("Commands:")[2], re.MULTILINE)
