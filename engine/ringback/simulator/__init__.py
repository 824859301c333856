"""A Twilio in a box: the wire and the phone network behind it, with faults on demand."""
