"""List of the pages, in the order of the navigation. A page that is not finished is not here."""

from ringback.console.page import Page
from ringback.console.pages import (
    audit,
    backtest_pages,
    bulk_pages,
    calls,
    conversations,
    costs,
    decide,
    deeds,
    delivery,
    event,
    failures,
    find,
    health,
    help_pages,
    live,
    member_pages,
    phone,
    rules,
    settings,
    trace,
    trying,
    waiting,
)

PAGES: tuple[Page, ...] = (
    live.PAGE, conversations.PAGE, failures.PAGE, decide.PAGE, delivery.PAGE, rules.PAGE,
    waiting.PAGE, calls.PAGE, health.PAGE, costs.PAGE, settings.PAGE, member_pages.PAGE, audit.PAGE,
    phone.PAGE,
    deeds.PAGE, bulk_pages.PAGE, event.PAGE, trace.PAGE, find.PAGE, help_pages.PAGE, trying.PAGE,
    backtest_pages.PAGE,
)  # fmt: skip
