"""The rule engine: which rules match an event, and which runs it starts, ends and wakes."""
