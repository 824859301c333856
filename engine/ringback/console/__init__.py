"""Console of a node: web pages and the JSON API, in a process that runs no user code."""
