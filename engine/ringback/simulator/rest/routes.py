"""Every route of the REST API: `ACCOUNTS` itself, and what lies `BELOW` an account."""

from ringback.simulator.rest import (
    accounts,
    addresses,
    applications,
    messages,
    notifications,
    numbers,
)
from ringback.simulator.rest.route import Route

ACCOUNTS: tuple[Route, ...] = accounts.ACCOUNTS
BELOW: tuple[Route, ...] = (
    *messages.ROUTES,
    *numbers.ROUTES,
    *applications.ROUTES,
    *addresses.ROUTES,
    *notifications.ROUTES,
    *accounts.ROUTES,
)
