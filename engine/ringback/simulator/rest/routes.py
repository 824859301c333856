"""Every route of the REST API: `ACCOUNTS` itself, and what lies `BELOW` an account."""

from ringback.simulator.rest import (
    accounts,
    addresses,
    applications,
    available_numbers,
    call_services,
    caller_ids,
    calls,
    conferences,
    messages,
    notifications,
    numbers,
    queues,
    recordings,
    transcriptions,
    usage,
)
from ringback.simulator.rest.route import Route

ACCOUNTS: tuple[Route, ...] = accounts.ACCOUNTS
BELOW: tuple[Route, ...] = tuple(
    route
    for part in (
        messages, calls, queues, numbers, applications, addresses, usage, conferences, recordings,
        notifications, accounts, available_numbers, caller_ids, transcriptions, call_services,
    )
    for route in part.ROUTES
)  # fmt: skip
