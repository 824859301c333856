"""Event: all that came, and how it was proven."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.console import tones
from ringback.console.api.answers import whole
from ringback.console.identity import identity_of
from ringback.console.page import Page, console_of, draw
from ringback.console.problems import refuse
from ringback.console.seen import as_seen
from ringback.store.queries import shapes
from ringback.store.queries.questions import Questions

MOST_RAW = 8 * 1024
PROOF = {
    "signed": "Twilio's signature, or that of a shared key, fits the address and the body.",
    "confirmed": "It came to the secret path, and Twilio's record of it was read back.",
    "claimed": "It came to the secret path; nobody has proven yet that Twilio said it.",
    "simulated": "It came from the simulated Twilio of `ringback dev`.",
}
SOURCE = {
    "webhook": "A webhook brought it.",
    "repair": "It was missed while the node was down, and fetched back from Twilio.",
    "replay": "A copy that `ringback replay --send` made.",
    "internal": "The node itself made it.",
}
MEANINGS = {
    "AccountSid": "the account", "ApiVersion": "version of Twilio's API", "Body": "the text",
    "From": "who sent or called", "To": "who was texted or called", "Caller": "as From",
    "Called": "as To", "CallSid": "the call", "CallStatus": "how the call stands",
    "CallDuration": "seconds of the call, as they are charged", "Direction": "inbound or outbound",
    "Digits": "the keys that were pressed", "SpeechResult": "what was understood",
    "MessageSid": "the message", "SmsSid": "the same, by its older name",
    "SmsMessageSid": "the same, by its older name", "MessageStatus": "how the message stands",
    "SmsStatus": "the same, by its older name", "NumMedia": "how many pictures or files",
    "NumSegments": "how many segments it takes", "ErrorCode": "why it failed",
    "ErrorMessage": "the same in words", "Price": "what it cost", "PriceUnit": "in this currency",
    "MessagingServiceSid": "the messaging service", "ProfileName": "the name of a WhatsApp sender",
    "OptOutType": "what Advanced Opt-Out has done", "RawDlrDoneDate": "when the carrier said so",
    "StirVerstat": "whether the caller's number is attested", "ForwardedFrom": "who forwarded it",
    "RecordingUrl": "where the recording is", "RecordingDuration": "its seconds",
    "SequenceNumber": "the order of callbacks", "Timestamp": "when Twilio says that it was",
    "FromCity": "where the number is from", "FromState": "where the number is from",
    "FromCountry": "where the number is from", "FromZip": "where the number is from",
    "ToCity": "where the number is from", "ToState": "where the number is from",
    "ToCountry": "where the number is from", "ToZip": "where the number is from",
}  # fmt: skip
"""What Twilio means by a field: https://www.twilio.com/docs/messaging/guides/webhook-request."""


async def event(request: Request) -> Response:
    """The page."""
    uid = request.path_params["uid"]

    def ask(asked: Questions) -> tuple[dict[str, Any], bytes | None, list[str]]:
        found = asked.event(uid)
        if found is None:
            raise refuse("missing", "No event has this id, or it is no longer kept.")
        raw = asked.raw(found)
        copies = asked.trace(uid)
        return found, bytes(raw.body) if raw else None, copies["replayed"] if copies else []

    found, raw, copies = await console_of(request).reading.ask(ask)
    open_body = whole(console_of(request), identity_of(request))
    row = as_seen(request, shapes.with_error(found))
    fields = row["fields"] if isinstance(row["fields"], dict) else {}
    return draw(
        request, "event.html",
        {
            "title": found["type"], "event": row, "came": fields, "meanings": MEANINGS,
            "proof": PROOF.get(found["trust"], ""), "source": SOURCE.get(found["source"], ""),
            "tone": tones.of_event(found["type"]), "copies": copies, "log_id": found["log_id"],
            "raw": _raw(raw) if raw is not None and open_body else None,
            "raw_size": len(raw) if raw is not None else None,
            "ours": found["conversation"].partition("/")[0],
        },
    )  # fmt: skip


def _raw(body: bytes) -> dict[str, Any]:
    """A body as text and as bytes."""
    shown = body[:MOST_RAW]
    lines = [
        f"{at:06x}  {shown[at : at + 16].hex(' '):<47}  "
        + "".join(chr(byte) if 32 <= byte < 127 else "." for byte in shown[at : at + 16])
        for at in range(0, min(len(shown), 1024), 16)
    ]
    return {"text": shown.decode("utf-8", "replace"), "bytes": "\n".join(lines)}


PAGE = Page(
    "/console/events/", "Event", (Route("/console/events/{uid}", event, methods=["GET"]),),
    takes={"event": ()},
)  # fmt: skip
