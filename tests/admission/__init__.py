"""Comparison of a bench with a node: the same rules and events through both, step by step."""
