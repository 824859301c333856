"""Resource of the JSON API: its routes below `/api/v1`."""

from dataclasses import dataclass

from starlette.routing import BaseRoute


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, with the routes that make it up."""

    name: str
    routes: tuple[BaseRoute, ...]
