"""The rule engine: which rules match an event, and what their steps do."""
