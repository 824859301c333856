"""How does Twilio run a telephone call? A leg's TwiML, and the exchange that joins legs."""
