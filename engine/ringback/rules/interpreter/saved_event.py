"""Saved event: an event as plain data inside the state of a run, and back."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from ringback.events import Event
from ringback.runtime import from_iso

_MOMENTS = ("at", "received_at")


def event_to(event: Event) -> dict[str, Any]:
    """The event as JSON data."""
    data = {item.name: getattr(event, item.name) for item in fields(event)}
    data["fields"] = dict(event.fields)
    for name in _MOMENTS:
        data[name] = data[name].isoformat()
    return data


def event_from(data: Mapping[str, Any]) -> Event:
    """The event that `event_to` wrote. Keys of another version are left out."""
    known = {item.name for item in fields(Event)}
    given = {key: value for key, value in data.items() if key in known}
    given["fields"] = MappingProxyType(dict(given.get("fields", {})))
    for name in _MOMENTS:
        given[name] = from_iso(given[name])
    return Event(**given)
