"""Schemas of the JSON API about the node itself: log lines, findings, plugins, our numbers."""

from collections.abc import Mapping

from ringback.console.api.schema_words import (
    FIGURE,
    FREE,
    TEXT,
    TIME,
    Schema,
    each_of,
    list_of,
    object_of,
    part,
)

_MORE = "action event_uid rule kind state outcome code error_class sid seconds key error"

NODE_SCHEMAS: Mapping[str, Schema] = {
    "LogLine": object_of(
        {
            "at": TIME, **each_of(TEXT, "process level logger message"),
            **dict.fromkeys(_MORE.split(), FREE), "seconds": FIGURE,
        },
        "A line of the log of one of the node's processes.", _MORE,
    ),
    "Finding": object_of(
        each_of(TEXT, "check state says mend"),
        "What `ringback doctor` found: `ok`, `warn`, `bad` or `skipped`.",
    ),
    "Plugin": object_of(
        each_of(TEXT, "name state origin version rules hooks functions steps about path"),
        "A plugin, what it adds, and how it fares.",
        "origin version rules hooks functions steps about path",
    ),
    "OurNumber": object_of(
        {
            **each_of(TEXT, "sid name account messaging_service"),
            "changes": list_of(object_of(each_of(TEXT, "name before after"))),
        },
        "A number of the account, and what would have to change for its webhooks to come here.",
        "messaging_service",
    ),
    "NewToken": object_of(
        {
            **each_of(TEXT, "id name role scope secret"), "ends_at": TIME,
            "others": list_of(TEXT),
        },
        "A token, this once, and the ids of the others of its name.",
    ),
    "Removed": object_of({"removed": TEXT}, "What is no longer let in."),
}  # fmt: skip

NODE_LISTS: Mapping[str, Schema] = {
    "LogLineList": part("LogLine"), "FindingList": part("Finding"),
    "PluginList": part("Plugin"), "OurNumberList": part("OurNumber"),
}  # fmt: skip
