"""Which texts end or begin consent, as Twilio treats them.

A keyword counts only as the whole message: "STOP 12345" is no STOP. With Advanced Opt-Out Twilio
says it itself in `OptOutType`. https://help.twilio.com/articles/223134027
"""

from collections.abc import Mapping

STOP = frozenset(
    {"stop", "stopall", "stop all", "unsubscribe", "cancel", "end", "quit", "revoke", "optout",
     "opt out"}
)  # fmt: skip
START = frozenset({"start", "yes", "unstop"})
HELP = frozenset({"help", "info"})

OPTED_OUT = 21610
"""Twilio's refusal of a message to somebody who opted out of this sender."""


def keyword(fields: Mapping[str, str]) -> str:
    """`STOP`, `START`, `HELP`, or an empty text for any other message."""
    said = fields.get("OptOutType", "").strip().upper()
    if said in ("STOP", "START", "HELP"):
        return said
    text = " ".join(fields.get("Body", "").lower().strip(" \t\r\n.!\"'").split())
    if text in STOP:
        return "STOP"
    if text in START:
        return "START"
    return "HELP" if text in HELP else ""
