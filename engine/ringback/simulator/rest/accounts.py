"""Accounts and sub-accounts, and the balance.

https://www.twilio.com/docs/iam/api/account
"""

from ringback.simulator.records import Account
from ringback.simulator.refusal import Refusal, invalid, missing
from ringback.simulator.rest import shapes
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, route

STATUSES = ("active", "suspended", "closed")


def _family(ask: Ask) -> list[Account]:
    """The caller's account and its sub-accounts, newest first."""
    mine = [row for row in ask.world.accounts if ask.account.sid in (row.sid, row.owner_sid)]
    return mine[::-1]


def _one(ask: Ask) -> Account:
    found = next((row for row in _family(ask) if row.sid == ask.ids[0]), None)
    if found is None:
        raise missing(ask.link)
    return found


def listing(ask: Ask) -> Reply:
    name, status = ask.query.text("FriendlyName"), ask.query.choice("Status", STATUSES, "")
    rows = [
        row
        for row in _family(ask)
        if (not name or row.friendly_name == name) and (not status or row.status == status)
    ]
    return page(ask, "accounts", rows, lambda row: row.sid, shapes.account)


def create(ask: Ask) -> Reply:
    if ask.account.owner_sid != ask.account.sid:
        raise Refusal(403, 20403, "A sub-account has no sub-accounts")
    name = (
        ask.form.text("FriendlyName")
        or f"SubAccount Created at {shapes.date(ask.world.clock.shown())}"
    )
    if len(name) > 64:
        raise invalid(20002, "FriendlyName may have 64 characters")
    now, sid = ask.world.clock.shown(), ask.world.random.sid("AC")
    record = Account(
        sid=sid,
        account_sid=sid,
        created=now,
        updated=now,
        friendly_name=name,
        token=ask.world.random.token("auth"),
        owner_sid=ask.account.sid,
    )
    ask.world.accounts.add(record, friendly_name=name)
    return Reply(201, shapes.account(record), sid)


def get(ask: Ask) -> Reply:
    return Reply(200, shapes.account(_one(ask)))


def update(ask: Ask) -> Reply:
    record = _one(ask)
    name = ask.form.text("FriendlyName")
    status = ask.form.choice("Status", STATUSES, record.status)
    if len(name) > 64:
        raise invalid(20002, "FriendlyName may have 64 characters")
    if status != record.status and record.status == "closed":
        raise Refusal(400, 20005, "A closed account stays closed")
    if status != record.status and record.owner_sid == record.sid:
        raise Refusal(403, 20403, "The status of a main account cannot be changed over the API")
    record.friendly_name = name or record.friendly_name
    record.status = status
    ask.world.accounts.touch(record, status=status)
    return Reply(200, shapes.account(record))


def balance(ask: Ask) -> Reply:
    spent = sum(float(row.price or 0) for row in ask.world.messages.of(ask.account.sid))
    return Reply(
        200,
        {"account_sid": ask.account.sid, "balance": f"{100 + spent:.5f}", "currency": "USD"},
    )


ACCOUNTS = (
    route("GET", "Accounts", "accounts.list", listing),
    route("POST", "Accounts", "accounts.create", create),
    route("GET", "Accounts/{}", "accounts.get", get),
    route("POST", "Accounts/{}", "accounts.update", update),
)
ROUTES = (route("GET", "Balance", "balance.get", balance),)
