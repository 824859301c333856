"""Streams, SIPREC and live transcriptions of a call, started and stopped over REST.

https://www.twilio.com/docs/voice/api/stream-resource, …/siprec, …/realtime-transcription-resource
"""

from functools import partial
from typing import Any

from ringback.simulator import vocabulary
from ringback.simulator.refusal import invalid
from ringback.simulator.rest import voiceshapes
from ringback.simulator.rest.calls import one
from ringback.simulator.rest.route import Ask, Reply, route
from ringback.simulator.switchboard import exchange_of
from ringback.simulator.voice.effects import Background
from ringback.simulator.voice.legs import Service
from ringback.simulator.voice.ports import NOBODY, Callback

PARTS = {"Streams": "Stream", "Siprec": "Siprec", "Transcriptions": "Transcription"}


def _shape(ask: Ask, part: str, row: Service) -> dict[str, Any]:
    path = f"{ask.base}/Calls/{ask.ids[0]}/{part}/{row.sid}.json"
    return {
        "sid": row.sid,
        "account_sid": ask.account.sid,
        "call_sid": ask.ids[0],
        "name": row.name or None,
        "status": row.status,
        "date_updated": voiceshapes.moment(ask.world, row.updated_at),
        "uri": path,
    }


def start(part: str, ask: Ask) -> Reply:
    """The parameters are the attributes of the noun in TwiML, with a capital letter."""
    call, form, noun = one(ask), ask.form, PARTS[part]
    if part == "Streams":
        form.required("Url", 20001)
    settings = {}
    for name, attribute in vocabulary.VOICE[noun].attributes.items():
        parameter = name[0].upper() + name[1:]
        value = form.text(parameter) or attribute.default
        if not attribute.legal(value):
            raise invalid(20001, f"{parameter} is not valid: {value[:80]}")
        settings[name] = value
    name = "StatusCallbackUrl" if noun == "Transcription" else "StatusCallback"
    url = form.url(name, 21502)
    callback = Callback(url, form.method("StatusCallbackMethod")) if url else NOBODY
    effect = Background(
        "start", noun, settings["name"], callback, settings=tuple(settings.items())
    )  # fmt: skip
    row = exchange_of(ask.world, ask.account.sid).start_service(call.sid, effect)
    return Reply(200, _shape(ask, part, row), row.sid)


def stop(part: str, ask: Ask) -> Reply:
    call = one(ask)
    ask.form.required("Status", 20001)
    ask.form.choice("Status", ("stopped",), "")
    exchange = exchange_of(ask.world, ask.account.sid)
    row = exchange.stop_service(call.sid, PARTS[part], ask.ids[1])
    return Reply(200, _shape(ask, part, row))


ROUTES = tuple(
    each
    for part in PARTS
    for each in (
        route("POST", f"Calls/{{}}/{part}", f"{part.lower()}.create", partial(start, part)),
        route("POST", f"Calls/{{}}/{part}/{{}}", f"{part.lower()}.update", partial(stop, part)),
    )
)
