"""Simulator of Twilio: its REST API, webhooks and phone network, with faults on demand."""
