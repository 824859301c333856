"""Match, run, gate, send: what happens to an event once it is recorded."""
