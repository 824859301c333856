"""Browser of the person at this terminal: opens the console with its key.

The key is in no command line, where every user of the machine reads it: a file that its owner alone
may read leads to the address.
"""

import contextlib
import os
import sys
import webbrowser
from collections.abc import Mapping
from html import escape
from pathlib import Path

from ringback.private_files import make_file

_PAGE = """<!doctype html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0;url={url}"><title>Ringback</title>
<a href="{url}">The console</a>
"""


def is_at_hand(environ: Mapping[str, str], *, terminal: bool) -> bool:
    """Whether somebody sits here who has a browser: not over SSH, and not in CI."""
    if not terminal or environ.get("SSH_CONNECTION") or environ.get("CI"):
        return False
    if sys.platform == "darwin":
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def leading_to(url: str, page: Path) -> str:
    """The address of a file that leads to this address. Raises OSError."""
    page.unlink(missing_ok=True)
    make_file(page)
    page.write_text(_PAGE.format(url=escape(url)), "utf-8")
    return page.absolute().as_uri()


def open_browser(url: str, page: Path) -> None:
    """Open an address, where somebody is at hand; what fails is no harm, for it was printed."""
    if is_at_hand(os.environ, terminal=sys.stdout.isatty()):
        with contextlib.suppress(OSError, webbrowser.Error):
            browser = webbrowser.get()
            if type(browser) is not webbrowser.GenericBrowser:  # that takes the terminal
                browser.open(leading_to(url, page))
