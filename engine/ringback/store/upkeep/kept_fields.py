"""Fields of webhooks that stay when what people said is blanked: who, what, when, how it ended.

Everything else goes: what a parameter of a call, a header of SIP or a product of tomorrow may hold,
nobody knows here. An id of Twilio stays under whatever name it has.
"""

import re

CONTENT_FIELDS = frozenset(
    {
        "body", "drafted", "digits", "speechresult", "unstablespeechresult", "stablespeechresult",
        "transcriptiontext", "transcriptiondata", "transcriptionurl", "recordingurl",
        "profilename", "channelmetadata", "callername", "fromcity", "fromzip", "fromstate",
        "callercity", "callerzip", "callerstate", "buttontext", "buttonpayload", "listtitle",
        "listid", "flowdata", "interactivedata", "addons", "latitude", "longitude", "address",
        "label", "referralbody", "referralheadline", "contentvariables", "handoffdata",
        "paymentcardnumber", "expirationdate", "securitycode", "paymentcardpostalcode",
        "paymenttoken", "bankaccountnumber", "bankroutingnumber", "text", "value", "json",
        "headers", "media", "payload", "virtualagentproviderdata", "finishedonkey",
        "participantlabel", "friendlyname",
    }
)  # fmt: skip
"""Names, in small letters, under which webhooks and actions carry what people said."""
_CONTENT = ("mediaurl", "referralmedia", "sipheader", "dialsipheader")

KEPT = frozenset(
    {
        "id", "type", "source", "subject", "time", "specversion", "datacontenttype", "dataschema",
        "apiversion", "eventtype", "from", "to", "caller", "called", "waid", "forwardedfrom",
        "originalrepliedmessagesender", "refertransfertarget", "channelprefix", "channeltoaddress",
        "sipusername", "sipdomain", "sipcallid", "dialsipcallid", "fromcountry", "tocity",
        "tostate", "tozip", "tocountry", "callercountry", "calledcity", "calledstate", "calledzip",
        "calledcountry", "nummedia", "numsegments", "numberofsegments", "referralnummedia",
        "smsstatus", "messagestatus", "status", "direction", "optouttype", "messagetype",
        "buttontype", "forwarded", "frequentlyforwarded", "mediacontenttype", "referralsourcetype",
        "errorcode", "errormessage", "errorurl", "rawdlrdonedate", "channelstatusmessage",
        "callstatus", "answeredby", "machinedetectionduration", "stirverstat", "stirstatus",
        "callduration", "duration", "sipresponsecode", "timestamp", "callbacksource",
        "sequencenumber", "confidence", "stability", "language", "dialcallstatus",
        "dialcallduration", "dialbridged", "dialsipresponsecode", "queueresult", "queueposition",
        "queuetime", "avgqueuetime", "currentqueuesize", "maxqueuesize", "refercallstatus",
        "refersipresponsecode", "notifysipresponsecode", "recordingstatus", "recordingduration",
        "recordingchannels", "recordingstarttime", "recordingsource", "recordingtrack",
        "transcriptionstatus", "transcriptionevent", "transcriptionerrorcode", "transcriptiontype",
        "languagecode", "track", "final", "statuscallbackevent", "muted", "hold", "coaching",
        "startconferenceonenter", "endconferenceonexit", "participantcallstatus",
        "reasonparticipantleft", "reasonconferenceended", "streamevent", "siprecevent", "level",
        "payloadtype", "faxstatus", "sessionid", "sessionstatus", "sessionduration",
        "virtualagentprovider", "virtualagentstatus", "virtualagenterrorcode", "result", "for",
        "capture", "attempt", "payerrorcode", "errortype", "paymentmethod", "paymentconnector",
        "paymentconfirmationcode", "paymentcardtype", "required", "partialresult", "price",
        "priceunit", "smartencoded", "place", "key", "kind", "actionuid", "causetype", "causeevent",
        "causerun", "causefrom", "causeto", "causeconversation", "rule", "number", "since",
        "batchfacts",
    }
)  # fmt: skip
"""Names, in small letters and without lines between words, whose values stay."""
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")
_NUMBERED = re.compile(r"mediacontenttype\d+")


def is_content(name: str) -> bool:
    """Whether something of this name is known to be what people said."""
    lowered = name.lower()
    return lowered in CONTENT_FIELDS or lowered.replace("_", "").startswith(_CONTENT)


def stays(name: str, value: object) -> bool:
    """Whether a value in a webhook stays: its name is known, or it is an id of Twilio."""
    if is_content(name):
        return False
    if isinstance(value, str) and (not value or _SID.fullmatch(value)):
        return True
    plain = name.lower().replace("_", "")
    return plain in KEPT or _NUMBERED.fullmatch(plain) is not None
