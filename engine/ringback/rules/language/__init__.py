"""Expression language: CEL, its functions, and texts with expressions in them."""
