"""Queues and their members.

https://www.twilio.com/docs/voice/api/queue-resource
"""

from functools import partial

from ringback.simulator.refusal import invalid, missing
from ringback.simulator.rest import voiceshapes
from ringback.simulator.rest.calls import check_url
from ringback.simulator.rest.paging import page
from ringback.simulator.rest.route import Ask, Reply, collection, route
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.call_records import Member, Queue

LONGEST_NAME, LARGEST = 64, 5000


def _one(ask: Ask) -> Queue:
    found = exchange_of(ask.world, ask.account.sid).queues.get(ask.ids[0])
    if found is None:
        raise missing(ask.link)
    return found


def _name(ask: Ask) -> str:
    name = ask.form.text("FriendlyName")
    if len(name) > LONGEST_NAME:
        raise invalid(20002, f"FriendlyName may have {LONGEST_NAME} characters")
    return name


def listing(ask: Ask) -> Reply:
    rows = list(exchange_of(ask.world, ask.account.sid).queues.values())[::-1]
    shape = partial(voiceshapes.queue, ask.world, ask.account.sid)
    return page(ask, "queues", rows, lambda row: row.sid, shape)


def create(ask: Ask) -> Reply:
    ask.form.required("FriendlyName", 20001)
    size = ask.form.number("MaxSize", 1000, 1, LARGEST)
    row = exchange_of(ask.world, ask.account.sid).create_queue(_name(ask), size)
    return Reply(201, voiceshapes.queue(ask.world, ask.account.sid, row), row.sid)


def get(ask: Ask) -> Reply:
    return Reply(200, voiceshapes.queue(ask.world, ask.account.sid, _one(ask)))


def update(ask: Ask) -> Reply:
    row = _one(ask)
    size = ask.form.number("MaxSize", row.max_size, 1, LARGEST)
    exchange = exchange_of(ask.world, ask.account.sid)
    row = exchange.update_queue(row.sid, _name(ask) or None, size)
    return Reply(200, voiceshapes.queue(ask.world, ask.account.sid, row))


def delete(ask: Ask) -> Reply:
    exchange_of(ask.world, ask.account.sid).delete_queue(_one(ask).sid)
    return Reply(204)


def members(ask: Ask) -> Reply:
    row = _one(ask)
    shape = partial(voiceshapes.member, ask.world, ask.account.sid, row)
    return page(ask, "queue_members", row.members, lambda member: member.call_sid, shape)


def _member(ask: Ask) -> Member:
    return exchange_of(ask.world, ask.account.sid).member(_one(ask).sid, ask.ids[1])


def member(ask: Ask) -> Reply:
    shape = voiceshapes.member(ask.world, ask.account.sid, _one(ask), _member(ask))
    return Reply(200, shape)


def dequeue(ask: Ask) -> Reply:
    """Take a caller out; the answer shows the member as it was."""
    row = _one(ask)
    url = check_url(ask.form.text("Url"))
    method = ask.form.method("Method", code=21209)
    shape = voiceshapes.member(ask.world, ask.account.sid, row, _member(ask))
    exchange_of(ask.world, ask.account.sid).dequeue(row.sid, ask.ids[1], url, method)
    return Reply(200, shape)


ROUTES = (
    *collection(
        "Queues", "queues",
        listing=listing, create=create, get=get, update=update, delete=delete,
    ),
    route("GET", "Queues/{}/Members", "members.list", members),
    route("GET", "Queues/{}/Members/{}", "members.get", member),
    route("POST", "Queues/{}/Members/{}", "members.update", dequeue),
)  # fmt: skip
