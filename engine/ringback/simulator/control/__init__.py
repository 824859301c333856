"""Control API under `/_sim/`: what a person or a test may do by hand.

It belongs to the simulator and not to Twilio: no credentials, since it listens on loopback.
"""
