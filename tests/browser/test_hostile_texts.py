"""Texts of strangers in a real browser: nothing they write becomes a part of the page."""

from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import Dev

pytestmark = pytest.mark.browser
SENDER = "+12025550160"
HOSTILE = [
    "<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "\"><svg/onload=hit=1>",
    "</bdi></td></tr></table><h1 class=hit>x</h1>", "<base href=//evil.example>", "{{7*7}}",
    "<style>*{display:none}</style>", "<meta http-equiv=refresh content=0;url=//evil.example>",
    "\u202e\u202d\u2066 turned around", "\u200f\u200f\u061c rtl", "مرحبا بالعالم", "שלום עולם",
    "Z" + "\u0301" * 250, "\u0e47" * 200, "W" * 1500, "\n" * 400, "\t" * 300, "&lt;b&gt;&#x3c;",
    "<a href='javascript:hit=1'>x</a>", "<iframe srcdoc='x'>", "\x0b\x1b[31m red",
    "p\u0430ypal.com is not paypal.com", "<template><img></template>", "<!-- <x -->", "\\u003cx",
]  # fmt: skip


def shape(page: Any) -> dict[str, Any]:
    """What a text may not change: elements, direction, and that no script of its own ran."""
    return dict(
        page.evaluate(
            "({hit: window.hit ?? document.querySelectorAll('.hit').length, "
            "foreign: [...document.querySelectorAll('img:not(.brand img), iframe, base, "
            "template, main style, main script, meta[http-equiv]')].length, "
            "dir: getComputedStyle(document.body).direction, "
            "wide: document.documentElement.scrollWidth <= innerWidth})"
        )
    )


def test_hostile_texts_change_no_page(dev: Dev, browse: Callable[..., Any]) -> None:
    """E1: in Live as they come and as they are listed, in their traces, on the page of the event,
    in a search; rows keep their height."""
    page = browse("/console/")
    page.evaluate(
        "() => { window.broken = []; document.addEventListener('securitypolicyviolation', "
        "e => window.broken.push(e.violatedDirective)); }"
    )
    harmless = {"hit": 0, "foreign": 0, "dir": "ltr", "wide": True}
    for text in HOSTILE:
        dev.text(text, SENDER)
    dev.text("the last one", SENDER)
    page.locator("#rows tr", has_text="the last one").wait_for(timeout=20_000)
    assert shape(page) == harmless
    assert page.evaluate("window.broken") == []
    page.goto(f"{dev.url}/console/?type=message.received")
    rows = page.locator("#rows tr.in", has_text="+1 202 555 0160")
    uids = rows.evaluate_all("all => all.map(each => each.id)")
    assert len(uids) >= len(HOSTILE)
    heights = rows.evaluate_all("all => [...new Set(all.map(r => Math.round(r.offsetHeight / 4)))]")
    assert len(heights) <= 2
    assert shape(page) == harmless
    for uid in uids[: len(HOSTILE) + 1]:
        for path in (f"/console/t/{uid}", f"/console/events/{uid}"):
            page.goto(dev.url + path)
            assert shape(page) == harmless, path
    page.goto(f"{dev.url}/console/conversations")
    assert shape(page) == harmless
    page.get_by_role("link", name="+1 202 555 0160").first.click()
    page.locator(".chat").wait_for()
    assert shape(page) == harmless
    page.locator("#body").fill(HOSTILE[2])
    page.get_by_role("button", name="Look at it").click()
    page.wait_for_url("**/write")
    assert page.locator("#body").input_value() == HOSTILE[2]
    assert shape(page) == harmless
    page.goto(f"{dev.url}/console/phone")
    assert shape(page) == harmless
    page.fill(".find input[type=search]", HOSTILE[3])
    page.press(".find input[type=search]", "Enter")
    page.wait_for_url("**/console/find")
    assert shape(page) == harmless


def test_the_key_is_in_no_address_and_no_history(chromium: Any, dev: Dev) -> None:
    """E11: it is taken out of the address before it is posted, and no request names it."""
    context = chromium.new_context()
    page = context.new_page()
    seen: list[str] = []
    page.on("request", lambda asked: seen.append(f"{asked.url} {asked.headers.get('referer')}"))
    key = dev.facts["console_key"]
    page.goto(f"{dev.url}/console/in#{key}")
    page.wait_for_url("**/console/", wait_until="commit")
    page.wait_for_selector("#rows")
    assert not [each for each in seen if key in each]
    assert key not in page.content()
    page.go_back()
    assert key not in page.url
    context.close()


def test_no_other_page_may_frame_it(chromium: Any, dev: Dev, signed_in: Any) -> None:
    """E5: a frame of another origin stays empty."""
    context = chromium.new_context(storage_state=signed_in)
    page = context.new_page()
    page.goto(dev.url.replace("127.0.0.1", "localhost") + "/healthz")
    page.set_content(f"<iframe src='{dev.url}/console/'></iframe>")
    page.wait_for_timeout(800)
    inside = [frame.url for frame in page.frames[1:]]
    texts = [frame.locator("body").inner_text() for frame in page.frames[1:]]
    assert inside
    assert not any("Live" in text for text in texts)
    context.close()
