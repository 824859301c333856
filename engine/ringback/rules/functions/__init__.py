"""Functions that conditions and texts call, beside those of CEL itself."""
