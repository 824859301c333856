"""Matching: from rows of the log to events, verdicts and runs."""
