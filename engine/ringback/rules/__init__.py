"""The rule language: what a rule file says, whether it is right, and what it means for an event."""
