"""Errors and warnings of the account and of one call, as the 2010 API shows them."""

from collections.abc import Iterable

from ringback.simulator.records import Notification
from ringback.simulator.refusal import missing
from ringback.simulator.rest import shapes
from ringback.simulator.rest.paging import date_filter, page
from ringback.simulator.rest.route import Ask, Reply, route


def _fitting(ask: Ask, rows: Iterable[Notification]) -> Iterable[Notification]:
    level = {0: "error", 1: "warning"}.get(ask.query.number("Log", -1, 0, 1), "")
    fits = date_filter(ask.query, "MessageDate")
    return (row for row in rows if (not level or row.level == level) and fits(row.created))


def listing(ask: Ask) -> Reply:
    rows = _fitting(ask, ask.world.notifications.newest(ask.account.sid))
    return page(ask, "notifications", rows, lambda row: row.sid, shapes.notification)


def get(ask: Ask) -> Reply:
    record = ask.world.notifications.need(ask.account.sid, ask.ids[0], ask.link)
    return Reply(200, shapes.notification(record, single=True))


def of_call(ask: Ask) -> Reply:
    rows = ask.world.notifications.newest(ask.account.sid)
    mine = _fitting(ask, (row for row in rows if row.call_sid == ask.ids[0]))
    return page(ask, "notifications", mine, lambda row: row.sid, shapes.notification)


def of_call_get(ask: Ask) -> Reply:
    record = ask.world.notifications.need(ask.account.sid, ask.ids[1], ask.link)
    if record.call_sid != ask.ids[0]:
        raise missing(ask.link)
    return Reply(200, shapes.notification(record, single=True))


ROUTES = (
    route("GET", "Notifications", "notifications.list", listing),
    route("GET", "Notifications/{}", "notifications.get", get),
    route("GET", "Calls/{}/Notifications", "notifications.list", of_call),
    route("GET", "Calls/{}/Notifications/{}", "notifications.get", of_call_get),
)
