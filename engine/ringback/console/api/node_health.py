"""Health of the node in the JSON API: log lines, the doctor, plugins, numbers, incidents seen."""

from collections.abc import Sequence
from typing import Any

from ringback.console import operating
from ringback.console.api.lists import listed
from ringback.console.api.parameters import Parameter
from ringback.console.api.resource import Asked, Endpoint, Handler, Resource
from ringback.console.children import NUMBERS
from ringback.console.node_lines import LINE_FILTERS, lines_of
from ringback.console.page import Console
from ringback.console.problems import refuse

_LIMIT = Parameter("limit", "So many items at most.", "integer", least=1, most=200, default=50)


async def logs(asked: Asked) -> dict[str, Any]:
    """The last log lines of the node's processes."""
    lines, silent = await lines_of(asked.console.surroundings, asked.values)
    if silent and asked.values["process"]:
        raise refuse("worker-away", f"The {silent[0]} does not answer.")
    return listed(lines)


def _printed(*words: str) -> Handler:
    """A handler that lists what a command prints."""

    async def many(asked: Asked) -> dict[str, Any]:
        return listed(await printed_rows(asked.console, words))

    return many


async def printed_rows(console: Console, words: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a command. Raises a Refusal when it ended without any."""
    printed = await console.children.rows(words)
    if printed.code and not printed.rows:
        raise refuse("data", printed.said, mend=f"Run `ringback {' '.join(words)}` in a shell.")
    return printed.rows


async def plugins(asked: Asked) -> dict[str, Any]:
    """The plugins that the worker has loaded, and those that it could not."""
    return listed(await plugin_rows(asked.console))


async def plugin_rows(console: Console) -> list[dict[str, Any]]:
    """The same, as rows, with what the journal says of some. Raises a Refusal."""
    answer = await operating.ask(console.surroundings, {"op": "plugins"})
    trouble = await console.reading.ask(lambda questions: questions.plugin_trouble())
    return [
        {**row, "state": trouble.get(row["name"], "good") if row["state"] == "good"
         else row["state"]}
        for row in answer["plugins"]
    ]  # fmt: skip


async def seen(asked: Asked) -> dict[str, Any]:
    """Say that somebody knows of an incident; with a note, or muted for a while."""
    wanted = {name: asked.body[name] for name in ("ack", "mute", "note")
              if asked.body[name] is not None}  # fmt: skip
    return dict(
        await operating.operate(
            asked.console, asked.identity, "api",
            {"op": "incident", "uid": asked.values["id"], **wanted}, request=asked.key,
        )
    )  # fmt: skip


RESOURCES = (
    Resource(
        "health", "How the node is, beside `node` and `incidents`.",
        (
            Endpoint("/logs", "List the last log lines of the node's processes, which they keep "
                     "in memory.", logs, "LogLineList", query=(*LINE_FILTERS, _LIMIT),
                     role="operate", problems=("worker-away",)),
            Endpoint("/doctor", "Run `ringback doctor`; its findings of a quarter of a minute ago "
                     "at most.", _printed("doctor"), "FindingList", role="operate",
                     problems=("missing", "slow")),
            Endpoint("/plugins", "List the plugins, what each adds, and how it fares.", plugins,
                     "PluginList", role="operate", problems=("worker-away",)),
            Endpoint("/numbers", "List our numbers with what would have to change for their "
                     "webhooks to come here. It asks Twilio.", _printed(*NUMBERS),
                     "OurNumberList", role="operate", personal=False,
                     problems=("missing", "slow")),
            Endpoint("/incidents/{id}/seen", "Say that somebody knows of an incident, so that "
                     "nobody else is told; with a note, or muted.", seen, "Done", method="POST",
                     body=(
                         Parameter("ack", "That somebody knows.", "flag", default=True),
                         Parameter("mute", "Mute it for so many seconds; 0 ends that.",
                                   "integer", most=31_536_000),
                         Parameter("note", "A note for whoever looks at it next."),
                     ),
                     role="operate", status=202, problems=("missing",)),
        ),
    ),
)  # fmt: skip
