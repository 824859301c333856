"""First sight: what comes in as it comes, and why it was answered, or not."""

import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import Dev, until

pytestmark = pytest.mark.browser


def row(page: Any, text: str) -> Any:
    """The row of Live with this text."""
    return page.locator("#rows tr", has_text=text).first


def test_a_text_shows_its_row_and_why_it_was_answered(dev: Dev, browse: Callable[..., Any]) -> None:
    """A1: without a reload within two seconds, its outcome follows in place, and one click leads to
    the trace, which names the rule and ends with the phone."""
    page = browse("/console/")
    page.locator("#pause").wait_for()
    dev.text("Your hours on a Sunday?", "+12025550150")
    found = row(page, "Your hours on a Sunday?")
    found.wait_for(timeout=5_000)
    assert found.locator(".chip").inner_text() == "hours"
    found.locator("td.came", has_text="delivered").wait_for()
    row(page, "Your hours on a Sunday?").locator("a").first.click()
    sentence = page.locator(".sentence").inner_text()
    assert re.search(r"hours answered within \d+ m?s; Twilio took it", sentence)
    page.locator(".sentence", has_text="the phone has it").wait_for()
    stations = page.locator(".station h2").all_inner_texts()
    names = ("Came in", "Rules looked", "Run", "Action", "Twilio", "Phone")
    assert all(name in station for name, station in zip(names, stations, strict=True))
    assert page.locator("svg.when").count() == 1


def test_a_text_typed_into_the_phone_is_answered_there(browse: Callable[..., Any]) -> None:
    """A1: its reply stands in the phone without a reload, and its trace, a click away, names the
    rule. What is being typed meanwhile stays."""
    page = browse("/console/phone")
    page.locator("#from").fill("+12025550170")
    page.locator("#body").fill("What are your hours today?")
    page.get_by_role("button", name="Send").first.click()
    phone = page.get_by_role("region", name="Handset +12025550170")
    phone.locator("input[name=body]").fill("and tomo")
    phone.locator(".theirs", has_text="We are open from 9 to 5.").wait_for(timeout=5_000)
    assert phone.locator("input[name=body]").input_value() == "and tomo"
    phone.get_by_role("link", name="Trace").first.click()
    assert "hours answered" in page.locator(".sentence").inner_text()


def test_the_forecast_follows_what_is_written(browse: Callable[..., Any]) -> None:
    """Without a reload: segments, encoding, and the gate's word; the text goes out after a page."""
    page = browse("/console/conversations")
    page.get_by_role("link", name="+1 202 555 0142").first.click()
    page.locator("#body").fill("We’re open, “as ever”.")
    page.locator("#forecast", has_text="1 segment in UCS-2").wait_for()
    assert "the gate lets it out now" in page.locator("#forecast").inner_text()
    page.get_by_role("button", name="Look at it").click()
    page.get_by_role("button", name="Send 1 text").click()
    page.locator(".chat .ours", has_text="as ever").locator("text=delivered").wait_for()


def test_a_caller_hears_the_rules_as_text(browse: Callable[..., Any]) -> None:
    """And presses keys while the call goes on."""
    page = browse("/console/phone")
    page.locator("#caller").fill("+12025550171")
    page.get_by_role("button", name="Call", exact=True).click()
    phone = page.get_by_role("region", name="Handset +12025550171")
    phone.locator(".call li", has_text="say: Hello.").wait_for(timeout=5_000)


SITUATIONS = {
    "What are your hours?": r"● ?hours answered within .*; Twilio took it .*; the phone has it",
    "Hello there": r"Nobody answered: 3 rules looked, gold came closest: line 2 does not hold",
    "I want a refund": r"◆ ?refund has written a draft, which waits for a person's yes",
    "your hours": r"■ ?hours answered .*; it did not arrive: error 30003: Handset is off",
    "hours?": r"▲ ?Not sent: .*opted out",
}


@pytest.mark.parametrize("text", SITUATIONS)
def test_the_sentence_says_what_happened(browse: Callable[..., Any], text: str) -> None:
    """A2: one sentence for each situation, from the row in Live."""
    page = browse("/console/?type=message.received")
    cell = page.locator("#rows td.text", has_text=re.compile(f"^{re.escape(text)}$")).first
    cell.locator("xpath=..").locator("a").first.click()

    def says() -> bool:
        words = " ".join(page.locator(".sentence").inner_text().split())
        if re.search(SITUATIONS[text], words):
            return True
        page.wait_for_timeout(200)
        return False

    until(says, 20)


def test_a_search_leads_there(dev: Dev, browse: Callable[..., Any]) -> None:
    """A SID leads to its trace, a number to its events, an error to those with it; no number stands
    in an address."""
    sid = dev.text("find me", "+12025550151")
    page = browse("/console/")
    row(page, "find me").wait_for()
    for wanted, path in (
        (sid, r"/console/t/evt_"), ("(202) 555-0151", r"/console/(find|t/evt_)"),
        ("30003", r"/console/\?error=30003"), ("hours", r"/console/\?rule=hours"),
    ):  # fmt: skip
        page.keyboard.press("Escape")
        page.locator("body").press("/")
        page.keyboard.type(wanted)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(path))
        assert "0151" not in page.url


def test_the_keyboard_leads_through_the_pages(browse: Callable[..., Any]) -> None:
    """D2: rows by j and k, one opens by Enter, a page by g; a field keeps its letters."""
    page = browse("/console/?type=message.received")
    page.locator("body").press("j")
    page.locator("body").press("j")
    focused = page.evaluate("document.activeElement.closest('tr').id")
    assert focused == page.locator("#rows tr[id]").nth(1).get_attribute("id")
    assert page.locator("#pause").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/t/{focused}")
    page.locator("body").press("g")
    page.locator("body").press("d")
    page.wait_for_url("**/console/decide")
    page.locator("body").press("/")
    page.keyboard.type("gj")
    assert page.locator(".find input[type=search]").input_value() == "gj"


def test_live_goes_on_when_the_console_was_started_anew(
    dev: Dev, browse: Callable[..., Any]
) -> None:
    """The stream comes back by itself, and what came meanwhile is not missed."""
    page = browse("/console/")
    page.wait_for_timeout(300)
    lock = dev.project / "data" / "dev" / "console.lock"
    os.kill(int(json.loads(lock.read_text())["pid"]), signal.SIGKILL)
    dev.text("said meanwhile", "+12025550152")
    row(page, "said meanwhile").wait_for(timeout=20_000)
