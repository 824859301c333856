"""List of the pages, in the order of the navigation. A page that is not finished is not here."""

from ringback.console.page import Page
from ringback.console.pages import front

PAGES: tuple[Page, ...] = (front.PAGE,)
