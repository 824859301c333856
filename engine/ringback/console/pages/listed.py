"""List of the pages, in the order of the navigation. A page that is not finished is not here."""

from ringback.console.page import Page
from ringback.console.pages import decide, deeds, front, rules

PAGES: tuple[Page, ...] = (front.PAGE, decide.PAGE, rules.PAGE, deeds.PAGE)
