"""A simulated day of deliveries with planted troubles, and the judgement of what was found."""
