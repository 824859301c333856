"""Deliveries of our texts: what is counted of them, and what is asked of the counts."""
