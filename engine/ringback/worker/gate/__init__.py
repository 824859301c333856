"""The gate: consent, budgets, quiet hours and loops, asked before every action."""
