"""List of the resources of the JSON API."""

from ringback.console.api import events, figures, node, openapi, runs
from ringback.console.api.resource import Resource

RESOURCES: tuple[Resource, ...] = (
    *events.RESOURCES, *runs.RESOURCES, *figures.RESOURCES, *node.RESOURCES,
    openapi.resource(lambda: RESOURCES),
)  # fmt: skip
