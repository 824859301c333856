"""Resources of the JSON API, one module each."""
