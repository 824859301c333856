"""Spans of a worker's work, in the traces of its events."""
