"""Walks of a newcomer from the front page: four questions, each in at most three clicks."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from browser.conftest import until

pytestmark = pytest.mark.browser
MOST = 3


class Walk:
    """A walk from the front page: each step is one click, or words that are typed and entered."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.steps = 0

    def click(self, role: str, name: str | re.Pattern[str]) -> None:
        self.page.get_by_role(role, name=name).first.click()
        self.steps += 1
        self.page.wait_for_load_state()

    def search(self, words: str) -> None:
        self.page.get_by_role("searchbox").fill(words)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")
        self.steps += 1

    def reads(self, words: str) -> None:
        """These words are on the page, and it took few steps to it."""
        until(lambda: re.search(words, " ".join(self.page.inner_text("main").split())))
        assert self.steps <= MOST


@pytest.fixture
def walk(browse: Callable[..., Any]) -> Walk:
    return Walk(browse("/console/"))


def test_why_a_number_got_no_answer(walk: Walk) -> None:
    walk.search("+1 202 555 0143")
    if "/console/t/" not in walk.page.url:
        walk.click("link", "message.received")
    walk.reads("Nobody answered: 3 rules looked, gold came closest: line 2 does not hold")


def test_what_fails_most_and_what_to_do(walk: Walk) -> None:
    until(lambda: walk.page.get_by_text("30003").count() or walk.page.reload())
    walk.click("link", re.compile("^Failures"))
    walk.click("link", "30003")
    walk.reads("Handset is off.*What to do")


def test_what_waits_for_a_decision(walk: Walk) -> None:
    walk.click("link", re.compile("^Decide"))
    walk.reads("Draft send message to .* You get it back")


def test_a_rule_is_turned_into_shadow_and_back(walk: Walk) -> None:
    walk.click("link", "Rules")
    walk.click("link", "gold")
    walk.page.get_by_label("State", exact=True).select_option("shadow")
    walk.page.get_by_label("Why", exact=True).fill("We look at it first.")
    walk.click("button", "Give it this state")
    walk.reads("shadow.*We look at it first")
    back = walk.page.get_by_role("button", name=re.compile("Put it back"))
    back.click()
    until(lambda: not back.count())
