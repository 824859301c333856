"""Sends: requests to the gateway, their outcomes, and the search for those that are unknown."""
