"""Twilio's dialect, without I/O: how it signs, what it posts, what it wants to be told."""
