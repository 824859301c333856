"""Watches over what is sent and comes in: deliveries, spending, silence."""
