"""Opt-out keywords STOP, START and HELP, as Twilio handles them by default.

https://help.twilio.com/articles/223134027: the words work for every number, the message still goes
to the webhook, and later sends to that person from that sender or service fail with 21610.
"""

from ringback.simulator.world import World

STOP_WORDS = frozenset(
    {"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"}
)
START_WORDS = frozenset(["START", "YES", "UNSTOP"])
HELP_WORDS = frozenset(["HELP", "INFO"])

REPLIES = {
    "STOP": "You have successfully been unsubscribed. You will not receive any more messages from "
    "this number. Reply START to resubscribe.",
    "START": "You have successfully been re-subscribed to messages from this number. Reply HELP "
    "for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}


def keyword(body: str) -> str:
    """`STOP`, `START`, `HELP`, or nothing: the text is one of the words and no more."""
    word = body.strip().upper()
    if word in STOP_WORDS:
        return "STOP"
    if word in START_WORDS:
        return "START"
    return "HELP" if word in HELP_WORDS else ""


def apply_keyword(
    world: World, person: str, sender: str, service_sid: str | None, word: str
) -> bool:
    """Block or unblock. Returns whether that changed anything: then the person gets a reply."""
    keys = {(person, sender)} | ({(person, service_sid)} if service_sid else set())
    if word == "STOP":
        fresh = not keys <= world.blocks
        world.blocks |= keys
        return fresh
    if word == "START":
        fresh = bool(keys & world.blocks)
        world.blocks -= keys
        return fresh
    return word == "HELP"


def blocked(world: World, person: str, sender: str, service_sid: str | None = None) -> bool:
    """Whether this person has left this sender, or the service that it sends for."""
    return (person, sender) in world.blocks or (
        service_sid is not None and (person, service_sid) in world.blocks
    )
