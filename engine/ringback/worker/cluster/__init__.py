"""The worker as one of several on one database."""
