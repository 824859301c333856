"""Node, incidents and the audit trail in the JSON API, and whoever asks."""

from typing import Any

from ringback.console import operating
from ringback.console.api.answers import whole
from ringback.console.api.lists import PAGING, SPAN, given, listed, part_of
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Resource
from ringback.console.problems import refuse
from ringback.events import INCIDENT_KINDS
from ringback.store.queries import shapes
from ringback.store.queries.bounded_lists import Part
from ringback.store.queries.questions import Questions
from ringback.version import own_version

_LIMIT = Parameter("limit", "So many items at most.", "integer", least=1, most=200, default=50)
INCIDENT_QUERY = (
    Parameter("over", "Also those that are over.", "flag", default=False),
    Parameter("kind", "Only of this kind.", choices=INCIDENT_KINDS), SPAN[0], _LIMIT,
)  # fmt: skip
DOING_FILTERS = (
    Parameter("who", "Only of this person."),
    Parameter("op", "Only this operation, as retry."),
    Parameter("subject", "Only about this action, run, event, incident or rule."),
    Parameter("outcome", "Only with this outcome.", choices=("done", "refused", "failed")),
    SPAN[0],
)  # fmt: skip


async def incidents(asked: Asked) -> dict[str, Any]:
    """Incidents, the newest first: those that are open, or all."""
    wanted = given(asked, "kind", "since", "limit")
    over = asked.values["over"]
    rows = await asked.console.reading.ask(lambda q: q.incidents(open_only=not over, **wanted))
    return listed([shapes.incident(row) for row in rows])


async def incident(asked: Asked) -> dict[str, Any]:
    """One incident, by its id or its key."""
    name = asked.values["id"]
    row = await asked.console.reading.ask(lambda q: q.incident(name))
    if row is None:
        raise refuse("missing", f"There is no incident {name[:40]}.")
    return shapes.incident(row)


async def doings(asked: Asked) -> dict[str, Any]:
    """What people did, and what was refused to them."""
    wanted = given(asked, *(each.name for each in DOING_FILTERS))

    def ask(questions: Questions, limit: int, before: int) -> Part:
        rows = questions.doings(**wanted, before=before, limit=limit + 1)
        shown = rows[:limit]
        return Part(shown, shown[-1]["id"] if len(rows) > limit else 0)

    return await part_of(asked, ask, shapes.doing)


async def waiting(asked: Asked) -> dict[str, Any]:
    """What waits, by when it comes due."""
    limit = asked.values["limit"]
    found = await asked.console.reading.ask(lambda q: q.waiting(limit))
    return {
        "runs": [shapes.run(row) for row in found.runs],
        "actions": [shapes.action(row) for row in found.actions],
        "schedules": [shapes.schedule(row) for row in found.schedules],
        "counts": {
            "runs": found.run_count, "actions": found.action_count,
            "schedules": found.schedule_count,
        },
    }  # fmt: skip


async def state(asked: Asked) -> dict[str, Any]:
    """The node: its worker, and how much waits for a person."""
    console = asked.console

    def ask(questions: Questions) -> dict[str, Any]:
        paused, last = questions.meta("paused"), questions.switched()
        return {
            "paused": bool(paused),
            "paused_by": last["who"] if paused and last else None,
            "paused_at": last["at"] if paused and last else None,
            "open": {
                "decide": questions.undecided_count(),
                **{name: questions.in_state(name) for name in ("parked", "unknown")},
                "quarantined": len(questions.in_quarantine()),
                "incidents": len(questions.open_incidents()),
            },
        }  # fmt: skip

    found = await console.reading.ask(ask)
    worker = await operating.worker(console.surroundings)
    return {
        "version": own_version(), "project": console.settings.project.name,
        "simulated": console.settings.simulated, **found,
        "worker": None if worker.away else dict(worker.status),
    }  # fmt: skip


async def me(asked: Asked) -> dict[str, Any]:
    """Who asks, in which role."""
    one = asked.identity
    return {
        "name": one.name, "role": one.role, "via": one.via,
        "unmasked": whole(asked.console, one),
    }  # fmt: skip


RESOURCES = (
    Resource(
        "incidents", "What is wrong, or was.",
        (
            Endpoint("/incidents", "List incidents, the newest first.", incidents, "IncidentList",
                     query=INCIDENT_QUERY),
            Endpoint("/incidents/{id}", "Show one incident, by its id or its key.", incident,
                     "Incident", problems=("missing",)),
        ),
    ),
    Resource(
        "doings", "What people did here, and what the worker refused. What is refused for the role "
        "is among the looks, as `refused`.",
        (
            Endpoint("/doings", "List what people did, the latest first.", doings, "DoingList",
                     query=(*DOING_FILTERS, *PAGING), problems=("cursor",)),
        ),
    ),
    Resource(
        "waiting", "What will go on by itself, or with the next event that it waits for.",
        (
            Endpoint("/waiting", "Runs that wait, actions that were put off, schedules.", waiting,
                     "Waiting", query=(_LIMIT,)),
        ),
    ),
    Resource(
        "node", "The node and its worker.",
        (
            Endpoint("/node", "How the node is, and how much waits for a person.", state, "Node"),
        ),
    ),
    Resource(
        "me", "Whoever asks.",
        (Endpoint("/me", "Who asks, in which role.", me, "Me", personal=False),),
    ),
)  # fmt: skip
