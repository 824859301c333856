"""List of the resources of the JSON API."""

from ringback.console.api import (
    backtest_jobs,
    bulk_decisions,
    call_resource,
    conversation_resource,
    counts,
    events,
    members,
    node,
    node_health,
    openapi,
    operations,
    rule_reads,
    runs,
    stream,
)
from ringback.console.api.resource import Resource

RESOURCES: tuple[Resource, ...] = (
    *events.RESOURCES, *runs.RESOURCES, *conversation_resource.RESOURCES, *counts.RESOURCES,
    *call_resource.RESOURCES, *node.RESOURCES, *node_health.RESOURCES,
    *rule_reads.RESOURCES, *backtest_jobs.RESOURCES,
    *members.RESOURCES, *operations.RESOURCES, *bulk_decisions.RESOURCES,
    stream.RESOURCE,
    openapi.resource(lambda: RESOURCES),
)  # fmt: skip
