"""Queries of the log and the journal for people."""
