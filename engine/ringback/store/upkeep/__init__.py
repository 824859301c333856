"""Upkeep of the data folder: backup and restore, retention, rebuilding, erasing a person."""
