"""The sections at the top of a rule file, beside its rules: lists, hours and such."""
