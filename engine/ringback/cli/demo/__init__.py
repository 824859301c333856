"""Demo project: a business and its last week in the simulator, to look around in."""
