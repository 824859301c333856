"""The steps of a rule: what each may say, and which actions it means."""
