"""Counts by the hour and the day: what is counted, what has changed, and the file of them."""
