"""List of the pages, in the order of the navigation. A page that is not finished is not here."""

from ringback.console.page import Page
from ringback.console.pages import (
    costs,
    decide,
    deeds,
    delivery,
    failures,
    front,
    rules,
    waiting,
)

PAGES: tuple[Page, ...] = (
    front.PAGE, failures.PAGE, decide.PAGE, delivery.PAGE, rules.PAGE, waiting.PAGE, costs.PAGE,
    deeds.PAGE,
)  # fmt: skip
