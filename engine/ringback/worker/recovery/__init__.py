"""Recovery: what happens after a restore, a downtime or a fault."""
