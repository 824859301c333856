"""List of the resources of the JSON API."""

from ringback.console.api.resource import Resource

RESOURCES: tuple[Resource, ...] = ()
