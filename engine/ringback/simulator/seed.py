"""Initial records of a simulator: one account with numbers, a service and a connection."""

from functools import partial
from typing import Any

from ringback.errors import ConfigError
from ringback.simulator.arrival import arrive
from ringback.simulator.debugger import delivery_failed
from ringback.simulator.numbering import friendly, toll_free
from ringback.simulator.outbox import Outbox
from ringback.simulator.records import Account, Resource
from ringback.simulator.world import NUMBERS, Connection, Options, World


def seeded_world(options: Options, base_url: str = "") -> World:
    """Make a world ready for use. Raises ConfigError when the plan names what does not exist."""
    world = World(options, base_url)
    world.outbox = Outbox(world, partial(delivery_failed, world))
    world.on_arrival = partial(arrive, world)
    who, now = world.identity, world.clock.shown()
    world.accounts.add(
        Account(
            sid=who.account_sid,
            account_sid=who.account_sid,
            created=now,
            updated=now,
            friendly_name="Simulated account",
            token=who.auth_token,
            owner_sid=who.account_sid,
        )
    )
    for address in NUMBERS:
        add_number(world, who.account_sid, address)
    add_service(world, who.account_sid, [NUMBERS[1]])
    world.connections[who.connection_id] = Connection(
        connection_id=who.connection_id,
        status="ACTIVE",
        created=now,
        updated=now,
        session=world.random.token("session"),
        account_sid=who.account_sid,
    )
    for address, settings in (options.plan.get("handsets") or {}).items():
        world.handset(str(address)).set(dict(settings or {}))
    for address, fields in (options.plan.get("numbers") or {}).items():
        found = world.number(str(address)) or add_number(world, who.account_sid, str(address))
        set_fields(found, dict(fields or {}), "a number")
    return world


def add_service(world: World, account_sid: str, senders: list[str]) -> Resource:
    """Give an account a Messaging Service."""
    fields: dict[str, Any] = {
        "friendly_name": "Simulated service",
        "senders": senders,
        "inbound_request_url": "",
        "inbound_method": "POST",
        "fallback_url": "",
        "fallback_method": "POST",
        "status_callback": "",
        "use_inbound_webhook_on_number": True,
        "advanced_opt_out": False,
    }
    return world.services.add(Resource(**world.stamps("MG", account_sid), fields=fields))


def set_fields(record: Resource, fields: dict[str, Any], what: str) -> None:
    """Change fields that a record has. Raises ConfigError for a wrong name or type."""
    unknown = [name for name in fields if name not in record.fields]
    if unknown:
        known = ", ".join(record.fields)
        raise ConfigError([f"{what} has no {unknown[0]!r}; it has {known}"])
    for name, value in fields.items():
        kind = str if record.fields[name] is None else type(record.fields[name])
        if not isinstance(value, kind) and not (value is None and kind is str):
            raise ConfigError([f"{what}: {name}: {value!r} is no {kind.__name__}"])
    record.fields.update(fields)


def add_number(
    world: World, account_sid: str, address: str, fields: dict[str, Any] | None = None
) -> Resource:
    """Give an account a phone number."""
    plain: dict[str, Any] = {
        "phone_number": address,
        "friendly_name": friendly(address),
        "address_sid": None,
        "address_requirements": "none",
        "api_version": "2010-04-01",
        "beta": False,
        "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        "identity_sid": None,
        "origin": "twilio",
        "sms_application_sid": None,
        "sms_fallback_method": "POST",
        "sms_fallback_url": "",
        "sms_method": "POST",
        "sms_url": "",
        "status_callback": "",
        "status_callback_method": "POST",
        "trunk_sid": None,
        "voice_receive_mode": "voice",
        "voice_application_sid": None,
        "voice_caller_id_lookup": False,
        "voice_fallback_method": "POST",
        "voice_fallback_url": "",
        "voice_method": "POST",
        "voice_url": "",
        "emergency_status": "Inactive",
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "bundle_sid": None,
        "status": "in-use",
        "type": "toll-free" if toll_free(address) else "local",
    }
    record = Resource(**world.stamps("PN", account_sid), fields={**plain, **(fields or {})})
    return world.numbers.add(record, phone_number=address)
