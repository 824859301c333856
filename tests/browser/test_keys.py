"""Keys of the console: through a list and back, to help, to the filters."""

from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import Dev, until

pytestmark = pytest.mark.browser


def test_brackets_walk_the_list_that_one_came_from(browse: Callable[..., Any]) -> None:
    """A5: with its filter, to its ends, and Escape leads back."""
    page = browse("/console/?type=message.received")
    links = page.eval_on_selector_all(
        "#rows tr[id] a[href^='/console/t/']", "all => all.map(each => each.pathname)"
    )
    assert len(links) >= 4
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("o")
    page.wait_for_url(f"**{links[1]}")
    for key, place in (("]", 2), ("]", 3), ("[", 2), ("[", 1), ("[", 0)):
        page.keyboard.press(key)
        page.wait_for_url(f"**{links[place]}")
    page.keyboard.press("[")
    page.wait_for_function("document.getElementById('status').textContent.includes('ends here')")
    assert page.url.endswith(links[0])
    page.keyboard.press("Escape")
    page.wait_for_url("**/console/?type=message.received")


def test_drafts_are_marked_by_letters(dev: Dev, browse: Callable[..., Any]) -> None:
    """x one, X up to here, a leads to the buttons; nothing is sent."""
    dev.text("A refund, please", "+12025550146")
    page = browse("/console/decide")

    def both() -> bool:
        page.reload()
        return bool(page.locator("input[form=marked]").count() > 1)

    until(both)
    boxes = page.locator("input[form=marked]")
    page.keyboard.press("j")
    page.keyboard.press("x")
    assert boxes.first.is_checked()
    page.keyboard.press("j")
    page.keyboard.press("X")
    assert boxes.nth(1).is_checked()
    page.keyboard.press("a")
    assert "Yes to those marked" in page.evaluate("document.activeElement.innerText")


def test_letters_open_filters_and_help_and_can_be_switched_off(browse: Callable[..., Any]) -> None:
    page = browse("/console/")
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.name") == "type"
    page.keyboard.type("?]")  # in a field they are letters
    assert page.input_value("input[name=type]") == "?]"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_url("**/console/help/console#keys")
    assert page.locator("#keys").is_visible()
    page.click(".person summary")
    page.click("button[name=keys][value=off]")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.tagName") != "INPUT"


SEEN = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), looks = getComputedStyle(at);
  return at !== document.body && at.matches(":focus-visible") && box.width > 0 && box.height > 0
    && (looks.outlineStyle !== "none" && parseFloat(looks.outlineWidth) > 0
        || looks.boxShadow !== "none");
}"""
"""Whether what has the focus shows that it has."""


def to(page: Any, words: str, most: int = 150) -> None:
    """Press Tab until the focus is on a link or button that is called so; it is seen at each step
    on the way."""
    for _ in range(most):
        page.keyboard.press("Tab")
        assert page.evaluate(SEEN), page.evaluate("document.activeElement.outerHTML")
        said = page.evaluate("document.activeElement.closest('a, button')?.innerText || ''")
        if words in " ".join(said.split()):
            return
    raise AssertionError(f"Tab does not lead to {words}")


def test_what_failed_is_sent_again_by_the_keyboard_alone(browse: Callable[..., Any]) -> None:
    """D2: from the front page to a bulk that has begun, and to its stop; the focus is seen."""
    page = browse("/console/")
    page.keyboard.press("g")
    page.keyboard.press("f")
    page.wait_for_url("**/console/failures")
    link = page.get_by_role("link", name="30003")
    until(lambda: link.count() or (page.reload() and link.count()))
    to(page, "30003")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/failures/30003*")
    to(page, "Send those of our rules again")
    page.keyboard.press("Enter")
    page.wait_for_selector("button.go")
    assert page.locator("h1").inner_text().startswith("Send again ")
    to(page, "Send again ")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/bulks/blk_*")
    assert "waiting" in page.inner_text("main")
    to(page, "Stop")
    page.keyboard.press("Enter")
    until(lambda: "stopped" in page.inner_text("main"))
