"""Roles and names of the pages as a screen reader tells them."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import until

pytestmark = pytest.mark.browser

FRAME = """
- link "To the content"
- banner:
  - navigation "Pages":
    - link "Live"
    - link "Conversations"
    - link /Failures( \\d+)?/
    - link /Decide( \\d+)?/
  - search:
    - searchbox /Search. number, SID, id, error code or rule/
  - link "Help about this page"
- main
- status
"""
LIVE = """
- main:
  - heading "Live" [level=1]
  - paragraph:
    - img /\\d+ events in the last hour, minute by minute/
  - list:
    - listitem:
      - link /Drafts \\d+/
  - button "Pause p"
  - table:
    - rowgroup:
      - row:
        - columnheader /Time .*/
        - columnheader "Event"
        - columnheader "From → to"
        - columnheader "Text"
        - columnheader "Rules"
        - columnheader "Came of it"
    - rowgroup:
      - row:
        - rowheader /\\d\\d \\w+ \\d{4}/
      - row /message/:
        - cell:
          - time
        - cell:
          - link /message\\.\\w+/
"""
TRACE = """
- article:
  - heading "message.received" [level=1]
  - link "All fields"
  - link "Test case"
  - paragraph: /Not sent. .* opted out of .*/
  - list:
    - listitem:
      - heading "Came in" [level=2]
    - listitem:
      - heading "Rules looked" [level=2]
      - group: /fired. hours/
      - group: /silent. gold/
    - listitem:
      - heading /Run \\+.*/ [level=2]
    - listitem:
      - heading /Action \\+.*/ [level=2]
    - listitem:
      - heading "Twilio" [level=2]
    - listitem:
      - heading "Phone" [level=2]
  - region /When since it came in/
"""
DECIDE = """
- main:
  - heading "Decide" [level=1]
  - region /Drafts, and sends of which nobody knows \\(\\d+\\)/:
    - list:
      - listitem:
        - checkbox "Mark this draft"
        - heading /Draft send message to .*/ [level=3]
        - blockquote
        - link "Yes, send it…"
        - button "No"
"""


def has(page: Any, wanted: str) -> None:
    """The tree of the page comes to hold these."""
    from playwright.sync_api import expect

    expect(page.locator("body")).to_match_aria_snapshot(wanted, timeout=15_000)


@pytest.mark.parametrize(
    ("path", "tree"), [("/console/", LIVE), ("/console/decide", DECIDE)], ids=["live", "decide"]
)
def test_a_page_is_told_by_its_roles_and_names(
    browse: Callable[..., Any], path: str, tree: str
) -> None:
    """D6: the frame, and what the page itself holds."""
    page = browse(path)
    has(page, FRAME)
    has(page, tree)


def test_a_trace_is_told_by_its_stations(browse: Callable[..., Any]) -> None:
    """D6: no arrow and no shape is read out."""
    page = browse("/console/?type=message.received")
    cell = page.locator("#rows td.text", has_text=re.compile(r"^hours\?$")).first
    until(lambda: cell.count())
    cell.locator("xpath=..").locator("a").first.click()
    has(page, TRACE)
    told = page.locator("article").aria_snapshot()
    assert not set("→↓◆■▲●") & set(told)
