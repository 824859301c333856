"""Does the send protocol hold? The real worker in a world where time, chance and death are seeded.

One seed is one story: people write, a Twilio in memory answers badly, callbacks come late, twice or
never, the disk refuses, and the worker dies between any two steps. The engine, its journal and its
log are the real ones. At the end the checker holds three ledgers against each other: what was
acknowledged, what Twilio created, what the journal says.

::

    python -m ringback.testing.simulation --seeds 10000 --intents 50 --processes 2
    python -m ringback.testing.simulation --seed 4711 --trace
"""
