"""Contacts: cards and groups, as people change them, and texts to all of a group."""
