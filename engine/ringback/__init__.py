"""Ringback: event automation over Twilio."""
