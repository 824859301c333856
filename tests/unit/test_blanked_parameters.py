"""Parameters of Twilio's webhooks, page by page: which retention keeps, and which it blanks."""

import json
from urllib.parse import parse_qs, urlencode

import pytest

from ringback.store.upkeep.log_retention import blank_body

FORM = "application/x-www-form-urlencoded"
# Names behind a `-` are blanked. From the pages of https://www.twilio.com/docs that are named.
PAGES = {
    "messaging/guides/webhook-request": """
        MessageSid SmsSid SmsMessageSid AccountSid MessagingServiceSid From To NumMedia NumSegments
        SmsStatus ApiVersion MediaContentType0 FromCountry ToCity ToState ToZip ToCountry OptOutType
        WaId MessageType ButtonType Forwarded FrequentlyForwarded ReferralSourceType
        OriginalRepliedMessageSid OriginalRepliedMessageSender ReferralNumMedia
        - Body MediaUrl0 MediaUrl9 FromCity FromState FromZip ProfileName ButtonText ButtonPayload
        InteractiveData FlowData ListId ListTitle ChannelMetadata Latitude Longitude Address Label
        ReferralBody ReferralHeadline ReferralSourceId ReferralSourceUrl ReferralMediaId
        ReferralMediaContentType ReferralMediaUrl ReferralCtwaClid AddOns""",
    "messaging/guides/track-outbound-message-status": """
        MessageStatus ErrorCode ErrorMessage RawDlrDoneDate ChannelInstallSid ChannelPrefix
        ChannelToAddress ChannelStatusMessage EventType -""",
    "voice/twiml": """
        CallSid Caller Called CallStatus Direction ForwardedFrom ParentCallSid StirVerstat
        CallerCountry CalledCity CalledState CalledZip CalledCountry SipDomain SipDomainSid
        SipCallId SipUsername
        - CallerName CallToken StirPassportToken CallerCity CallerState CallerZip SipSourceIp
        SipHeader_X-Customer SipHeader_X-Sid SipHeader_User-to-User OrderStatus Patient""",
    "voice/api/call-resource": """
        CallDuration Duration SipResponseCode Timestamp CallbackSource SequenceNumber AnsweredBy
        RecordingSid RecordingDuration StirStatus MachineDetectionDuration -
        RecordingUrl""",
    "voice/twiml/gather": """
        Confidence Stability Language - Digits SpeechResult FinishedOnKey UnstableSpeechResult
        StableSpeechResult""",
    "voice/twiml/dial": """
        DialCallStatus DialCallSid DialCallDuration DialBridged DialSipCallId DialSipResponseCode
        QueueSid QueueTime DequeingCallSid - DialSipHeader_X-Name""",
    "voice/twiml/enqueue": """
        QueueResult QueuePosition AvgQueueTime CurrentQueueSize MaxQueueSize -""",
    "voice/twiml/refer": """
        ReferCallStatus ReferSipResponseCode NotifySipResponseCode ReferTransferTarget -""",
    "voice/twiml/record": """
        RecordingStatus RecordingChannels RecordingStartTime RecordingSource RecordingTrack
        TranscriptionSid TranscriptionStatus - TranscriptionText TranscriptionUrl""",
    "voice/twiml/transcription": """
        TranscriptionEvent TranscriptionErrorCode LanguageCode Track Final
        - TranscriptionData TranscriptionError PartialResults InboundTrackLabel""",
    "voice/twiml/conference": """
        ConferenceSid StatusCallbackEvent Muted Hold Coaching StartConferenceOnEnter
        EndConferenceOnExit ParticipantCallStatus ReasonParticipantLeft ReasonConferenceEnded
        CallSidEndingConference - FriendlyName ParticipantLabel""",
    "voice/twiml/stream": "StreamSid StreamEvent - StreamName StreamError",
    "voice/twiml/siprec": "SiprecSid SiprecEvent - SiprecName SiprecError",
    "voice/twiml/connect/virtualagent": """
        VirtualAgentProvider VirtualAgentStatus VirtualAgentErrorCode
        - VirtualAgentProviderData VirtualAgentError""",
    "voice/twiml/connect/conversationrelay": """
        SessionId SessionStatus SessionDuration - HandoffData""",
    "voice/twiml/pay": """
        Result PayErrorCode PaymentConnector PaymentConfirmationCode PaymentMethod PaymentCardType
        For Required Capture PartialResult ErrorType Attempt
        - PaymentCardNumber ExpirationDate SecurityCode PaymentCardPostalCode PaymentToken
        BankAccountNumber BankRoutingNumber PaymentError""",
    "usage/webhooks/webhooks-faq": "- Anything ThatIs NewTomorrow",
    "usage/troubleshooting/debugging-event-webhooks": """
        Sid ParentAccountSid Level PayloadType - Payload""",
}


def sample(name: str) -> str:
    """A value that such a parameter may have."""
    return "CA" + "0f" * 16 if "Sid" in name and "_" not in name else "Ann+said: 12345"


@pytest.mark.parametrize("page", PAGES)
def test_each_documented_parameter_is_kept_or_blanked(page: str) -> None:
    names = PAGES[page].split()
    kept, blank = names[: names.index("-")], names[names.index("-") + 1 :]
    fields = {name: sample(name) for name in (*kept, *blank)}
    form = blank_body(FORM, urlencode(fields).encode()).decode()
    wanted = {name: sample(name) for name in kept} | dict.fromkeys(blank, "")
    found = {name: value for name, (value,) in parse_qs(form, keep_blank_values=True).items()}
    assert found == wanted
    streamed = {name[:1].lower() + name[1:]: value for name, value in fields.items()}
    event = [{"id": "EZ1", "type": "t", "data": {"request": {"parameters": streamed}}}]
    (bare,) = json.loads(blank_body("application/json", json.dumps(event).encode()))
    assert (bare["id"], bare["type"]) == ("EZ1", "t")
    assert bare["data"]["request"]["parameters"] == {
        name[:1].lower() + name[1:]: value for name, value in wanted.items()
    }


@pytest.mark.parametrize(
    ("value", "bare"),
    [
        ("https://e.org/doc.xml?name=Ann#x", "https://e.org/doc.xml"),
        ("https://e.org/twilio/call/step/abc", "https://e.org/twilio/call/step/abc"),
    ],
)
def test_an_address_that_failed_keeps_its_path(value: str, bare: str) -> None:
    """Our own steps are known by it; a query may say anything."""
    body = urlencode({"ErrorUrl": value, "ErrorCode": "11200"}).encode()
    assert blank_body(FORM, body).decode() == urlencode({"ErrorUrl": bare, "ErrorCode": "11200"})


@pytest.mark.parametrize(
    "data", [{"note": ["Ann", {"x": 5}]}, {"amount": 12.5}, {"ok": True}, {"a": {"b": "Ann"}}]
)
def test_what_nobody_knows_is_blanked_in_json(data: dict[str, object]) -> None:
    """Of whatever sort, and however deep."""
    bare = blank_body("application/json", json.dumps([{"data": data}]).encode()).decode()
    assert not any(word in bare for word in ("Ann", "5", "true"))
