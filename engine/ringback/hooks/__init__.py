"""Webhooks of other systems: their definitions, their proof, and their events."""
