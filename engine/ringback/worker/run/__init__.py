"""Runs: what rules do with their events, one at a time per conversation."""
