"""The receiver: webhooks in, answers out. No user code runs in this process."""
