"""Plugins: user code, how it is found, described and called."""
