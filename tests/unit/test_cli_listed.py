"""Listings: empty ones, tables on a terminal, and events without a webhook in them."""

import re
import subprocess
import sys

import pytest

from ringback.cli.events import listed
from ringback.cli.main import run
from ringback.cli.output import counted, nothing, print_rows


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
        assert ("--wide shows all" in said.err) == (width < 120)
    assert ("trust" in lines[0]) == (wide or width >= 120)


@pytest.mark.parametrize("early", ["click", "ringback.cli.main", "ringback.cli.docs"])
def test_an_interrupt_while_the_program_is_loaded_prints_no_traceback(early: str) -> None:
    code = f"""
import os, signal, sys
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {early!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
sys.argv = ['ringback', 'docs']
from ringback.cli.start import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 130
    assert "Traceback" not in ended.stderr


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
