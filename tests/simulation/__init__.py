"""Deterministic simulation of the worker: seeded time, faults and kills.

One seed is one story: people write, a Twilio in memory answers badly, callbacks come late, twice or
never, the disk refuses, and the worker dies between any two steps. The engine, its journal and its
log are the real ones. At the end the checker holds three ledgers against each other: what was
acknowledged, what Twilio created, what the journal says.

::

    python tests/simulation --seeds 10000 --intents 50 --processes 2
    python tests/simulation --seed 4711 --trace
"""
