"""Nouns and attributes of TwiML that hand a call to a service: Start, Stop, Connect, Pay.

Facts from https://www.twilio.com/docs/voice/twiml/start, …/connect and …/pay, and the verb classes
of Twilio's helper library. Tables, read by the parser through `vocabulary.py`.
"""

from ringback.simulator.attributes import (
    Word,
    events,
    flag,
    method,
    names,
    one_of,
    pattern,
    text,
    texts,
    whole,
)

TRIM = ("trim-silence", "do-not-trim")
RECORDING_CALLBACK = {
    "recordingStatusCallback": text(),
    "recordingStatusCallbackMethod": method(),
    "recordingStatusCallbackEvent": events(
        "in-progress", "completed", "absent", "failed", default="completed", code=13621
    ),
}
_ACTION = {"action": text(), "method": method()}
_CALLBACK = {"statusCallback": text(), "statusCallbackMethod": method()}
_TRACKS = ("inbound_track", "outbound_track", "both_tracks")

_BACKGROUND_NOUNS = names("Stream Siprec Recording Transcription")
_CONNECT_NOUNS = names(
    "Stream ConversationRelay ConversationRelaySession Room Conversation VirtualAgent AiSession"
    " Autopilot"
)

_BACKGROUND = {
    "Start": Word(_ACTION, _BACKGROUND_NOUNS),
    "Stop": Word({}, _BACKGROUND_NOUNS),
    "Stream": Word(
        {
            **texts("url name connectorName audioFormat sampleRate"),
            "track": one_of(*_TRACKS, default="inbound_track"),
            **_CALLBACK,
        },
        names("Parameter"),
    ),
    "Siprec": Word(
        {
            **texts("name connectorName"),
            "track": one_of(*_TRACKS, default="both_tracks"),
            **_CALLBACK,
        },
        names("Parameter"),
    ),
    "Recording": Word(
        {
            **texts("name recordingConfigurationId"),
            **RECORDING_CALLBACK,
            "trim": one_of(*TRIM, default="do-not-trim"),
            "track": one_of("inbound", "outbound", "both", default="both"),
            "channels": one_of("mono", "dual", default="dual"),
        }
    ),
    "Transcription": Word(
        {
            **texts(
                "name statusCallbackUrl inboundTrackLabel outboundTrackLabel speechModel hints"
                " intelligenceService conversationConfiguration conversationId"
                " transcriptionConfigurationId"
            ),
            "statusCallbackMethod": method(),
            "languageCode": text("en-US"),
            "track": one_of(*_TRACKS, default="both_tracks"),
            "partialResults": flag("false"),
            "transcriptionEngine": text("google"),
            "profanityFilter": flag("true"),
            "enableAutomaticPunctuation": flag("true"),
            "enableProviderData": flag("false"),
        },
        names("Config Parameter"),
    ),
    "Config": Word(texts("name value")),
}

_RELAY_TEXT = (
    " asrSmartFormat ttsTextNormalization ttsLanguageTextNormalization"
    " elevenlabsLanguageTextNormalization elevenlabsTextNormalization deepgramSmartFormat"
)

_CONNECT = {
    "Connect": Word(_ACTION, _CONNECT_NOUNS),
    "ConversationRelay": Word(
        {
            **texts(
                "url language ttsLanguage transcriptionLanguage ttsProvider voice"
                " transcriptionProvider speechModel welcomeGreeting welcomeGreetingInterruptible"
                " interruptible interruptSensitivity hints intelligenceService events debug"
                " customerName speechTimeout backgroundNoiseReduction eagerEotThreshold"
                " turnDetection includeInPrompt" + _RELAY_TEXT
            ),
            **texts(
                "profanityFilter dtmfDetection partialPrompts partialPromptOnHangup preemptible"
                " reportInputDuringAgentSpeech ignoreBackchannel applicationReconnect"
                " echoPromptFiltering"
            ),
        },
        names("Language Parameter"),
    ),
    "Language": Word(
        texts("code ttsProvider voice transcriptionProvider speechModel hints" + _RELAY_TEXT)
    ),
    "ConversationRelaySession": Word(texts("connector sessionConfiguration"), names("Parameter")),
    "AiSession": Word(texts("aiConnector aiSessionConfiguration"), names("Parameter")),
    "Room": Word(texts("name participantIdentity")),
    "Autopilot": Word(),
    "VirtualAgent": Word(
        {**texts("connectorName language sentimentAnalysis"), **_CALLBACK},
        names("Config Parameter"),
    ),
    "Conversation": Word(
        {
            **texts("serviceInstanceSid inboundAutocreation url statusCallbackEvent"),
            "method": method(),
            "routingAssignmentTimeout": whole("", 0, 2**31 - 1),
            "inboundTimeout": whole("", 0, 2**31 - 1),
            "record": one_of(
                "true",
                "false",
                "do-not-record",
                "record-from-answer",
                "record-from-ringing",
                "record-from-answer-dual",
                "record-from-ringing-dual",
                default="do-not-record",
            ),
            "trim": one_of(*TRIM, default="do-not-trim"),
            **RECORDING_CALLBACK,
            **_CALLBACK,
        }
    ),
}

_PAY = {
    "Pay": Word(
        {
            **_ACTION,
            **_CALLBACK,
            **texts("paymentConnector description validCardTypes language"),
            "input": one_of("dtmf", default="dtmf"),
            "timeout": whole("5", 1, 600),
            "maxAttempts": whole("3", 1, 10),
            "paymentMethod": one_of("credit-card", "ach-debit", default="credit-card"),
            "bankAccountType": one_of(
                "consumer-checking",
                "consumer-savings",
                "commercial-checking",
                default="consumer-checking",
            ),
            "securityCode": flag("true"),
            "postalCode": text("true"),
            "minPostalCodeLength": whole("", 0, 20),
            "tokenType": one_of("one-time", "reusable", "payment-method", default="reusable"),
            "chargeAmount": pattern(r"\d{1,6}(\.\d{1,5})?"),
            "currency": text("usd"),
        },
        names("Prompt Parameter"),
    ),
    "Prompt": Word(
        texts("for errorType cardType attempt requireMatchingInputs"), names("Say Play Pause")
    ),
}

SERVICES: dict[str, Word] = {**_BACKGROUND, **_CONNECT, **_PAY}
