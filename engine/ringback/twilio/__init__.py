"""Twilio's formats, without I/O: signatures, webhook bodies, REST requests, TwiML, error codes."""
