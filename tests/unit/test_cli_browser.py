"""Browser of `ringback dev`: who gets one, and that the key stays out of command lines."""

import os
import sys
import webbrowser
from pathlib import Path

import pytest

from ringback.cli.browser import is_at_hand, leading_to, open_browser

URL = "http://127.0.0.1:8080/console/in#the-key"


def test_nobody_gets_one_without_a_screen() -> None:
    """Not in a pipe, over SSH, in CI, nor on a machine without a display."""
    here = {"DISPLAY": ":0"}
    assert is_at_hand(here, terminal=True)
    assert is_at_hand({"WAYLAND_DISPLAY": "wayland-0"}, terminal=True)
    assert not is_at_hand(here, terminal=False)
    assert not is_at_hand(here | {"SSH_CONNECTION": "1 2 3 4"}, terminal=True)
    assert not is_at_hand(here | {"CI": "true"}, terminal=True)
    assert sys.platform == "darwin" or not is_at_hand({}, terminal=True)


def test_the_key_is_in_a_file_of_one_s_own(tmp_path: Path) -> None:
    """What is opened names the file; the file names the key, and nobody else may read it."""
    page = tmp_path / "console.html"
    page.write_text("an old one")
    page.chmod(0o644)
    opened = leading_to(URL, page)
    assert opened.startswith("file:///")
    assert "the-key" not in opened
    assert f'content="0;url={URL}"' in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o600


def test_no_browser_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address was printed."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(os, "environ", {"DISPLAY": ":0"})

    def fails() -> None:
        raise webbrowser.Error("none")

    monkeypatch.setattr(webbrowser, "get", fails)
    open_browser(URL, tmp_path / "console.html")
    open_browser(URL, tmp_path / "nowhere" / "console.html")
