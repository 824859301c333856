"""Telephone calls: the program of a leg's TwiML, and the exchange that joins legs."""
