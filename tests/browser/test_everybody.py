"""Pages for everybody: axe on all of them, a narrow screen, no scripts, forced colours."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import DESKTOP, PHONE, Dev
from ringback.console.pages.listed import PAGES

pytestmark = pytest.mark.browser
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
LISTED = [page.path for page in PAGES if page.nav]
FIGURES = [
    "/console/failures/30003",
    "/console/delivery/texts",
    "/console/costs/sent",
    "/console/try?rule=hours",
    "/console/backtests",
    "/console/health/logs",
    "/console/health/doctor",
    "/console/help/console",
    "/console/help/rules",
    *(f"/console/settings/{name}" for name in ("plugins", "numbers", "people", "audit")),
]
"""Pages that figures lead to."""


def paths(page: Any) -> list[str]:
    """All pages, with a trace and an event of each sort."""
    events = page.evaluate(
        "[...document.querySelectorAll('#rows tr[id]')].slice(0, 40).map(r => r.id)"
    )
    traces = [f"/console/t/{uid}" for uid in events]
    few = [traces[0], *traces[-3:]]
    con = page.evaluate(
        "fetch('/console/conversations').then(r => r.text()).then(t => t.match(/con_[a-z2-7]+/)[0])"
    )
    few.append(f"/console/conversations/{con}")
    others = [f"/console/events/{events[-1]}", "/console/nowhere", "/console/?type=x"]
    return [*LISTED, *FIGURES, *few, *others]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing(
    dev: Dev, browse: Callable[..., Any], scheme: str, size: tuple[int, int]
) -> None:
    """D1: WCAG 2.2, A and AA, on every page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    how = {"viewport": {"width": size[0], "height": size[1]}, "color_scheme": scheme}
    page = browse("/console/", **how)
    found: list[str] = []
    for path in paths(page):
        page.goto(dev.url + path)
        # The menu of the person lies over what is below: it is open on one page alone.
        folded = "details" if path == LISTED[0] else "main details"
        page.locator(folded).evaluate_all("all => all.forEach(each => { each.open = true; })")
        options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
        for each in axe.run(page, options=options).response["violations"]:
            where = each["nodes"][0]["target"], each["nodes"][0]["html"][:120]
            found.append(f"{path}: {each['id']} {where}")
    page.context.clear_cookies()
    page.goto(f"{dev.url}/console/login")
    violations = axe.run(page, options=options).response["violations"]
    found += [f"login: {each['id']}" for each in violations]
    page.goto("about:blank")
    assert found == []


def test_nothing_is_wider_than_a_narrow_screen(dev: Dev, browse: Callable[..., Any]) -> None:
    """D3: 320 px, which is also a desktop at 400 %: only tables and pictures scroll sideways."""
    page = browse("/console/", viewport={"width": 320, "height": 640})
    wide, named_twice = [], []
    for path in paths(page):
        page.goto(dev.url + path)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            wide.append((path, width))
        names = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
        named_twice += [(path, name) for name, count in Counter(names).items() if count > 1]
    assert wide == []
    assert named_twice == []


def test_every_page_is_reached_on_a_phone_without_scripts(
    dev: Dev, browse: Callable[..., Any]
) -> None:
    """Four stand in the bar, the others behind More."""
    size = dict(zip(("width", "height"), PHONE, strict=True))
    page = browse("/console/", viewport=size, java_script_enabled=False)
    bar = page.locator("nav.pages")
    assert not bar.get_by_text("Health", exact=True).is_visible()
    bar.get_by_text("More", exact=True).click()
    bar.get_by_text("Fewer", exact=True).click()
    assert not bar.get_by_text("Health", exact=True).is_visible()
    bar.get_by_text("More", exact=True).click()
    bar.get_by_text("Health", exact=True).click()
    assert page.url.endswith("/console/health")
    shown = [link.bounding_box() for link in bar.locator("> a").all()]
    assert len(shown) == 5
    assert all(box is not None and box["x"] + box["width"] <= PHONE[0] for box in shown)


def test_all_but_what_comes_live_works_without_scripts(chromium: Any, dev: Dev) -> None:
    """D4: sign in by the key, filter, leaf, trace, look, sign out."""
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{dev.url}/console/")
    assert page.url.endswith("/console/login")
    page.goto(f"{dev.url}/console/in")
    page.fill("#key", dev.facts["console_key"])
    page.click("#by-key button")
    assert page.url.endswith("/console/")
    page.click("details.filter summary")
    page.fill("input[name=type]", "message.received")
    page.click("details.filter button")
    assert "type=message.received" in page.url
    assert page.locator("#rows tr.in").count() >= 5
    page.locator("#rows tr[id] a").first.click()
    assert page.locator(".sentence").is_visible()
    page.click(".person summary")
    page.click("button[value=dark]")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.fill(".find input[type=search]", "30003")
    page.press(".find input[type=search]", "Enter")
    assert page.url.endswith("error=30003")
    page.click(".person summary")
    page.click("form[action='/console/logout'] button")
    assert page.url.endswith("/console/login")
    page.goto(f"{dev.url}/console/")
    assert page.url.endswith("/console/login")
    context.close()


def test_states_are_told_apart_without_colour(browse: Callable[..., Any]) -> None:
    """D5: in forced colours each state has its shape and its word."""
    page = browse("/console/", forced_colors="active")
    shapes = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('td.came .state')].map(s => "
        "[s.className, s.innerText.trim()]))"
    )
    marks = {text[0] for text in shapes.values()}
    assert len(marks) == len(shapes) >= 3
    assert all(len(text) > 3 for text in shapes.values())
