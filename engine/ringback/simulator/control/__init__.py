"""What may a person or a test do by hand? The control API under `/_sim/`.

It belongs to the box and not to Twilio, so it needs no credentials: the box listens on loopback.
"""
