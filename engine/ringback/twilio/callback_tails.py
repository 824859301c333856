"""Connection overrides: what stands behind the addresses that we give Twilio, as their fragment.

Twilio reads them and leaves them out of the request and of the signature. A service with Twilio's
interface that knows nothing of them may sign the address as a whole: `RINGBACK_CALLBACK_TAIL=off`
leaves them away. https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
"""

QUICK = "#ct=2000&rt=5000&rc=2&rp=ct,rt,5xx"
"""For what Twilio waits for: connecting and answering are given up early, so that two more tries
fit into the 15 s that it has in all. The same request again gets the same answer."""
PATIENT = "#ct=3000&rc=3&rp=ct,5xx"
"""For notices: three more tries, so that a node that restarts misses nothing."""
STATUS = "#rc=3&rp=all"
"""For the statuses of what we send."""
TAILS = (STATUS, QUICK, PATIENT)
