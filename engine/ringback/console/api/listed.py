"""List of the resources of the JSON API."""

from ringback.console.api import counts, events, node, openapi, operations, runs
from ringback.console.api.resource import Resource

RESOURCES: tuple[Resource, ...] = (
    *events.RESOURCES, *runs.RESOURCES, *counts.RESOURCES, *node.RESOURCES,
    *operations.RESOURCES,
    openapi.resource(lambda: RESOURCES),
)  # fmt: skip
